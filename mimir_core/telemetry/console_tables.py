"""What the consoles of databases and queues print -> statements.

Comes in: text of psql and mysql (columns between bars), ``kafka-consumer-groups --describe``, ``rabbitmqctl list_queues``,
``redis-cli info``. Goes out: one statement a row or notable field, as ``column: value`` pairs. Surprise: what a number means
is said here only where the console gives both the number and its limit or its readers; the rest is left to the signs.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from mimir_core.telemetry.signals import State, Statement

_BARS = re.compile(r"^[\s|+-]*-{3,}[-+|\s]*$")
_INFO = re.compile(r"^([a-z][a-z0-9_]*):(\S.*)$")
_FEWEST_INFO_LINES = 5
_NEARLY_FULL = 0.95
_MANY_MESSAGES = 1000
_QUOTED_CHARACTERS = 240


def parse_console(text: str, component: str, origin: str, query: str = "") -> list[Statement] | None:
    """Return the statements of a console's output, or None when it is no such output."""
    said = _read([line for line in text.splitlines() if line.strip()])
    return None if said is None else [Statement("tool", component, words, origin, query, state=state) for words, state in said]


_Said = tuple[str, State]


def _read(lines: list[str]) -> Iterable[_Said] | None:
    if any(_BARS.match(line) for line in lines[1:]) and any("|" in line for line in lines):
        return (_say(cells) for cells in _barred_rows(lines))
    for number, line in enumerate(lines):
        columns = line.split()
        if {"TOPIC", "LAG", "CONSUMER-ID"} <= set(columns):
            return _kafka(lines[number + 1 :], columns)
        if {"name", "consumers"} <= set(columns):
            return _rabbitmq(lines[number + 1 :], columns)
    fields = [(found[1], found[2]) for line in lines if (found := _INFO.match(line.strip()))]
    if len(fields) >= max(_FEWEST_INFO_LINES, len(lines) // 2):
        return _redis(dict(fields))
    return None


def _say(cells: Mapping[str, str]) -> _Said:
    return ", ".join(f"{name}: {value}" for name, value in cells.items() if value)[:_QUOTED_CHARACTERS], "untold"


def _barred_rows(lines: list[str]) -> Iterator[dict[str, str]]:
    header: list[str] = []
    for before, line in zip(["", *lines], lines, strict=False):
        if _BARS.match(line) and "|" in before:
            header = _split(before)
        elif header and "|" in line and not _BARS.match(line) and len(_split(line)) == len(header) and _split(line) != header:
            yield dict(zip(header, _split(line), strict=True))


def _split(line: str) -> list[str]:
    line = line.strip()
    return [cell.strip() for cell in (line.strip("|") if line.startswith("|") else line).split("|")]


def _kafka(lines: list[str], header: list[str]) -> Iterator[_Said]:
    """Sum the lag of each group and topic; a partition whose consumer is "-" is read by nobody."""
    topics: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for line in lines:
        cells = dict(zip(header, line.split(), strict=False))
        if cells.get("LAG", "").isdigit():
            topics[cells.get("GROUP", ""), cells["TOPIC"]].append(cells)
    for (group, topic), partitions in topics.items():
        lag = sum(int(cells["LAG"]) for cells in partitions)
        unread = sum(cells.get("CONSUMER-ID") == "-" for cells in partitions)
        is_behind = lag >= _MANY_MESSAGES or (unread > 0 and lag > 0)
        said = f"consumer group {group} lags {lag} messages behind on topic {topic}"
        yield f"{said}; {unread} of {len(partitions)} partitions have no consumer", "bad" if is_behind else "fine"


def _rabbitmq(lines: list[str], header: list[str]) -> Iterator[_Said]:
    for line in lines:
        cells = dict(zip(header, line.split("\t") if "\t" in line else line.split(), strict=False))
        waiting = next((cells[name] for name in ("messages_ready", "messages") if cells.get(name, "").isdigit()), None)
        readers = cells.get("consumers", "")
        if waiting is None or not readers.isdigit():
            continue
        is_behind = int(waiting) > 0 and (int(readers) == 0 or int(waiting) >= _MANY_MESSAGES)
        yield f"queue {cells['name']} holds {waiting} messages and has {readers} consumers", "bad" if is_behind else "fine"


def _redis(info: dict[str, str]) -> Iterator[_Said]:
    used, most = info.get("used_memory", ""), info.get("maxmemory", "")
    if used.isdigit() and most.isdigit() and int(most):
        full = int(used) >= _NEARLY_FULL * int(most)
        yield f"used_memory {used} of maxmemory {most}" + (": memory is full" if full else ""), "bad" if full else "fine"
    for name, fine in (("master_link_status", "up"), ("rdb_last_bgsave_status", "ok"), ("aof_last_write_status", "ok")):
        if name in info:
            yield f"{name}: {info[name]}", "fine" if info[name] == fine else "bad"
    for name in ("evicted_keys", "rejected_connections", "blocked_clients"):
        if info.get(name, "0") != "0":
            yield f"{name}: {info[name]}", "untold"
