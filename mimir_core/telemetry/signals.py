"""What the sources of telemetry hand to the analysis: redacted, typed, with their origin.

Comes in: nothing; these are the words that readers and analyzers share. Goes out: :class:`Signals`.
Surprise: a :class:`Statement` is anything that the system said about one component in one breath (a log line, a
container state, an event), so that one table of signs can be held against all of them.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

import pandas as pd

from mimir_core.records import Incident, Outcome
from mimir_core.telemetry.changes import Changes

StatementSource = Literal["log", "kubernetes", "tool"]
Calls = frozenset[tuple[str, str]]
"""Who calls whom: (caller, callee)."""
State = Literal["fine", "bad", "untold"]

SPAN_COLUMNS = ("trace", "span", "parent", "component", "operation", "start_us", "duration_us", "is_error")
"""trace, span, parent: anything that can be compared, parent may point nowhere. start_us: unix microseconds."""

UNKNOWN_COMPONENT = "unknown"
"""Who speaks where nobody is named."""

_WORD = re.compile(r"[a-z0-9](?:[\w.-]*[a-z0-9])?")

_RANDOM = "[bcdfghjklmnpqrstvwxz2456789]"  # the letters that Kubernetes draws suffixes from (k8s.io/apimachinery util/rand)
_POD_OF_DEPLOYMENT = re.compile(rf"-(?=[a-z0-9]*\d)(?:{_RANDOM}{{6,10}}|[0-9a-f]{{8,10}})-[a-z0-9]{{5}}$")
_POD_OF_DEPLOYMENT_WITHOUT_DIGIT = re.compile(rf"-{_RANDOM}{{8,10}}-{_RANDOM}{{5}}$")
_POD_OF_STATEFUL_SET = re.compile(r"-\d{1,3}$")
_POD_OF_DAEMON_SET_OR_JOB = re.compile(rf"-(?!https$){_RANDOM}{{5}}$")


@dataclass(frozen=True)
class Statement:
    """One thing that the system said about one component."""

    source: StatementSource
    component: str
    text: str
    origin: str
    query: str = ""
    time: datetime | None = None
    level: str = ""
    namespace: str = ""
    state: State = "untold"
    """How things are, where the source says so: a ready pod is fine. A line or an event tells what happened: untold."""
    count: int = 1
    """How often it was said, where the source counts (Kubernetes events do)."""
    trace: str = ""
    """The request that it belongs to, where the source says so."""


@dataclass(frozen=True)
class QueryLoad:
    """How much one database statement loads its server."""

    component: str
    query_text: str
    load: float
    """In the unit of its source; only shares of the sum are compared."""
    waits: Mapping[str, float]
    """What it waits for, by wait event, in the same unit."""
    origin: str
    query: str = ""


@dataclass(frozen=True)
class Manifest:
    """One Kubernetes object as the API gives it, in JSON or YAML."""

    body: Mapping[str, Any]
    origin: str
    query: str = ""

    @property
    def kind(self) -> str:
        """What it is."""
        return str(self.body.get("kind") or "")

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.at("metadata", "name") or "")

    @property
    def namespace(self) -> str:
        """Where it lives."""
        return str(self.at("metadata", "namespace") or "")

    def at(self, *keys: str) -> Any:
        """Return what stands at a path of keys, or None."""
        node: Any = self.body
        for key in keys:
            node = node.get(key) if isinstance(node, Mapping) else None
        return node


def no_spans() -> pd.DataFrame:
    """Return a table of spans without a row."""
    return pd.DataFrame({name: pd.Series(dtype=object) for name in SPAN_COLUMNS})


@dataclass
class Reference:
    """What was recorded at a time without faults."""

    metrics: pd.DataFrame = field(default_factory=pd.DataFrame)
    spans: pd.DataFrame = field(default_factory=no_spans)
    statements: list[Statement] = field(default_factory=list)


@dataclass
class Signals:
    """All that was read about one incident."""

    incident: Incident
    metrics: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Index: time (UTC, sorted, unique). Columns: pairs (component, metric). Values: floats, NaN where missing."""
    metrics_origin: str = ""
    """The files or tools that the series come from."""
    statements: list[Statement] = field(default_factory=list)
    manifests: list[Manifest] = field(default_factory=list)
    query_loads: list[QueryLoad] = field(default_factory=list)
    spans: pd.DataFrame = field(default_factory=no_spans)
    """Columns: :data:`SPAN_COLUMNS`."""
    calls: Calls = frozenset()
    """Who calls whom, where the case says so."""
    reference: Reference = field(default_factory=Reference)
    changes: Changes = field(default_factory=Changes)
    """What people changed."""
    earlier_faults: tuple[datetime, ...] = ()
    """When other, known incidents began inside the window of the series."""
    sources: dict[str, Outcome] = field(default_factory=dict)
    dropped: Counter[str] = field(default_factory=Counter)
    masked: Counter[str] = field(default_factory=Counter)
    """Secrets that redaction masked, by kind."""

    def merge_pods(self) -> None:
        """Give the series of a workload's pods to the workload: the mean of those that have a value.

        A name with a hash as Kubernetes draws it is a pod's; one that only ends in a number is, where the rest is known.
        """
        known = {statement.component for statement in self.statements} | {end for call in self.calls for end in call}
        known |= {str(name) for name in self.spans["component"].unique()} | {self.incident.service or ""}
        for part in (self, self.reference):
            owners = map(str, part.metrics.columns.get_level_values(0).unique())
            merged = {name: workload_of(name) for name in owners if name not in known}
            merged = {name: to for name, to in merged.items() if to != name and (to in known or _POD_OF_DEPLOYMENT.search(name))}
            if merged:
                renamed = part.metrics.rename(columns=merged, level=0)
                part.metrics = renamed.T.groupby(level=[0, 1], sort=False).mean().T

    def find_affected(self) -> None:
        """Where the sender names no component, take the longest that its words name; give it what nobody else said."""
        incident = self.incident
        if incident.service is None:
            said = set(_WORD.findall(f"{incident.title} {incident.description} {incident.question}".lower()))
            said |= {workload_of(word) for word in said}
            components = {statement.component for statement in self.statements} | set(self.metrics.columns.get_level_values(0))
            named = sorted((name for name in components if name.lower() in said), key=lambda name: (-len(name), name))
            self.incident = incident.model_copy(update={"service": next(iter(named), None)})
        if service := self.incident.service:
            self.statements = [
                replace(statement, component=service) if statement.component == UNKNOWN_COMPONENT else statement
                for statement in self.statements
            ]
            self.query_loads = [
                replace(load, component=service) if load.component == UNKNOWN_COMPONENT else load for load in self.query_loads
            ]


def workload_of(pod: str) -> str:
    """Return the workload that a pod's name points to.

    >>> workload_of("checkout-api-6d4cf56db6-x7k2p"), workload_of("orders-db-0"), workload_of("node-exporter-x8vkq")
    ('checkout-api', 'orders-db', 'node-exporter')
    >>> workload_of("api-gateway"), workload_of("edge-https")
    ('api-gateway', 'edge-https')
    """
    for suffix in (_POD_OF_DEPLOYMENT, _POD_OF_DEPLOYMENT_WITHOUT_DIGIT, _POD_OF_STATEFUL_SET, _POD_OF_DAEMON_SET_OR_JOB):
        shorter = suffix.sub("", pod)
        if shorter != pod and shorter:
            return shorter
    return pod


def are_related(one: str, other: str) -> bool:
    """Whether two components belong together by name: a replica is named after its primary.

    >>> are_related("orders-db", "orders-db-replica-1"), are_related("orders", "orders2")
    (True, False)
    """
    return one == other or one.startswith(f"{other}-") or other.startswith(f"{one}-")


def join_metrics(frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Put series from several places on one time axis; the first wins where two give the same series and time."""
    joined = pd.DataFrame()
    for frame in frames:
        joined = frame if joined.empty else joined.combine_first(frame)
    return joined.sort_index()
