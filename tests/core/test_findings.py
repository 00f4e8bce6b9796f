"""What the engine suspects becomes evidence that says what was seen."""

from datetime import UTC, datetime

from mimir_core.analysis.findings import describe_findings
from mimir_core.analysis.levels import Shift
from mimir_core.analysis.mentions import Mention
from mimir_core.analysis.root_cause import RootCause
from mimir_core.analysis.suspects import Suspicion
from mimir_core.analysis.trace_shape import END, Break
from mimir_core.records import Evidence, EvidenceKind, FaultKind, Measurement

ONSET = datetime(2026, 3, 1, 2, tzinfo=UTC)
BREAK = Break("web", "GET /cart", "ask cart", "cart", END, 0.0, 0.8, 12.0, 40, "")
SHIFT = Shift("cart", "cpu_percent", 20.0, 90.0, 3.0, 1.0)


def _cause(finding: object, signal: str, strength: float = 0.8) -> RootCause:
    reason = Suspicion("web", signal, FaultKind.CODE_CHANGE, strength, finding)
    return RootCause(ONSET, (("web", strength),), (reason,), 0.5, FaultKind.CODE_CHANGE)


def test_an_operation_that_ends_early_is_said_to_end() -> None:
    [(evidence, _)] = describe_findings(_cause(BREAK, "shape"), [])
    assert evidence.kind is EvidenceKind.TRACE
    assert "ask cart -> end: 0% of the calls before, 80% after" in evidence.excerpt


def test_a_series_that_is_evidence_already_is_not_told_again() -> None:
    known = Evidence(
        kind=EvidenceKind.METRIC,
        component="cart",
        subject="cpu_percent",
        origin="metrics.csv",
        value=Measurement(before=20, after=90, noise=3),
        score=0.9,
    )
    assert [evidence for evidence, _ in describe_findings(_cause(SHIFT, "level"), [known])] == [known]
    steady = known.model_copy(update={"score": 0.0})
    assert not list(describe_findings(_cause(SHIFT, "level"), [steady]))


def test_a_faint_suspicion_is_no_evidence() -> None:
    assert not list(describe_findings(_cause(BREAK, "shape", strength=0.1), []))


def test_errors_that_name_a_component_are_evidence_with_the_line() -> None:
    mention = Mention("cart", before=0.1, after=12.0, own=20, share=1.0, example="dial cart: connection refused")
    [(evidence, _)] = describe_findings(_cause(mention, "mention"), [])
    assert evidence.value
    assert (evidence.kind, evidence.excerpt) == (EvidenceKind.LOG, "dial cart: connection refused")
    assert (evidence.value.before, evidence.value.after) == (0.1, 12.0)
