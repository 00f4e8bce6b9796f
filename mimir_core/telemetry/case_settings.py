"""``case.json`` -> how the files of a case are to be read.

Comes in: its parsed content. Goes out: :class:`CaseSettings`. Surprise: only the keys named here are looked at, so that a
benchmark's truth in the same file (its cause, the time of its injection) cannot reach an answer.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from mimir_core.errors import InputError
from mimir_core.telemetry.signals import Calls
from mimir_core.telemetry.times import parse_time


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
        InputError: A key holds something else than it should, or a file that it names is missing, no JSON, or elsewhere.
    """
    columns, graph, baseline = content.get("columns"), content.get("graph"), content.get("baseline")
    if isinstance(columns, str):
        columns = _read_json(_beside(folder, columns))
    if isinstance(baseline, str):
        baseline = {f"metrics{Path(baseline).suffix}": baseline}
    if not isinstance(baseline, Mapping | None):
        raise InputError(f"{folder / 'case.json'}: baseline: expected a path or an object of paths, got {baseline!r:.80}")
    return CaseSettings(
        services=tuple(map(str, _list_at(content, "services", folder))),
        columns=_parse_columns(columns),
        alert=content["alert"] if isinstance(content.get("alert"), Mapping) else {},
        calls=parse_calls(_read_json(_beside(folder, graph))) if isinstance(graph, str) else frozenset(),
        baseline={name: _beside(folder, str(path)) for name, path in (baseline or {}).items()},
        earlier_faults=tuple(_parse_faults(content, folder)),
    )


def parse_calls(content: Any) -> Calls:
    """Return the calls of ``{"edges": [[caller, callee], ...]}``; further values of an edge are ignored.

    >>> sorted(parse_calls({"edges": [["web", "cart", 12], ["web"]]}))
    [('web', 'cart')]
    """
    edges = content.get("edges") if isinstance(content, Mapping) else None
    return frozenset((str(edge[0]), str(edge[1])) for edge in edges or () if isinstance(edge, list | tuple) and len(edge) > 1)


def _parse_faults(content: Mapping[str, Any], folder: Path) -> Iterator[datetime]:
    key = "earlier_faults_in_metrics_window"
    for value in _list_at(content, key, folder):
        fault = parse_time(value)
        if fault is None:
            raise InputError(f"{folder / 'case.json'}: {key}: {value!r:.80} is no time")
        yield fault


def _list_at(content: Mapping[str, Any], key: str, folder: Path) -> list[Any]:
    value = content.get(key) or []
    if not isinstance(value, list):
        raise InputError(f"{folder / 'case.json'}: {key}: expected a list, got {value!r:.80}")
    return value


def _parse_columns(columns: Any) -> dict[str, tuple[str, str]]:
    """A map of column to component, to [component, metric] or to an object with both, or a list of [column, component]."""
    if isinstance(columns, list):
        pairs = [pair for pair in columns if isinstance(pair, list) and len(pair) == 2]
        return {str(column): (str(service), _without_prefix(str(column), f"{service}_")) for column, service in pairs}
    found: dict[str, tuple[str, str]] = {}
    for column, said in columns.items() if isinstance(columns, Mapping) else ():
        if isinstance(said, str):
            found[str(column)] = (said, _without_prefix(str(column), f"{said}_"))
        elif isinstance(said, list) and len(said) == 2:
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
