"""Incidents as sets of alert events, one JSON object a line -> :class:`EventIncident`.

Comes in: a file, gzipped or not, with ``nodes``, ``edges`` and ``events``: ``metrics [instance, metric, up or down]``,
``traces [caller, callee, operation, status or slow]``, ``logs [instance, template id]``. Goes out: what a method may see.
Surprises: the keys that hold the truth are not looked at; a call is an event of the callee, and a caller that is no instance
(a user) is fine.
"""

import gzip
import json
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from mimir_core.errors import EmptyStageError, InputError
from mimir_core.safety.redact import redact

_GZIP = b"\x1f\x8b"

SignalKind = Literal["metrics", "traces", "logs"]


class AlertEvent(NamedTuple):
    """Something that one instance did not do before. Two events are the same when all of this is."""

    signal: SignalKind
    instance: str
    """Whom it speaks about; of a call, the callee."""
    name: str
    """A metric, an operation, or the id of a log template."""
    change: str = ""
    """``up`` or ``down`` of a metric; the status of a call, or that it was slow; nothing for a log template."""
    caller: str = ""


@dataclass(frozen=True)
class EventIncident:
    """What is known of one incident."""

    case_id: str
    instances: tuple[str, ...]
    edges: tuple[tuple[str, str], ...]
    events: tuple[AlertEvent, ...]
    """Each once, in the order of the file."""
    dropped: Counter[str]


def read_lines(path: Path) -> list[tuple[int, Mapping[str, Any]]]:
    """Return the number and the object of each line that is not blank, redacted.

    Raises:
        InputError: The file cannot be read, or a line is no JSON object; says which.
    """
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if content.startswith(_GZIP) else content).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    entries = []
    for number, line in enumerate(redact(text).text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise InputError(f"{path}: line {number}: is no JSON: {error}") from error
        if not isinstance(entry, Mapping):
            raise InputError(f"{path}: line {number}: expected an object, got {line:.80}")
        entries.append((number, entry))
    return entries


def parse_incidents(lines: Iterable[tuple[int, Mapping[str, Any]]], path: Path) -> list[EventIncident]:
    """Return the incidents of ``lines``, without their truth.

    Args:
        lines: From :func:`read_lines`.
        path: Named in errors.

    Raises:
        InputError: A line is no incident, or two have the same name; says which.
        EmptyStageError: There is no line.
    """
    incidents: dict[str, EventIncident] = {}
    for number, content in lines:
        incident = _parse_incident(content, path, number)
        if incident.case_id in incidents:
            raise InputError(f"{path}: line {number}: another incident is called {incident.case_id} too")
        incidents[incident.case_id] = incident
    if not incidents:
        raise EmptyStageError(f"{path}: holds no incident")
    return list(incidents.values())


def case_id_of(content: Mapping[str, Any], path: Path, number: int) -> str:
    """Return the name of the incident on line ``number``, made of file and line where it has none."""
    return _text(content.get("case_id") or f"{path.name}:{number}")


def _parse_incident(content: Mapping[str, Any], path: Path, number: int) -> EventIncident:
    dropped: Counter[str] = Counter()
    try:
        instances = _texts(content["nodes"])
        edges = [(caller, callee) for caller, callee in (_texts(edge, 2) for edge in content.get("edges") or ())]
        events = list(_events(content["events"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: line {number}: is no incident with `nodes` and `events`: {error!r:.120}") from error
    if not instances or len(set(instances)) < len(instances):
        raise InputError(f"{path}: line {number}: `nodes` is empty or names one twice: {list(instances)!r:.80}")
    known = [event for event in events if event.instance in instances]
    dropped["events of what is not in nodes"] += len(events) - len(known)
    once = tuple(dict.fromkeys(known))
    dropped["events that were there before"] += len(known) - len(once)
    inside = tuple(edge for edge in edges if set(edge) <= set(instances))
    dropped["edges of what is not in nodes"] += len(edges) - len(inside)
    return EventIncident(case_id_of(content, path, number), instances, inside, once, +dropped)


def _events(content: Mapping[str, Any]) -> Iterator[AlertEvent]:
    """Yield the events of all kinds.

    >>> list(_events({"traces": [["web", "db", "find", 500]]}))
    [AlertEvent(signal='traces', instance='db', name='find', change='500', caller='web')]
    """
    for entry in content.get("metrics") or ():
        instance, metric, change = _texts(entry, 3)
        yield AlertEvent("metrics", instance, metric, change)
    for entry in content.get("traces") or ():
        caller, callee, operation, change = _texts(entry, 4)
        yield AlertEvent("traces", callee, operation, change, caller)
    for entry in content.get("logs") or ():
        instance, template = _texts(entry, 2)
        yield AlertEvent("logs", instance, template)


def _texts(entry: Any, length: int | None = None) -> tuple[str, ...]:
    """Return the texts and whole numbers of a list as texts.

    Raises:
        ValueError: It is no list of these, or of another length.
    """
    if not isinstance(entry, list) or not all(isinstance(part, str | int) for part in entry):
        raise ValueError(f"no list of names: {entry!r:.60}")
    if length is not None and len(entry) != length:
        raise ValueError(f"expected {length} names: {entry!r:.60}")
    return tuple(_text(part) for part in entry)


def _text(value: object) -> str:
    """Return ``value`` as text that can be written: JSON can hold halves of characters."""
    return str(value).encode("utf-8", "replace").decode()
