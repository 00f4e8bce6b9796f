"""``case.json`` -> how the files of a case are to be read.

Comes in: its parsed content. Goes out: :class:`CaseSettings`. Surprise: only the keys named here are looked at, so that a
benchmark's truth in the same file (its cause, the time of its injection) cannot reach an answer.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from mimir_core.errors import InputError
from mimir_core.telemetry.signals import Calls
from mimir_core.telemetry.times import parse_time

_PAIR, _EDGE = 2, 2


@dataclass(frozen=True)
class CaseSettings:
    """What a case says about its own files."""

    services: tuple[str, ...] = ()
    columns: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Column to component and metric."""
    alert: Mapping[str, Any] = field(default_factory=dict)
    calls: Calls = frozenset()
    baseline: Mapping[str, Path] = field(default_factory=dict)
    """Files of a time without faults, by the name that they would have in the case folder."""
    earlier_faults: tuple[datetime, ...] = ()
    """When other, known incidents began inside the window of the series."""


def parse_case_settings(content: Mapping[str, Any], folder: Path) -> CaseSettings:
    """Read what ``content`` says.

    Args:
        content: Parsed case.json.
        folder: Where it lies; other files are named relative to it, and lie in it or beside it.

    Raises:
        InputError: A file that it names is missing, no JSON, or elsewhere.
    """
    columns = content.get("columns")
    if isinstance(columns, str):
        columns = _read_json(_beside(folder, columns))
    baseline = content.get("baseline") or {}
    if isinstance(baseline, str):
        baseline = {f"metrics{Path(baseline).suffix}": baseline}
    graph = content.get("graph")
    faults = (parse_time(value) for value in content.get("earlier_faults_in_metrics_window") or ())
    return CaseSettings(
        services=tuple(str(service) for service in content.get("services") or ()),
        columns=_parse_columns(columns),
        alert=content["alert"] if isinstance(content.get("alert"), Mapping) else {},
        calls=parse_calls(_read_json(_beside(folder, graph))) if isinstance(graph, str) else frozenset(),
        baseline={name: _beside(folder, str(path)) for name, path in baseline.items()},
        earlier_faults=tuple(fault for fault in faults if fault),
    )


def parse_calls(content: Any) -> Calls:
    """Return the calls of ``{"edges": [[caller, callee], ...]}``; further values of an edge are ignored.

    >>> sorted(parse_calls({"edges": [["web", "cart", 12], ["web"]]}))
    [('web', 'cart')]
    """
    edges = content.get("edges") if isinstance(content, Mapping) else None
    return frozenset(
        (str(edge[0]), str(edge[1])) for edge in edges or () if isinstance(edge, list | tuple) and len(edge) >= _EDGE
    )


def _parse_columns(columns: Any) -> dict[str, tuple[str, str]]:
    """A map of column to component, to [component, metric] or to an object with both, or a list of [column, component]."""
    if isinstance(columns, list):
        pairs = [pair for pair in columns if isinstance(pair, list) and len(pair) == _PAIR]
        return {str(column): (str(service), _without_prefix(str(column), f"{service}_")) for column, service in pairs}
    found: dict[str, tuple[str, str]] = {}
    for column, said in columns.items() if isinstance(columns, Mapping) else ():
        if isinstance(said, str):
            found[str(column)] = (said, _without_prefix(str(column), f"{said}_"))
        elif isinstance(said, list) and len(said) == _PAIR:
            found[str(column)] = (str(said[0]), str(said[1]))
        elif isinstance(said, Mapping) and said.get("service") and said.get("metric"):
            metric = "_".join(str(said[key]) for key in ("metric", "stat") if said.get(key))
            found[str(column)] = (str(said["service"]), metric)
    return found


def _without_prefix(column: str, prefix: str) -> str:
    return column.removeprefix(prefix) or column


def _beside(folder: Path, named: str) -> Path:
    path = (folder / named).resolve()
    if not path.is_relative_to(folder.resolve().parent):
        raise InputError(f"{folder / 'case.json'}: {named!r:.80} lies outside of the cases' folder")
    return path


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON: {error}") from error
