"""JSON that a tool returned -> statements, by the words that its objects use.

Comes in: parsed JSON of any shape (Kubernetes objects, event lists, log lists, health reports). Goes out: statements for
objects that give a reason, a message or a state, and the load that database statements cause. Surprises: there is no schema,
so an object belongs to the nearest component that it or an object around it names; and a switch tells of a state by its name:
``running: false`` is as bad as ``partition_detected: true``.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from mimir_core.telemetry.json_names import name_of
from mimir_core.telemetry.kubectl_text import is_fine_condition
from mimir_core.telemetry.log_text import parse_level
from mimir_core.telemetry.signals import QueryLoad, State, Statement
from mimir_core.telemetry.times import parse_time

_TIME_KEYS = ("timestamp", "time", "ts", "@timestamp", "date", "Date", "lastTimestamp", "last_time", "eventTime")
_SAYING_KEYS = (
    "reason", "message", "Message", "msg", "error", "phase", "status", "state", "statusMessage", "description", "overall_state",
)  # fmt: skip
_STATE_KEYS = frozenset({"phase", "status", "state", "overall_state"})
_FINE_VALUES = frozenset(
    {"running", "active", "available", "ok", "true", "ready", "healthy", "normal", "succeeded", "success", "bound", "green"}
)
_BAD_WHEN_TRUE = re.compile(
    r"partition|unhealthy|fail(?:ed|ing|ure)|down|pressure|degraded|alarm|errors?\b|exceeded|full|stuck|blocked|throttled|unreachable"
)
_BAD_WHEN_FALSE = re.compile(
    r"^(?:is_)?(?:running|ready|healthy|available|connected|online|reachable|synced|up|active|ok|success)$"
)
_TROUBLED_NAMES = re.compile(r"unreachable|unavailable|failed|missing|offline|partitioned|under_replicated", re.IGNORECASE)
_QUERY_KEYS = ("statement", "query", "sql", "digest_text", "Statement")
_LOAD_KEYS = ("db_load_avg", "load", "aas", "total_exec_time", "total_time_ms")
_MAX_DEPTH = 40


def parse_json_text(content: Any, component: str, origin: str, query: str = "") -> Iterator[Statement]:
    """Yield a statement for each object that says something, in the order of the document."""
    for node, owner in _objects(content, component, 0):
        if statement := _say(node, owner, origin, query):
            yield statement


def parse_query_loads(content: Any, component: str, origin: str, query: str = "") -> Iterator[QueryLoad]:
    """Yield how much each database statement loads its server, as RDS Performance Insights and alike report it."""
    for node, owner in _objects(content, component, 0):
        text = next((node[key] for key in _QUERY_KEYS if isinstance(node.get(key), str)), "")
        load = next((node[key] for key in _LOAD_KEYS if isinstance(node.get(key), int | float)), None)
        if text and load is not None:
            waits = [wait for wait in node.get("wait_events") or () if isinstance(wait, Mapping) and wait.get("name")]
            shares = {str(wait["name"]): float(wait.get("db_load_avg") or 0.0) for wait in waits}
            yield QueryLoad(owner, " ".join(text.split()), float(load), shares, origin, query)


def is_trouble(name: str, value: Any) -> bool:
    """Whether a switch or a list says by its name that something is wrong.

    >>> is_trouble("running", False), is_trouble("network_partitions_detected", True), is_trouble("unreachable_nodes", ["a"])
    (True, True, True)
    >>> is_trouble("running", True), is_trouble("dry_run", True), is_trouble("unreachable_nodes", [])
    (False, False, False)
    """
    if isinstance(value, bool):
        return bool((_BAD_WHEN_TRUE if value else _BAD_WHEN_FALSE).search(name.lower()))
    return (
        isinstance(value, list) and bool(value) and all(isinstance(v, str) for v in value) and bool(_TROUBLED_NAMES.search(name))
    )


def _objects(node: Any, component: str, depth: int) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Yield every object with the component it belongs to."""
    if depth > _MAX_DEPTH:
        return
    if isinstance(node, list):
        for entry in node:
            yield from _objects(entry, component, depth + 1)
    elif isinstance(node, Mapping):
        owner = name_of(node) or component
        yield node, owner
        for value in node.values():
            if isinstance(value, Mapping | list):
                yield from _objects(value, owner, depth + 1)


def _say(node: Mapping[str, Any], owner: str, origin: str, query: str) -> Statement | None:
    said = {key: str(node[key]) for key in _SAYING_KEYS if isinstance(node.get(key), str) and node[key]}
    troubles = {key: value for key, value in node.items() if is_trouble(key, value)}
    if not said and not troubles:
        return None
    if isinstance(node.get("type"), str):
        said = {"type": node["type"], **said}
    message = said.get("message") or said.get("Message") or said.get("msg") or ""
    is_log = bool(message) and "reason" not in said and any(key in node for key in _TIME_KEYS)
    is_event = "reason" in said and any(key in node for key in (*_TIME_KEYS, "count"))
    switches = [
        f"{key}: {', '.join(value) if isinstance(value, list) else str(value).lower()}" for key, value in troubles.items()
    ]
    text = message if is_log else ", ".join([*(f"{key}: {value}" for key, value in said.items()), *switches])
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
        state="bad" if troubles and not is_log else _state(said, is_event=is_event),
        count=count if isinstance(count, int) and count > 0 else 1,
    )


def _state(said: Mapping[str, str], *, is_event: bool) -> State:
    """An event or a bare message tells what happened; a word for a state tells how things are."""
    if "overall_state" in said:  # a monitor: its message is a text it would send
        return "fine" if said["overall_state"].lower() in _FINE_VALUES else "bad"
    if "type" in said and said.get("status") in ("True", "False", "Unknown"):
        return "fine" if is_fine_condition(said["type"], said["status"]) else "bad"
    if is_event or not _STATE_KEYS & set(said) or "message" in said:
        return "bad" if "reason" in said and not is_event else "untold"
    words = (value.lower() for key, value in said.items() if key != "type")
    return "fine" if all(word in _FINE_VALUES for word in words) else "bad"
