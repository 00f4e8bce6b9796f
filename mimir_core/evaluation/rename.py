"""Signals -> the same signals of a system whose components have other names.

Comes in: :class:`Signals` and a seed. Goes out: renamed signals, and the new name of each component. A method that reads the
answer out of names ranks them differently. Surprise: names are replaced in every text, also inside metric names and pods,
however they are joined (``a::b``, ``a__b``); names that were related (``orders``, ``orders-db``) no longer are.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from functools import cache
from itertools import zip_longest
from random import Random
from string import ascii_lowercase, ascii_uppercase, digits
from typing import Any

import pandas as pd
from pydantic import BaseModel

from mimir_core.telemetry.signals import UNKNOWN_COMPONENT, Signals

_ALPHABETS = (ascii_lowercase, ascii_uppercase, digits)
_SEPARATORS = re.compile(r"[\W_]+")
_OTHER_SEPARATORS = r"(?:(?!\s)[\W_])+"
_DRAWS = 100
"""Draws after which a name gets one letter more: short names run out."""


def rename_components(signals: Signals, seed: int) -> tuple[Signals, dict[str, str]]:
    """Return the signals with other names, and the new name by the old one."""
    names = sorted(_names_in(signals), key=len, reverse=True)
    if not names:
        return signals, {}
    spelled = {_words(name): name for name in names}
    drawn = draw_names(spelled.values(), seed)
    any_name = re.compile(rf"(?<![^\W_])(?:{'|'.join(map(_any_spelling, names))})(?![^\W_])")

    def new_name(found: re.Match[str]) -> str:
        words = _words(drawn[spelled[_words(found[0])]])
        return "".join(map("".join, zip_longest(words, _SEPARATORS.findall(found[0]), fillvalue="")))

    @cache
    def rename(text: str) -> str:
        return any_name.sub(new_name, text)

    return _renamed(signals, rename), {name: rename(name) for name in names}


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


def _words(name: str) -> tuple[str, ...]:
    return tuple(_SEPARATORS.split(name))


def _any_spelling(name: str) -> str:
    """Return a pattern for a name: exporters write other separators where its own are not allowed."""
    parts = re.split(f"({_SEPARATORS.pattern})", name)
    return "".join(
        _OTHER_SEPARATORS if _SEPARATORS.fullmatch(part) and not re.search(r"\s", part) else re.escape(part) for part in parts
    )


def _names_in(signals: Signals) -> set[str]:
    names = {signals.incident.service or "", *(name for call in signals.calls for name in call)}
    for part in (signals, signals.reference):
        names |= {*part.metrics.columns.get_level_values(0), *part.spans["component"]}
        names |= {statement.component for statement in part.statements}
    return {name for name in map(str, names) if any(_words(name))} - {UNKNOWN_COMPONENT}


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
