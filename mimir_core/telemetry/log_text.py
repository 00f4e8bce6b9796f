"""Plain log text -> statements, one a line; stack traces stay with the line that they belong to.

Comes in: text as an application or ``kubectl logs`` prints it. Goes out: :class:`Statement` records.
Surprise: a line without a time of its own that is indented or starts like a stack frame continues the line before.
"""

import re
from collections.abc import Iterator

from mimir_core.telemetry.signals import Statement, parse_time

_TIME = re.compile(r"\[?(\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(?:[.,]\d+)?(?:Z|[+-]\d{2}:?\d{2})?)\]?")
_LEVEL = re.compile(r"\b(TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|SEVERE|CRITICAL|FATAL|PANIC)\b|\blevel=(\w+)", re.IGNORECASE)
_CONTINUES = re.compile(r"\s+\S|at \S+\(|Caused by: |\.\.\. \d+ more|Traceback ")
_MAX_CONTINUATION_LINES = 30
_TOOL_FRAME = frozenset({"stdout:", "stderr:", "cmd:"})


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
        if not line.strip() or line.strip() in _TOOL_FRAME:
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
