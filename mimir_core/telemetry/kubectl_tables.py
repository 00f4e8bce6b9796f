"""The tables that ``kubectl get``, ``get events`` and ``kube-lineage`` print -> statements, one a row.

Comes in: text with rows; a header where there is one. Goes out: statements that name the kind of object, quote the row and
tell its state. Surprises: the kind follows from the columns, because pasted text often has no command; rows that ``grep``
cut off from their header are known by their shape.
"""

import re
from collections.abc import Iterator

from mimir_core.telemetry.signals import State, Statement, workload_of

_HEADER = re.compile(r"^(?:NAMESPACE\s+)?(?:NAME|LAST SEEN|LASTSEEN)\s{2,}[A-Z].*$", re.MULTILINE)
_TREE = re.compile(r"^[\s│├└─]+(?=[A-Z])")
_BARE_ROW = re.compile(r"^(?:(?P<NAMESPACE>[a-z0-9-]+)\s+)?(?P<NAME>\S+)\s+(?P<READY>\d+/\d+)\s+(?P<rest>\S.*)$")
_BARE_STATE = re.compile(r"(?P<STATUS>[A-Z][\w:/]*)\s+(?P<RESTARTS>\d+(?: \([^)]*\))?)\s")
_JUST_RESTARTED = re.compile(r"\d+ \((?:\d+m)?(?:\d+s)? ago\)")
"""Less than an hour ago."""
_FINE_WORDS = frozenset({"running", "completed", "succeeded", "ready", "active", "bound", "complete", "available"})
_QUOTED_CHARACTERS = 240

_KINDS = (
    ("PersistentVolumeClaim", {"VOLUME", "ACCESS MODES"}),
    ("PersistentVolume", {"CLAIM", "RECLAIM POLICY"}),
    ("HorizontalPodAutoscaler", {"REFERENCE", "TARGETS"}),
    ("CronJob", {"SCHEDULE", "LAST SCHEDULE"}),
    ("Job", {"COMPLETIONS"}),
    ("Endpoints", {"ENDPOINTS"}),
    ("Ingress", {"HOSTS", "PORTS"}),
    ("Service", {"CLUSTER-IP"}),
    ("PodDisruptionBudget", {"MIN AVAILABLE"}),
    ("Certificate", {"SECRET", "READY"}),
    ("ResourceQuota", {"REQUEST", "LIMIT"}),
    ("Node", {"ROLES", "VERSION"}),
    ("DaemonSet", {"DESIRED", "NODE SELECTOR"}),
    ("ReplicaSet", {"DESIRED", "CURRENT"}),
    ("Deployment", {"UP-TO-DATE", "AVAILABLE"}),
)
"""What the columns of a table say about its rows; the first that fits."""


def is_table(text: str) -> bool:
    r"""Whether ``text`` holds rows as kubectl prints them.

    >>> is_table("NAME     READY   STATUS\nweb-1    1/1     Running"), is_table("ERROR cannot connect")
    (True, False)
    >>> is_table("shop   web-1    0/1     Error   0   2m")
    True
    """
    lines = text.splitlines()
    return bool(_HEADER.search(text)) or (bool(lines) and all(_BARE_ROW.match(line) for line in lines if line.strip()))


def parse_tables(text: str, origin: str, query: str = "") -> Iterator[Statement]:
    """Yield a statement for each row."""
    columns: dict[str, int] = {}
    kind = ""
    for line in text.splitlines():
        row = _TREE.sub("", line)
        if _HEADER.match(line):
            columns = {name: line.index(name) for name in re.split(r"\s{2,}", line.strip())}
            kind = next((name for name, needed in _KINDS if needed <= set(columns)), "")
        elif columns and len(row.split()) > 1 and not row.startswith((" ", "\t")):
            yield _statement(kind, _cells(row, columns, shift=len(line) - len(row)), row, origin, query)
        elif not columns and (bare := _BARE_ROW.match(line)):
            yield _statement("", _bare_cells(bare), line, origin, query)


def _cells(row: str, columns: dict[str, int], shift: int) -> dict[str, str]:
    """Cut one row by the two spaces between its cells; by the header's positions where that does not fit."""
    values = re.split(r"\s{2,}", row.strip())
    if len(values) == len(columns):
        return dict(zip(columns, values, strict=True))
    starts = [max(0, start - shift) for start in columns.values()] + [len(row)]
    return {name: row[starts[i] : max(starts[i], starts[i + 1])].strip() for i, name in enumerate(columns)}


def _bare_cells(row: re.Match[str]) -> dict[str, str]:
    state = _BARE_STATE.match(row["rest"] + " ")
    cells = {"NAMESPACE": row["NAMESPACE"] or "", "NAME": row["NAME"], "READY": row["READY"]}
    return cells | (state.groupdict() if state else {})


def _statement(kind: str, cells: dict[str, str], row: str, origin: str, query: str) -> Statement:
    namespace = cells.get("NAMESPACE", "")
    if "MESSAGE" in cells:
        object_kind, _, name = cells.get("OBJECT", "").rpartition("/")
        text = f"{cells.get('TYPE', '')} {cells.get('REASON', '')}: {cells['MESSAGE']}".strip()
        component = name if object_kind.lower() == "node" else workload_of(name)
        return Statement("kubernetes", component, text, origin, query, namespace=namespace)
    owner, _, name = cells.get("NAME", "").rpartition("/")
    text = re.sub(r"\s{2,}", "  ", f"{kind} {row.strip()}".strip())[:_QUOTED_CHARACTERS]
    if owner == "Event":
        return Statement("kubernetes", workload_of(name.rpartition(".")[0]), text, origin, query)
    if "ReplicaSet" in (kind, owner):
        name = name.rpartition("-")[0] or name
    component = name if kind == "Node" else workload_of(name)
    return Statement("kubernetes", component, text, origin, query, namespace=namespace, state=_state(kind, cells))


def _state(kind: str, cells: dict[str, str]) -> State:
    """A row tells of a state when it has a column for one."""
    match kind:
        case "Endpoints":
            return _told(cells["ENDPOINTS"] != "<none>")
        case "HorizontalPodAutoscaler":
            return "bad" if "<unknown>" in cells["TARGETS"] else "untold"
        case "Service":
            return "bad" if cells.get("EXTERNAL-IP") == "<pending>" else "untold"
        case "Certificate":
            return _told(cells["READY"] == "True")
        case "ReplicaSet" | "DaemonSet":
            return _told(cells["DESIRED"] == cells.get("READY", cells["DESIRED"]))
    status, ready = cells.get("STATUS", ""), cells.get("READY", "")
    have, slash, want = ready.partition("/")
    if not status and not slash:
        return "untold"
    is_whole = not slash or have == want or status == "Completed"
    is_fine = is_whole and (status.lower() in _FINE_WORDS or not status)
    return _told(is_fine and not _JUST_RESTARTED.fullmatch(cells.get("RESTARTS", "")))


def _told(is_fine: bool) -> State:
    return "fine" if is_fine else "bad"
