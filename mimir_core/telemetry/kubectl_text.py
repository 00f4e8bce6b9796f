"""What ``kubectl describe``, ``get`` and ``get events`` print -> statements.

Comes in: the output of one command; `split_commands` cuts what was pasted together. Goes out: :class:`Statement` records
that quote the text: container states, conditions, events; ``kubectl_tables`` reads the rows of tables. Surprise: parsing is
by the shape of the text, not by the command that made it, because pasted text often has no command.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from mimir_core.telemetry.kubectl_tables import is_table, parse_tables
from mimir_core.telemetry.signals import State, Statement, workload_of

_PROMPT = re.compile(r"^\$ (?=[a-z])", re.MULTILINE)
_DESCRIBE = re.compile(r"^Name:\s+\S", re.MULTILINE)
_DESCRIBE_TOO = re.compile(r"^(?:Namespace|Labels|Annotations|Roles|Status|CreationTimestamp):", re.MULTILINE)
_CONTAINER = re.compile(r"^ {2,3}([^\s:]+):\s*$")
_FIELD = re.compile(r"^(\s*)([A-Za-z][A-Za-z -]*?):(?:\s+(.*))?$")
_EVENT = re.compile(r"^\s+(Normal|Warning)\s+(\S+)\s+(\S+(?:\s+\(.*?\))?)\s+(\S+)\s+(.*)$")
_EXTENDED_RESOURCE = re.compile(r"\s+([a-z0-9.-]+/[a-z0-9.-]+):\s+(\d+)\s*")
_INSIDE = frozenset({"Started", "Finished", "cpu", "memory", "ephemeral-storage"})
"""Fields that say no new thing of a container but belong to the field above."""
_COUNT = re.compile(r"\((\d+) in total\)")
_QUOTA = re.compile(r"\s*([\w./-]+)\s+(\S+)\s+(\S+)\s*")
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
_SCALES = {"": 1, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_EVENT_COUNT = re.compile(r"\(x(\d+) over")
_FINE_WORDS = frozenset(
    {"running", "completed", "succeeded", "ready", "active", "bound", "complete", "available", "synced", "healthy"}
)


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
    most_pods: int = 0
    """What a node may run."""
    lines: list[_Line] = field(default_factory=list)

    @property
    def component(self) -> str:
        kind, _, owner = self.owner.partition("/")
        if kind == "ReplicaSet":
            return re.sub(r"-[a-z0-9]{6,10}$", "", owner)
        return owner or workload_of(self.name)


def is_kubectl_text(text: str) -> bool:
    """Whether ``text`` looks like the output of ``kubectl describe`` or ``kubectl get``."""
    return _is_described(text) or is_table(text)


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
        yield from parse_tables(text, origin, query)


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
            described.lines.extend(_read_field(described, section, (entry[3] or "").strip() if entry else ""))
        elif "<error:" in line:
            described.lines.append(_Line(f"{section}: {' '.join(line.split())}", "bad"))
        elif section == "Events" and (event := _EVENT.match(line)):
            counted = _EVENT_COUNT.search(event[3])
            text = f"{event[1]} {event[2]}: {event[5].strip()}"
            described.lines.append(_Line(text, times=int(counted[1]) if counted else 1))
        elif section == "Conditions":
            described.lines.extend(_condition(line))
        elif section == "Allocatable" and entry and entry[2] == "pods" and entry[3].isdigit():
            described.most_pods = int(entry[3])
        elif section in ("Containers", "Init Containers", "Pod Template"):
            if name := _CONTAINER.match(line):
                container = name[1]
            elif entry and container:
                state = _read_container_field(described, container, entry[2], (entry[3] or "").strip(), state)
            elif container:
                described.lines.extend(_container_line(container, state, line))
        if used := _QUOTA.fullmatch(line):
            described.lines.extend(_quota(*used.groups()))
    return described


def _read_field(described: _Described, key: str, value: str) -> Iterator[_Line]:
    """Note what a top-level field says about the object, and yield what it says about its state."""
    match key:
        case "Name" if not described.name:
            described.name = value.rpartition("/")[2]
        case "Namespace":
            described.namespace = value
        case "Controlled By":
            described.owner = value
        case "Endpoints":
            yield _Line(f"Endpoints: {value}", _state(value not in ("", "<none>")))
        case "Non-terminated Pods" if (running := _COUNT.search(value)) and described.most_pods:
            count = int(running[1])
            yield _Line(
                f"runs {count} pods of at most {described.most_pods}", "bad" if count >= described.most_pods else "untold"
            )
        case "Suspend" | "Pods Statuses" | "Replicas":
            yield _Line(f"{key}: {value}")
        case "Status" | "Reason" | "Message" | "Phase" | "Sync Status" | "Health Status" if value:
            yield _Line(f"{key}: {value}", _state(value.split(maxsplit=1)[0].lower() in _FINE_WORDS))


def _read_container_field(described: _Described, container: str, key: str, value: str, state: str) -> str:
    """Note one field of a container; returns what the following fields or lines belong to."""
    if key in ("State", "Last State"):
        described.lines.append(_Line(f"container {container} {key}: {value}", _state(key == "State" and value == "Running")))
        return f"{key}: {value}"
    if key in ("Reason", "Message", "Exit Code") and "State" in state:
        described.lines.append(_Line(f"container {container} {state}, {key}: {value}", _state(value in ("0", "Completed"))))
        return state
    if key == "Restart Count" and value not in ("", "0"):
        described.lines.append(_Line(f"container {container} Restart Count: {value}"))
    return key if key in ("Command", "Args", "Requests") else state if key in _INSIDE else ""


def _container_line(container: str, field: str, line: str) -> Iterator[_Line]:
    """A line below a field of a container: a word of its command, or hardware that it asks for."""
    if field in ("Command", "Args"):
        yield _Line(f"container {container} {field}: {line.strip()}")
    elif field == "Requests" and (asked := _EXTENDED_RESOURCE.fullmatch(line)):
        yield _Line(f"container {container} requests {asked[1]}: {asked[2]}")


def _quota(resource: str, used: str, hard: str) -> Iterator[_Line]:
    """A resource of a quota that is used up."""
    amounts = parse_quantity(used), parse_quantity(hard)
    if amounts[0] is not None and amounts[1] is not None and amounts[0] >= amounts[1] > 0:
        yield _Line(f"quota used up: {resource} {used} of {hard}", "bad")


def parse_quantity(text: str) -> float | None:
    """Return a Kubernetes quantity as a number, or None when it is none.

    >>> parse_quantity("500m"), parse_quantity("2Gi"), parse_quantity("Used")
    (0.5, 2147483648.0, None)
    """
    found = _QUANTITY.fullmatch(text)
    return float(found[1]) * _SCALES[found[2] or ""] if found else None


def _condition(line: str) -> Iterator[_Line]:
    """Conditions of pods are two columns; those of nodes and deployments carry a reason and a message."""
    words = line.split()
    if len(words) < 2 or words[0] in ("Type", "----") or words[1] not in ("True", "False", "Unknown"):
        return
    fine = is_fine_condition(words[0], words[1])
    if not fine or words[0] in ("Ready", "Available"):
        yield _Line(f"condition {' '.join(words[:2])} {' '.join(words[2:])}".strip(), _state(fine))


def is_fine_condition(kind: str, status: str) -> bool:
    """Whether a condition says that all is well; some name a trouble, and are fine when they are not so.

    >>> is_fine_condition("Ready", "True"), is_fine_condition("DiskPressure", "True"), is_fine_condition("Ready", "Unknown")
    (True, False, False)
    """
    names_a_trouble = kind.endswith(("Pressure", "Unavailable", "Failure", "Failed", "Limited"))
    return status == ("False" if names_a_trouble else "True")


def _state(is_fine: bool) -> State:
    return "fine" if is_fine else "bad"
