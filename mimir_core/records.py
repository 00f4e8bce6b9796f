"""The typed records that travel between the parts of Mimir, as JSON lines in files and as arguments in code.

Comes in: nothing; importing does nothing. Goes out: frozen pydantic models, each with a ``schema_version``.
Surprises: an :class:`Evidence` computes its own id from its content and refuses any other, and a
:class:`Diagnosis` holds nothing that varies between two runs on the same case (that is a :class:`Run`).
"""

import hashlib
import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

Probability = Annotated[float, Field(ge=0.0, le=1.0)]
UnixSeconds = Annotated[float, Field(ge=-1e10, le=1e10)]
ChartValue = Annotated[float, Field(ge=-1e300, le=1e300)]
"""What can be drawn: far from where the span of an axis overflows."""


def content_hash(content: Any, length: int = 12) -> str:
    """Return the first ``length`` hex digits of the SHA-256 of ``content`` as canonical JSON.

    >>> content_hash({"b": 1, "a": 2}) == content_hash({"a": 2, "b": 1})
    True
    """
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()[:length]


class Record(BaseModel):
    """Base of all records: frozen, unknown fields refused, versioned."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1


# --- what kind of trouble ---------------------------------------------------------------------------------------


class FaultKind(StrEnum):
    """What kind of fault a cause is."""

    CPU = "cpu"
    MEMORY = "memory"
    DISK = "disk"
    NETWORK = "network"
    LATENCY = "latency"
    CRASH = "crash"
    CONFIGURATION = "configuration"
    CODE_CHANGE = "code_change"
    DEPENDENCY = "dependency"
    TRAFFIC = "traffic"
    STORAGE = "storage"
    SCHEDULING = "scheduling"
    IMAGE = "image"
    PROBE = "probe"
    AUTH = "auth"
    CERTIFICATE = "certificate"
    DNS = "dns"
    QUEUE = "queue"
    DATABASE = "database"
    QUOTA = "quota"
    PIPELINE = "pipeline"
    NONE = "none"


class Category(StrEnum):
    """The coarse class of a diagnosis."""

    HEALTHY = "healthy"
    RESOURCE_EXHAUSTION = "resource_exhaustion"
    CONFIGURATION_ERROR = "configuration_error"
    INFRASTRUCTURE = "infrastructure"


CATEGORY_OF: Mapping[FaultKind, Category] = {
    FaultKind.CPU: Category.RESOURCE_EXHAUSTION,
    FaultKind.MEMORY: Category.RESOURCE_EXHAUSTION,
    FaultKind.DISK: Category.RESOURCE_EXHAUSTION,
    FaultKind.STORAGE: Category.RESOURCE_EXHAUSTION,
    FaultKind.TRAFFIC: Category.RESOURCE_EXHAUSTION,
    FaultKind.QUOTA: Category.RESOURCE_EXHAUSTION,
    FaultKind.QUEUE: Category.RESOURCE_EXHAUSTION,
    FaultKind.DATABASE: Category.RESOURCE_EXHAUSTION,
    FaultKind.SCHEDULING: Category.RESOURCE_EXHAUSTION,
    FaultKind.CONFIGURATION: Category.CONFIGURATION_ERROR,
    FaultKind.CODE_CHANGE: Category.CONFIGURATION_ERROR,
    FaultKind.IMAGE: Category.CONFIGURATION_ERROR,
    FaultKind.PROBE: Category.CONFIGURATION_ERROR,
    FaultKind.AUTH: Category.CONFIGURATION_ERROR,
    FaultKind.CERTIFICATE: Category.CONFIGURATION_ERROR,
    FaultKind.PIPELINE: Category.CONFIGURATION_ERROR,
    FaultKind.NETWORK: Category.INFRASTRUCTURE,
    FaultKind.LATENCY: Category.INFRASTRUCTURE,
    FaultKind.CRASH: Category.INFRASTRUCTURE,
    FaultKind.DEPENDENCY: Category.INFRASTRUCTURE,
    FaultKind.DNS: Category.INFRASTRUCTURE,
    FaultKind.NONE: Category.HEALTHY,
}
"""The one table from fault kind to category."""


# --- what comes in ----------------------------------------------------------------------------------------------


class Window(Record):
    """A span of time, both ends included."""

    start: AwareDatetime
    end: AwareDatetime

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> Self:
        if self.end < self.start:
            raise ValueError(f"window ends at {self.end.isoformat()}, before it starts at {self.start.isoformat()}")
        return self

    def holds(self, other: "Window") -> bool:
        """Whether ``other`` lies inside this window."""
        return self.start <= other.start and other.end <= self.end


class Severity(StrEnum):
    """How bad the sender of the alert says it is."""

    CRITICAL = "critical"
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Alert(Record):
    """One alert, in Alertmanager's words."""

    name: str
    status: Literal["firing", "resolved"] = "firing"
    severity: Severity = Severity.WARNING
    starts_at: AwareDatetime | None = None
    ends_at: AwareDatetime | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    expression: str = ""
    """The query that fired it, where the sender tells."""
    fingerprint: str = ""


class Incident(Record):
    """Something to diagnose: one or more alerts, or a question."""

    id: str
    tenant: str = "default"
    title: str
    description: str = ""
    severity: Severity = Severity.WARNING
    opened_at: AwareDatetime | None = None
    service: str | None = None
    """The affected component, where the sender names it."""
    question: str = ""
    alerts: tuple[Alert, ...] = ()


# --- what was found ---------------------------------------------------------------------------------------------


class EvidenceKind(StrEnum):
    """Where a piece of evidence comes from."""

    ALERT = "alert"
    METRIC = "metric"
    LOG = "log"
    TRACE = "trace"
    KUBERNETES = "kubernetes"
    CHANGE = "change"
    FORECAST = "forecast"
    RUNBOOK = "runbook"


class Outcome(StrEnum):
    """What came of asking: no data is not an error, and neither is a denial."""

    DATA = "data"
    NO_DATA = "no_data"
    ERROR = "error"
    DENIED = "denied"


class Direction(StrEnum):
    """Which way something moved between before and after."""

    UP = "up"
    DOWN = "down"
    STEADY = "steady"
    APPEARED = "appeared"
    VANISHED = "vanished"
    PRESENT = "present"
    """Seen, with nothing to compare it with."""


class Measurement(Record):
    """A number before and after the onset of the incident, and how far apart is still the same."""

    before: float | None = None
    after: float | None = None
    unit: str = ""
    noise: float = Field(default=0.0, ge=0.0)
    """Half-width, in ``unit``, of what counts as no change."""

    @property
    def direction(self) -> Direction:
        """Which way it went.

        >>> Measurement(before=10, after=40, noise=5).direction.value, Measurement(before=10, after=12, noise=5).direction.value
        ('up', 'steady')
        >>> Measurement(before=0, after=7, unit="lines").direction.value, Measurement(after=3).direction.value
        ('appeared', 'present')
        """
        if self.before is None:
            return Direction.PRESENT
        if self.after is None:
            return Direction.VANISHED
        if self.unit == "lines" and self.before == 0 and self.after > 0:
            return Direction.APPEARED
        if self.unit == "lines" and self.after == 0 and self.before > 0:
            return Direction.VANISHED
        if abs(self.after - self.before) <= self.noise:
            return Direction.STEADY
        return Direction.UP if self.after > self.before else Direction.DOWN


class Evidence(Record):
    """One fact with its source. The id is a hash of source, query, window and content, so it can only mean this."""

    id: str = ""
    kind: EvidenceKind
    component: str
    subject: str = Field(min_length=1)
    """What was seen or measured: the sign, the metric or the log template."""
    outcome: Outcome = Outcome.DATA
    origin: str
    """The file, tool or system it was read from."""
    query: str = ""
    """How to ask for it again: a command, a PromQL expression, a column."""
    window: Window | None = None
    observed_at: AwareDatetime | None = None
    collected_at: AwareDatetime | None = None
    """When Mimir asked; None for a recorded case. Not part of the id."""
    value: Measurement | None = None
    score: float = Field(default=0.0, ge=0.0)
    """How far this is from normal, as its analyzer sees it. Not part of the id."""
    excerpt: str = ""

    @model_validator(mode="after")
    def _id_is_the_hash_of_the_content(self) -> Self:
        content = self.model_dump(mode="json", exclude={"id", "score", "collected_at"})
        expected = "e" + content_hash(content)
        if self.id not in ("", expected):
            raise ValueError(f"evidence id {self.id} does not match its content, which hashes to {expected}")
        object.__setattr__(self, "id", expected)
        return self

    @property
    def direction(self) -> Direction:
        """Which way it moved; PRESENT where there is no measurement."""
        return self.value.direction if self.value else Direction.PRESENT


class Candidate(Record):
    """A possible cause, as ranked by the evidence engine."""

    component: str
    fault_kind: FaultKind
    score: Probability
    evidence_ids: tuple[str, ...] = Field(min_length=1)
    """The evidence that decided, strongest first."""


class ChartNode(Record):
    """A component in a graph of calls."""

    component: str
    role: Literal["cause", "affected", "between", "near"]
    """``between``: on a way from the one to the other; ``near``: calls one of them or is called by it."""
    suspicion: Probability


class Chart(Record):
    """One picture of the evidence, as the numbers that a page draws."""

    kind: Literal["series", "lines", "calls"]
    """A metric over time, how often a log template was said, or who calls whom around the fault."""
    title: str
    component: str
    evidence_ids: tuple[str, ...] = ()
    """The evidence that it shows."""
    onset: UnixSeconds | None = None
    unit: str = ""
    times: tuple[UnixSeconds, ...] = ()
    """Of ``values``, in order; for lines the edges of the bins, one more than values."""
    values: tuple[ChartValue | None, ...] = ()
    """None where nothing was recorded."""
    nodes: tuple[ChartNode, ...] = ()
    edges: tuple[tuple[str, str], ...] = ()
    """Who calls whom, (caller, callee), among ``nodes``."""

    @model_validator(mode="after")
    def _each_value_has_a_time(self) -> Self:
        if len(self.times) != len(self.values) + (self.kind == "lines"):
            raise ValueError(f"chart of {self.kind}: {len(self.times)} times for {len(self.values)} values")
        return self


class EvidencePack(Record):
    """Everything that a reasoner may see and cite about one incident."""

    incident: Incident
    window: Window | None = None
    onset: AwareDatetime | None = None
    evidence: tuple[Evidence, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    """Best first."""
    charts: tuple[Chart, ...] = ()
    """What to look at first, for people."""
    namespaces: dict[str, str] = {}
    """Component to Kubernetes namespace, where it was read."""
    sources: dict[str, Outcome] = {}
    """What was asked, and what came of it."""
    dropped: dict[str, int] = {}
    """What was read and not kept, by reason."""
    masked: dict[str, int] = {}
    """Secrets that were masked, by kind."""

    def find(self, evidence_id: str) -> Evidence | None:
        """Return the evidence with this id, or None when the pack does not hold it."""
        return next((item for item in self.evidence if item.id == evidence_id), None)


# --- what is concluded ------------------------------------------------------------------------------------------


class Claim(Record):
    """One checkable statement. Everything in it must follow from each piece of evidence that it cites."""

    component: str
    subject: str
    direction: Direction
    value: float | None = None
    before: float | None = None
    unit: str = ""
    window: Window | None = None
    evidence_ids: tuple[str, ...] = Field(min_length=1)
    text: str


class Hypothesis(Record):
    """A possible explanation, with what speaks for it and what speaks against it."""

    component: str
    fault_kind: FaultKind
    statement: str
    confidence: Probability
    supporting: tuple[Claim, ...] = ()
    contradicting: tuple[Claim, ...] = ()


class Check(Record):
    """A question to the system that tells hypotheses apart."""

    command: str
    would_show: str
    state: Literal["done", "to_do"]
    evidence_ids: tuple[str, ...] = ()


class Risk(StrEnum):
    """How much an action can break."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Action(Record):
    """A proposal. Nothing is executed from a diagnosis alone."""

    name: str
    """Its key in safety_rules.yaml."""
    text: str
    command: str = ""
    risk: Risk
    reversible: bool
    needs_approval: bool
    blast_radius: str
    verification: str
    undo: str = ""
    evidence_ids: tuple[str, ...] = ()
    """Runbook passages and facts that support it."""


class Cause(Record):
    """What broke, where."""

    component: str
    fault_kind: FaultKind
    change_id: str | None = None
    confidence: Probability
    evidence_ids: tuple[str, ...] = Field(min_length=1)


class Citation(Record):
    """Where a cited piece of evidence can be found. The number is for display only."""

    number: int
    evidence_id: str
    origin: str
    query: str = ""


class Verdict(StrEnum):
    """The answer in one word."""

    CAUSE_FOUND = "cause_found"
    HEALTHY = "healthy"
    UNDETERMINED = "undetermined"


class Diagnosis(Record):
    """The five steps: symptoms, hypotheses, checks, root cause, actions. Same case, same bytes."""

    incident_id: str
    verdict: Verdict
    headline: str
    """The answer in one line."""
    reason: str
    """Why, in one line."""
    symptoms: tuple[Claim, ...] = ()
    hypotheses: tuple[Hypothesis, ...] = ()
    checks: tuple[Check, ...] = ()
    causes: tuple[Cause, ...] = ()
    actions: tuple[Action, ...] = ()
    missing: tuple[str, ...] = ()
    citations: tuple[Citation, ...] = ()
    degraded: str | None = None
    """Why the configured reasoner's answer was not used, where it was not."""

    @property
    def category(self) -> Category | None:
        """The coarse class of the first cause; None when undetermined."""
        if self.verdict is Verdict.HEALTHY:
            return Category.HEALTHY
        return CATEGORY_OF[self.causes[0].fault_kind] if self.causes else None

    @property
    def confidence(self) -> float:
        """The first cause's confidence, 0 where no cause is named."""
        return self.causes[0].confidence if self.causes else 0.0


class Run(Record):
    """How one diagnosis came about: all that may vary between two identical diagnoses."""

    id: str
    incident_id: str
    diagnosis_hash: str
    reasoner: str
    model: str | None = None
    prompt_hash: str | None = None
    index_version: str | None = None
    started_at: AwareDatetime
    latency_ms: float = Field(ge=0.0)
    input_tokens: int = 0
    output_tokens: int = 0
    rejected_claims: dict[str, int] = {}
    """Claims that verification dropped, by reason."""


# --- what is known ----------------------------------------------------------------------------------------------


class Document(Record):
    """One ingested document, cleaned and redacted."""

    id: str
    path: str
    title: str
    media_type: str
    text_hash: str
    tags: tuple[str, ...] = ()
    """What its front matter names: services, alerts, tags."""


class Chunk(Record):
    """A piece of a document under one heading."""

    id: str
    document_id: str
    path: str
    title: str
    heading: str
    """The headings above it, joined by ' > '."""
    text: str
    position: int = Field(ge=0)
    tags: tuple[str, ...] = ()
    """Those of its document."""


class Passage(Record):
    """A chunk as an answer to a query."""

    chunk: Chunk
    score: float
    """Cosine similarity of the chunk to the query, whichever search found it."""
    rank: int = Field(ge=1)
    index_version: str
    published_at: AwareDatetime


# --- what is learned --------------------------------------------------------------------------------------------


class Feedback(Record):
    """What a person said about a diagnosis."""

    id: str
    incident_id: str
    diagnosis_hash: str
    verdict: Literal["correct", "wrong", "corrected"]
    cause: Cause | None = None
    actions: tuple[str, ...] = ()
    note: str = ""
    author: str
    given_at: AwareDatetime


class SolvedIncident(Record):
    """What was seen of an incident, and what it really was."""

    pack: EvidencePack
    verdict: Verdict
    causes: tuple[tuple[str, FaultKind], ...] = ()
    """Component and fault kind; empty unless the verdict is ``cause_found``."""
    provenance: str
    system: str


class Example(Record):
    """One training example with its provenance."""

    id: str
    pack: EvidencePack
    diagnosis: Diagnosis
    source: Literal["simulated", "gold", "feedback"]
    provenance: str
    system: str


class Message(BaseModel):
    """One turn of a chat, exactly as the OpenAI API has it: no version, no further field."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: Literal["system", "user", "assistant"]
    content: str


class Chat(Record):
    """An example as a model reads it: what it is asked, and what it should answer."""

    id: str
    source: Literal["simulated", "gold", "feedback"]
    provenance: str
    system: str
    hinted: bool
    """Whether the suspects bear the scores of the evidence engine."""
    suspects: dict[str, str]
    """Key in the prompt (``c1``) to component."""
    causes: tuple[str, ...]
    """Keys of the true causes; none where the verdict is another than ``cause_found``."""
    first: str | None
    """The key of the suspect that the evidence engine ranks first."""
    messages: tuple[Message, ...]
