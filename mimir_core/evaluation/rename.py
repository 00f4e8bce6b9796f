"""Signals -> the same signals of a system whose components have other names.

Comes in: :class:`Signals` and a seed. Goes out: renamed signals, and the new name of each component. A method that reads the
answer out of names ranks them differently. Surprise: names are replaced in every text, also inside metric names and pods; names
that were related (``orders``, ``orders-db``) no longer are.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from functools import cache
from random import Random
from string import ascii_lowercase, ascii_uppercase, digits
from typing import Any

import pandas as pd
from pydantic import BaseModel

from mimir_core.telemetry.signals import UNKNOWN_COMPONENT, Signals

_ALPHABETS = (ascii_lowercase, ascii_uppercase, digits)
_DRAWS = 100
"""Draws after which a name gets one letter more: short names run out."""


def rename_components(signals: Signals, seed: int) -> tuple[Signals, dict[str, str]]:
    """Return the signals with other names, and the new name by the old one."""
    new = draw_names(_names_in(signals), seed)
    names = "|".join(re.escape(name) for name in sorted(new, key=len, reverse=True))
    any_name = re.compile(rf"(?<![A-Za-z0-9])(?:{names})(?![A-Za-z0-9])")

    @cache
    def rename(text: str) -> str:
        return any_name.sub(lambda found: new[found[0]], text)

    return (_renamed(signals, rename) if new else signals), new


def draw_names(names: Iterable[str], seed: int) -> dict[str, str]:
    """Draw a name of the same shape for each, a letter for a letter and a digit for a digit; none begins with another.

    >>> draw_names(["orders-db", "orders", "Cart2"], 7)
    {'Cart2': 'Kemu0', 'orders': 'crdlsb', 'orders-db': 'qgbcnn-ch'}
    """
    random, old = Random(seed), sorted(set(names))  # noqa: S311  # a drawn name is no secret
    drawn: dict[str, str] = {}
    for name in old:
        tries = 0
        while name not in drawn:
            new = "".join(_draw_like(letter, random) for letter in name + "x" * (tries // _DRAWS))
            tries += 1
            if new not in old and not any(new.startswith(other) or other.startswith(new) for other in drawn.values()):
                drawn[name] = new
    return drawn


def _draw_like(letter: str, random: Random) -> str:
    return next((random.choice(alphabet) for alphabet in _ALPHABETS if letter in alphabet), letter)


def _names_in(signals: Signals) -> set[str]:
    names = {signals.incident.service or "", *(name for call in signals.calls for name in call)}
    for part in (signals, signals.reference):
        names |= {*part.metrics.columns.get_level_values(0), *part.spans["component"]}
        names |= {statement.component for statement in part.statements}
    return {str(name) for name in names} - {"", UNKNOWN_COMPONENT}


def _renamed(node: Any, rename: Callable[[str], str]) -> Any:
    """Return ``node`` with other names in every text in it."""

    def deeper(child: Any) -> Any:
        return _renamed(child, rename)

    match node:
        case Enum():
            return node
        case str():
            return rename(node)
        case pd.DataFrame():
            return _renamed_table(node, rename)
        case BaseModel():
            return type(node).model_validate(deeper(node.model_dump()))
        case Mapping():
            return type(node)({deeper(key): deeper(value) for key, value in node.items()})  # type: ignore[call-arg]
        case list() | tuple() | set() | frozenset():
            return type(node)(deeper(child) for child in node)
    if is_dataclass(node) and not isinstance(node, type):
        return replace(node, **{field.name: deeper(getattr(node, field.name)) for field in fields(node)})
    return node


def _renamed_table(table: pd.DataFrame, rename: Callable[[str], str]) -> pd.DataFrame:
    renamed = table.copy()
    if isinstance(table.columns, pd.MultiIndex):
        renamed.columns = pd.MultiIndex.from_tuples([tuple(map(rename, column)) for column in table.columns])
    for name in {"component", "operation"} & set(table.columns):
        renamed[name] = table[name].map(rename)
    return renamed
