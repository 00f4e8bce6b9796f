"""Log text -> statements, one a line; stack traces stay with the line that they belong to.

Comes in: text as an application or ``kubectl logs`` prints it, plain lines and JSON records mixed. Goes out:
:class:`Statement` records. Surprise: a line without a time of its own that is indented or starts like a stack frame
continues the line before.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mimir_core.telemetry.signals import Statement, workload_of
from mimir_core.telemetry.times import parse_time

_KEYS = {
    "time": ("time", "timestamp", "ts", "@timestamp"),
    "component": ("component", "service", "app", "container", "logger"),
    "message": ("message", "msg", "log", "text"),
    "level": ("level", "severity"),
    "trace": ("trace_id", "traceId", "trace", "traceID"),
}
_NUMBERED_LEVELS = {"10": "trace", "20": "debug", "30": "info", "40": "warn", "50": "error", "60": "fatal"}
"""Of bunyan and pino, two loggers of Node.js."""

_TIME = re.compile(r"\[?(\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(?:[.,]\d+)?(?:Z|[+-]\d{2}:?\d{2})?)\]?")
_LEVEL = re.compile(r"\b(TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|SEVERE|CRITICAL|FATAL|PANIC)\b|\blevel=(\w+)", re.IGNORECASE)
_CONTINUES = re.compile(r"\s+\S|at \S+\(|Caused by: |\.\.\. \d+ more|Traceback ")
_MAX_CONTINUATION_LINES = 30


def parse_level(text: str) -> str:
    """Return the first log level named in the first 80 characters, lower case, or an empty string.

    >>> parse_level("2026-01-01 00:00:00 WARN pool is full"), parse_level("all good")
    ('warn', '')
    """
    found = _LEVEL.search(text[:80])
    return (found[1] or found[2]).lower() if found else ""


def parse_log_text(text: str, component: str, origin: str, query: str = "") -> Iterator[Statement]:
    """Yield a statement for each line of ``text`` that says something."""
    entry: list[str] = []
    for line in text.splitlines():
        if not line.strip():
            continue
        record = parse_object(line) if line.startswith("{") else None
        if is_api_status(record):
            continue
        if said := parse_log_record(record, component, origin, query):
            if entry:
                yield _statement(entry, component, origin, query)
            entry = []
            yield said
            continue
        if entry and _CONTINUES.match(line) and not _TIME.search(line[:40]):
            if len(entry) <= _MAX_CONTINUATION_LINES:
                entry.append(line.strip())
            continue
        if entry:
            yield _statement(entry, component, origin, query)
        entry = [line.strip()]
    if entry:
        yield _statement(entry, component, origin, query)


def parse_object(text: str) -> Any:
    """Return the parsed JSON, or None when ``text`` is none."""
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return None


def is_api_status(record: Any) -> bool:
    """Whether this is how the Kubernetes API refuses a request: it tells of the request, not of the system."""
    return isinstance(record, Mapping) and record.get("kind") == "Status" and "apiVersion" in record


def parse_log_record(record: Any, component: str, origin: str, query: str = "") -> Statement | None:
    """Return what a structured log record says, or None when it is no object with a message.

    Args:
        record: Parsed JSON.
        component: Who spoke, where the record names nobody.
        origin: The file or tool.
        query: How to ask for it again.
    """
    message = _first(record, _KEYS["message"]) if isinstance(record, Mapping) else None
    if not isinstance(record, Mapping) or not str(message or "").strip() or is_api_status(record):
        return None
    failure = record.get("err") or record.get("error") or record.get("exception")
    if isinstance(failure, Mapping):
        failure = failure.get("message")
    text = f"{message}: {failure}" if isinstance(failure, str) and failure and failure not in str(message) else str(message)
    level = str(_first(record, _KEYS["level"]) or "").lower()
    return Statement(
        source="log",
        component=str(_first(record, _KEYS["component"]) or workload_of(str(record.get("pod") or component))),
        text=text,
        origin=origin,
        query=query,
        time=parse_time(_first(record, _KEYS["time"])),
        level=_NUMBERED_LEVELS.get(level, level) or parse_level(text),
        trace=str(trace) if (trace := _first(record, _KEYS["trace"])) is not None else "",
    )


def _first(record: Mapping[str, Any], keys: Iterable[str]) -> Any:
    return next((record[key] for key in keys if record.get(key) not in (None, "")), None)


def _statement(entry: list[str], component: str, origin: str, query: str) -> Statement:
    stamp = _TIME.search(entry[0][:60])
    return Statement(
        source="log",
        component=component,
        text="\n".join(entry),
        origin=origin,
        query=query,
        time=parse_time(stamp[1].replace(",", ".")) if stamp else None,
        level=parse_level(entry[0]),
    )
