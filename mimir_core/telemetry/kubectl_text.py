"""What ``kubectl describe``, ``get`` and ``get events`` print -> statements.

Comes in: the output of one command; `split_commands` cuts what was pasted together. Goes out: :class:`Statement` records
that quote the text: container states, conditions, events and table rows. Surprise: parsing is by the shape of the text, not
by the command that made it, because pasted text often has no command.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from mimir_core.telemetry.signals import State, Statement, workload_of

_PROMPT = re.compile(r"^\$ (?=kubectl|oc )", re.MULTILINE)
_DESCRIBE = re.compile(r"^Name:\s+\S", re.MULTILINE)
_DESCRIBE_TOO = re.compile(r"^(?:Namespace|Labels|Annotations|Roles|Status|CreationTimestamp):", re.MULTILINE)
_TABLE_HEADER = re.compile(r"^(?:NAMESPACE\s+)?(?:NAME|LAST SEEN|LASTSEEN)\s{2,}[A-Z].*$", re.MULTILINE)
_CONTAINER = re.compile(r"^  (\S+):\s*$")
_FIELD = re.compile(r"^(\s*)([A-Z][A-Za-z -]*?):(?:\s+(.*))?$")
_EVENT = re.compile(r"^\s+(Normal|Warning)\s+(\S+)\s+(\S+(?:\s+\(.*?\))?)\s+(\S+)\s+(.*)$")
_EVENT_COUNT = re.compile(r"\(x(\d+) over")
_JUST_RESTARTED = re.compile(r"\d+ \((?:\d+m)?(?:\d+s)? ago\)")
"""Less than an hour ago."""
_FINE_WORDS = frozenset({"running", "completed", "succeeded", "ready", "active", "bound", "complete", "available"})


class _Line(NamedTuple):
    """One thing that is said about a described object."""

    text: str
    state: State = "untold"
    times: int = 1


@dataclass
class _Described:
    """One object of ``kubectl describe``, while it is read."""

    name: str = ""
    namespace: str = ""
    owner: str = ""
    lines: list[_Line] = field(default_factory=list)

    @property
    def component(self) -> str:
        kind, _, owner = self.owner.partition("/")
        if kind == "ReplicaSet":
            return re.sub(r"-[a-z0-9]{6,10}$", "", owner)
        return owner or workload_of(self.name)


def is_kubectl_text(text: str) -> bool:
    r"""Whether ``text`` looks like the output of ``kubectl describe`` or ``kubectl get``.

    >>> is_kubectl_text("NAME     READY   STATUS\nweb-1    1/1     Running"), is_kubectl_text("ERROR cannot connect")
    (True, False)
    """
    return _is_described(text) or bool(_TABLE_HEADER.search(text))


def split_commands(text: str) -> Iterator[tuple[str, str]]:
    r"""Cut a text at its prompts; yield each command (empty before the first prompt) with what it printed.

    >>> list(split_commands("$ kubectl logs web-0 -n shop\nboom\n$ kubectl get pods\nNAME  READY\n"))
    [('kubectl logs web-0 -n shop', 'boom\n'), ('kubectl get pods', 'NAME  READY\n')]
    """
    before, *outputs = _PROMPT.split(text)
    if before.strip():
        yield "", before
    for output in outputs:
        command, _, printed = output.partition("\n")
        yield command.strip(), printed


def _is_described(text: str) -> bool:
    return bool(_DESCRIBE.search(text) and _DESCRIBE_TOO.search(text))


def parse_kubectl_text(text: str, origin: str, query: str = "") -> Iterator[Statement]:
    """Yield what one output says about pods, workloads and nodes."""
    if _is_described(text):
        yield from _parse_describe(text, origin, query)
    else:
        yield from _parse_tables(text, origin, query)


def _parse_describe(text: str, origin: str, query: str) -> Iterator[Statement]:
    starts = [match.start() for match in _DESCRIBE.finditer(text)]
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        described = _read_described(text[start:end])
        for line in described.lines:
            yield Statement(
                source="kubernetes",
                component=described.component,
                text=line.text,
                origin=origin,
                query=query,
                namespace=described.namespace,
                state=line.state,
                count=line.times,
            )


def _read_described(text: str) -> _Described:
    described = _Described()
    section = container = state = ""
    for line in text.splitlines():
        entry = _FIELD.match(line)
        if line[:1].strip():
            section, container = (entry[2], "") if entry else ("", "")
            value = (entry[3] or "").strip() if entry else ""
            match section:
                case "Name" if not described.name:
                    described.name = value
                case "Namespace":
                    described.namespace = value
                case "Controlled By":
                    described.owner = value
                case "Status" | "Reason" | "Message" if value:
                    described.lines.append(_Line(f"{section}: {value}", _state(value.lower() in _FINE_WORDS)))
        elif section == "Events" and (event := _EVENT.match(line)):
            counted = _EVENT_COUNT.search(event[3])
            text = f"{event[1]} {event[2]}: {event[5].strip()}"
            described.lines.append(_Line(text, times=int(counted[1]) if counted else 1))
        elif section == "Conditions":
            described.lines.extend(_condition(line))
        elif section in ("Containers", "Init Containers"):
            if name := _CONTAINER.match(line):
                container = name[1]
            elif entry and container:
                state = _read_container_field(described, container, entry[2], (entry[3] or "").strip(), state)
    return described


def _read_container_field(described: _Described, container: str, key: str, value: str, state: str) -> str:
    """Note one field of a container; returns the state that following fields (reason, exit code) belong to."""
    if key in ("State", "Last State"):
        described.lines.append(_Line(f"container {container} {key}: {value}", _state(key == "State" and value == "Running")))
        return f"{key}: {value}"
    if key in ("Reason", "Message", "Exit Code") and state:
        described.lines.append(_Line(f"container {container} {state}, {key}: {value}", _state(value in ("0", "Completed"))))
    if key == "Restart Count" and value not in ("", "0"):
        described.lines.append(_Line(f"container {container} Restart Count: {value}"))
    return state


def _condition(line: str) -> Iterator[_Line]:
    """Conditions of pods are two columns; those of nodes and deployments carry a reason and a message."""
    words = line.split()
    if len(words) < 2 or words[0] in ("Type", "----") or words[1] not in ("True", "False", "Unknown"):
        return
    pressure = words[0].endswith(("Pressure", "Unavailable", "Failure"))
    fine = (words[1] == "False") if pressure else (words[1] == "True")
    if not fine or words[0] in ("Ready", "Available"):
        yield _Line(f"condition {' '.join(words[:2])} {' '.join(words[2:])}".strip(), _state(fine))


def _parse_tables(text: str, origin: str, query: str) -> Iterator[Statement]:
    columns: dict[str, int] = {}
    for line in text.splitlines():
        if _TABLE_HEADER.match(line):
            columns = {name: line.index(name) for name in re.split(r"\s{2,}", line.strip())}
        elif columns and len(line.split()) > 1 and not line.startswith((" ", "\t")):
            yield _row(_cells(line, columns), line, origin, query)


def _cells(line: str, columns: dict[str, int]) -> dict[str, str]:
    """Cut one row by the two spaces between its cells; by the header's positions where that does not fit."""
    values = re.split(r"\s{2,}", line.strip())
    if len(values) == len(columns):
        return dict(zip(columns, values, strict=True))
    starts = [*columns.values(), len(line)]
    return {name: line[starts[i] : max(starts[i], starts[i + 1])].strip() for i, name in enumerate(columns)}


def _row(cells: dict[str, str], line: str, origin: str, query: str) -> Statement:
    namespace = cells.get("NAMESPACE", "")
    if "MESSAGE" in cells:
        kind, _, name = cells.get("OBJECT", "").rpartition("/")
        text = f"{cells.get('TYPE', '')} {cells.get('REASON', '')}: {cells['MESSAGE']}".strip()
        return Statement(
            "kubernetes",
            name if kind.lower() == "node" else workload_of(name),
            text,
            origin,
            query,
            namespace=namespace,
        )
    name = cells.get("NAME", "").split("/")[-1]
    text = re.sub(r"\s{2,}", "  ", line.strip())
    return Statement("kubernetes", workload_of(name), text, origin, query, namespace=namespace, state=_row_state(cells))


def _row_state(cells: dict[str, str]) -> State:
    """A row tells of a state when it has a column for one."""
    if "ENDPOINTS" in cells:
        return _state(cells["ENDPOINTS"] != "<none>")
    status, ready = cells.get("STATUS", ""), cells.get("READY", "")
    if not status and not ready:
        return "untold"
    have, slash, want = ready.partition("/")
    is_whole = not slash or have == want or status == "Completed"
    is_fine = is_whole and (not status or status.lower() in _FINE_WORDS)
    return _state(is_fine and not _JUST_RESTARTED.fullmatch(cells.get("RESTARTS", "")))


def _state(is_fine: bool) -> State:
    return "fine" if is_fine else "bad"
