"""The checker rejects what was tampered with and keeps what is true."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from mimir_core.reasoning.claims import claim_about
from mimir_core.reasoning.verify import reject, verify
from mimir_core.records import (
    Cause,
    Claim,
    Diagnosis,
    Direction,
    Evidence,
    EvidenceKind,
    EvidencePack,
    FaultKind,
    Incident,
    Measurement,
    Outcome,
    Verdict,
    Window,
)

_START = datetime(2026, 3, 1, tzinfo=UTC)
_METRICS = ("memory_working_set_mib", "cpu_cores", "latency_p95_ms", "error_rate_percent", "connections_active")
_SIGNS = ("OOMKilled", "ConnectionRefused", "PoolExhausted")


def _window(rng: random.Random) -> Window:
    start = _START + timedelta(minutes=rng.randrange(600))
    return Window(start=start, end=start + timedelta(minutes=rng.randrange(10, 90)))


def _metric(rng: random.Random, component: str, metric: str) -> Evidence:
    before = float(f"{rng.uniform(1, 500):.4g}")
    after = float(f"{before * rng.choice((0.3, 1.0, 1.8, 6.0)):.4g}")
    return Evidence(
        kind=EvidenceKind.METRIC,
        component=component,
        subject=metric,
        origin="metrics.csv",
        query=f"{component}:{metric}",
        window=_window(rng),
        value=Measurement(before=before, after=after, noise=before * 0.15),
        excerpt=f"{component} {metric}: median {before:g} before, {after:g} after",
    )


def _log(rng: random.Random, component: str, sign: str) -> Evidence:
    return Evidence(
        kind=EvidenceKind.LOG,
        component=component,
        subject=sign,
        origin=f"logs.jsonl:{rng.randrange(900)}",
        window=_window(rng),
        value=Measurement(before=float(rng.randrange(3)), after=float(rng.randrange(1, 90)), unit="lines"),
        excerpt="dial tcp: it does not answer",
    )


def _pack(seed: int) -> EvidencePack:
    rng = random.Random(seed)
    components = rng.sample(["atlas", "birch-api", "cobalt-db", "delta-web", "ember-queue"], 4)
    evidence = [_metric(rng, component, metric) for component in components for metric in _METRICS]
    evidence += [_log(rng, component, sign) for component in components for sign in _SIGNS]
    return EvidencePack(incident=Incident(id="i1", title="t"), evidence=tuple(evidence))


def _mutants(claim: Claim, pack: EvidencePack, rng: random.Random) -> Iterator[tuple[str, Claim]]:
    other = rng.choice([item for item in pack.evidence if item.id not in claim.evidence_ids])
    yield "swapped id", claim.model_copy(update={"evidence_ids": (other.id,)})
    yield "swapped id", claim.model_copy(update={"evidence_ids": (*claim.evidence_ids, other.id)})
    yield "unknown id", claim.model_copy(update={"evidence_ids": ("e000000000000",)})
    wrong = round((claim.value or 0) * rng.choice((0.5, 0.9, 1.1, 2)) + rng.choice((1, 7)), 3)
    yield "number", claim.model_copy(update={"value": wrong, "text": claim.text.replace(f"{claim.value:g}", f"{wrong:g}")})
    yield "number in the text alone", claim.model_copy(update={"text": f"{claim.text}, that is {wrong * 3 + 0.37:g} in all"})
    opposite = rng.choice([direction for direction in Direction if direction is not claim.direction])
    yield "direction", claim.model_copy(update={"direction": opposite})
    elsewhere = next(item.component for item in pack.evidence if item.component != claim.component)
    yield "component", claim.model_copy(update={"component": elsewhere})
    assert claim.window is not None
    shifted = Window(start=claim.window.start + timedelta(hours=9), end=claim.window.end + timedelta(hours=9))
    yield "window", claim.model_copy(update={"window": shifted})


def test_tampered_claims_are_rejected_and_true_ones_are_not() -> None:
    tried, caught, wronged, true_claims = 0, 0, 0, 0
    missed: list[str] = []
    for seed in range(40):
        pack, rng = _pack(seed), random.Random(seed)
        for item in pack.evidence:
            claim = claim_about(item)
            true_claims += 1
            wronged += reject(claim, pack) is not None
            for kind, mutant in _mutants(claim, pack, rng):
                tried += 1
                if reject(mutant, pack):
                    caught += 1
                else:
                    missed.append(kind)
    assert caught >= 0.95 * tried, missed
    assert wronged <= 0.01 * true_claims


def test_the_text_may_not_say_the_other_direction() -> None:
    pack = _pack(1)
    rising = next(item for item in pack.evidence if item.direction is Direction.UP)
    claim = claim_about(rising)
    assert reject(claim, pack) is None
    assert (
        reject(claim.model_copy(update={"text": claim.text.replace("rose", "fell")}), pack) == "the text says the other direction"
    )


def test_a_runbook_supports_no_symptom_and_no_cause() -> None:
    page = Evidence(
        kind=EvidenceKind.RUNBOOK, component="atlas", subject="Page", origin="page.md", excerpt="atlas may run out of memory"
    )
    pack = EvidencePack(incident=Incident(id="i1", title="t"), evidence=(page,))
    assert reject(claim_about(page), pack) == "a runbook cannot support a symptom or a cause"
    cause = Cause(component="atlas", fault_kind=FaultKind.MEMORY, confidence=0.9, evidence_ids=(page.id,))
    draft = Diagnosis(incident_id="i1", verdict=Verdict.CAUSE_FOUND, headline="-", reason="-", causes=(cause,))
    verified = verify(draft, pack)
    assert verified.diagnosis.verdict is Verdict.UNDETERMINED
    assert verified.diagnosis.causes == ()
    assert verified.rejected.total() == 1


def test_health_that_no_claim_shows_is_undetermined() -> None:
    draft = Diagnosis(incident_id="i1", verdict=Verdict.HEALTHY, headline="-", reason="-")
    assert verify(draft, _pack(1)).diagnosis.verdict is Verdict.UNDETERMINED


@pytest.mark.parametrize("outcome", [Outcome.NO_DATA, Outcome.ERROR, Outcome.DENIED])
def test_a_source_that_gave_no_data_supports_nothing(outcome: Outcome) -> None:
    item = Evidence(kind=EvidenceKind.LOG, component="atlas", subject="OOMKilled", origin="logs", outcome=outcome)
    pack = EvidencePack(incident=Incident(id="i1", title="t"), evidence=(item,))
    assert reject(claim_about(item), pack) == "cites a source that gave no data"


def test_a_rounded_number_is_no_wrong_number() -> None:
    pack = _pack(2)
    claim = claim_about(pack.evidence[0])
    assert claim.value is not None
    rounded = float(f"{claim.value:.3g}")
    assert reject(claim.model_copy(update={"value": rounded, "text": f"about {rounded:g}"}), pack) is None
