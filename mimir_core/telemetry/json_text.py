"""JSON that a tool returned -> statements and series, by the words that its objects use.

Comes in: parsed JSON of any shape (Kubernetes objects, event lists, log lists, metric results). Goes out: statements for
objects that give a reason, a message or a state, and series for objects that hold times beside values.
Surprise: there is no schema. An object belongs to the nearest component that it or an object around it names.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from mimir_core.telemetry.log_text import parse_level
from mimir_core.telemetry.signals import State, Statement, parse_time, workload_of

_NAME_KEYS = (
    "component", "involved_object", "involvedObject", "pod", "pod_name", "service", "source_identifier", "db_instance_identifier",
    "workload_name", "deployment", "container_name", "name", "resource", "host",
)  # fmt: skip
_TIME_KEYS = ("timestamp", "time", "ts", "@timestamp", "date", "lastTimestamp", "last_time", "eventTime")
_SAYING_KEYS = ("reason", "message", "msg", "error", "phase", "status", "state", "statusMessage", "description")
_FINE_VALUES = frozenset({"running", "active", "available", "ok", "true", "ready", "healthy", "normal", "succeeded", "bound"})
_MAX_DEPTH = 40


def parse_json_text(content: Any, component: str, origin: str, query: str = "") -> Iterator[Statement]:
    """Yield a statement for each object that says something, in the order of the document."""
    yield from _walk(content, component, origin, query, depth=0)


def parse_json_series(content: Any, component: str) -> pd.DataFrame:
    """Return the series in ``content``: objects with equally long lists ``timestamps`` and ``values``.

    Returns:
        A frame as :attr:`Signals.metrics`; empty when there is none.
    """
    series = dict(_series(content, component, depth=0))
    return pd.DataFrame(series).sort_index() if series else pd.DataFrame()


def _series(node: Any, component: str, depth: int) -> Iterator[tuple[tuple[str, str], pd.Series]]:
    if depth > _MAX_DEPTH:
        return
    if isinstance(node, list):
        for entry in node:
            yield from _series(entry, component, depth + 1)
    elif isinstance(node, Mapping):
        owner = _dimension(node) or _named(node) or component
        times, values = node.get("timestamps"), node.get("values")
        if isinstance(times, list) and isinstance(values, list) and len(times) == len(values) and times:
            index = pd.DatetimeIndex(pd.to_datetime(pd.Series([parse_time(time) for time in times]), utc=True))
            numbers = pd.to_numeric(pd.Series(values, index=index), errors="coerce").replace([math.inf, -math.inf], math.nan)
            name = str(node.get("metric_name") or node.get("label") or node.get("id") or node.get("unit") or "value")
            yield (owner, name), numbers[numbers.index.notna() & ~numbers.index.duplicated()]
        for key, value in node.items():
            if isinstance(value, Mapping | list):
                nested = f"{key}" if isinstance(value, Mapping) and "timestamps" in value and "metric_name" not in value else None
                for (inner, name), found in _series(value, owner, depth + 1):
                    yield (inner, nested or name), found


def _walk(node: Any, component: str, origin: str, query: str, depth: int) -> Iterator[Statement]:
    if depth > _MAX_DEPTH:
        return
    if isinstance(node, list):
        for entry in node:
            yield from _walk(entry, component, origin, query, depth + 1)
    elif isinstance(node, Mapping):
        owner = _named(node) or component
        if statement := _say(node, owner, origin, query):
            yield statement
        for value in node.values():
            if isinstance(value, Mapping | list):
                yield from _walk(value, owner, origin, query, depth + 1)


def _say(node: Mapping[str, Any], owner: str, origin: str, query: str) -> Statement | None:
    said = {key: str(node[key]) for key in _SAYING_KEYS if isinstance(node.get(key), str) and node[key]}
    if not said:
        return None
    if isinstance(node.get("type"), str):
        said = {"type": node["type"], **said}
    message = said.get("message") or said.get("msg") or ""
    is_log = bool(message) and "reason" not in said and any(key in node for key in _TIME_KEYS)
    text = message if is_log else ", ".join(f"{key}: {value}" for key, value in said.items())
    count = node.get("count")
    return Statement(
        source="log" if is_log else "tool",
        component=owner,
        text=text,
        origin=origin,
        query=query,
        time=next((time for key in _TIME_KEYS if (time := parse_time(node.get(key)))), None),
        level=str(node.get("level") or "").lower() or (said.get("status", "").lower() if is_log else "") or parse_level(message),
        namespace=str(node.get("namespace") or ""),
        state=_state(said, is_event="reason" in said and any(key in node for key in (*_TIME_KEYS, "count"))),
        count=count if isinstance(count, int) and count > 0 else 1,
    )


def _state(said: Mapping[str, str], *, is_event: bool) -> State:
    """An event or a bare message tells what happened; a word for a state tells how things are."""
    if is_event or not {"phase", "status", "state"} & set(said) or "message" in said:
        return "bad" if "reason" in said and not is_event else "untold"
    words = (value.lower() for key, value in said.items() if key != "type")
    return "fine" if all(word in _FINE_VALUES for word in words) else "bad"


def _named(node: Mapping[str, Any]) -> str | None:
    metadata = node.get("metadata")
    if isinstance(metadata, Mapping) and isinstance(metadata.get("name"), str):
        return workload_of(metadata["name"])
    for key in _NAME_KEYS:
        value = node.get(key)
        if isinstance(value, Mapping):
            value = value.get("name")
        if isinstance(value, str) and value:
            return workload_of(value.split("/")[-1])
    return None


def _dimension(node: Mapping[str, Any]) -> str | None:
    """CloudWatch names the resource in its first dimension (AWS API reference, ``Dimension``)."""
    dimensions = node.get("dimensions") or node.get("Dimensions")
    if isinstance(dimensions, list) and dimensions and isinstance(dimensions[0], Mapping):
        value = dimensions[0].get("Value") or dimensions[0].get("value")
        return str(value) if value else None
    return None
