"""What the tests of the evaluation share: four held-out cases, and models that write what they are told to."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from mimir_core.analysis.signs import SignTable
from mimir_core.config import Params
from mimir_core.evaluation.evaluate import Evaluated, evaluate
from mimir_core.evaluation.generations import Generation
from mimir_core.evaluation.variants import variant_of, write_question
from mimir_core.reasoning.claims import claim_about
from mimir_core.reasoning.diagnose import diagnose
from mimir_core.reasoning.proposals import propose
from mimir_core.records import (
    Candidate,
    Cause,
    Diagnosis,
    Evidence,
    EvidenceKind,
    EvidencePack,
    Example,
    FaultKind,
    Hypothesis,
    Incident,
    Measurement,
    Verdict,
)
from mimir_core.safety.policy import SafetyRules

DB, WEB, QUEUE = "shop-db", "shop-web", "shop-queue"


def metric(component: str, subject: str, before: float, after: float, score: float) -> Evidence:
    value = Measurement(before=before, after=after, noise=0.1 * before)
    return Evidence(
        kind=EvidenceKind.METRIC, component=component, subject=subject, origin="metrics.csv", value=value, score=score
    )


SLOW = metric(WEB, "latency_p95_ms", 80, 900, 0.9)
FULL = Evidence(
    kind=EvidenceKind.LOG,
    component=DB,
    subject="too many clients",
    origin="db.log",
    value=Measurement(before=0, after=57, unit="lines"),
    score=1.0,
    excerpt="FATAL: sorry, too many clients already (limit 100)",
)
CALM = metric(QUEUE, "queue_depth", 12, 12, 0.0)
WEB_CPU = metric(WEB, "cpu_cores", 2, 2, 0.0)
PAGE = Evidence(
    kind=EvidenceKind.RUNBOOK,
    component=DB,
    subject="Connections > Mitigation",
    origin="db.md",
    score=0.8,
    excerpt="Raise max_connections to 300.",
)


def pack_of(case: str) -> EvidencePack:
    """A shop whose database ran full, seen at its web server; a queue that stayed calm; a page about databases."""
    alert = Evidence(
        kind=EvidenceKind.ALERT, component=WEB, subject="WebSlow", origin=case, score=1.0, excerpt="WebSlow (firing)\nslow"
    )
    return EvidencePack(
        incident=Incident(id=case, title="shop-web is slow", service=WEB),
        evidence=(alert, SLOW, FULL, CALM, WEB_CPU, PAGE),
        candidates=(
            Candidate(component=DB, fault_kind=FaultKind.DATABASE, score=0.8, evidence_ids=(FULL.id,)),
            Candidate(component=WEB, fault_kind=FaultKind.LATENCY, score=0.3, evidence_ids=(SLOW.id,)),
        ),
        namespaces={DB: "shop"},
    )


def truth_of(case: str, verdict: Verdict, rules: SafetyRules) -> Diagnosis:
    """The database was full: cited are SLOW and FULL, and CALM where nothing was found."""
    pack, found = pack_of(case), verdict is Verdict.CAUSE_FOUND
    full = Hypothesis(
        component=DB,
        fault_kind=FaultKind.DATABASE,
        statement="shop-db gives out its last connection",
        confidence=0.9,
        supporting=(claim_about(FULL),),
    )
    return Diagnosis(
        incident_id=case,
        verdict=verdict,
        headline="-",
        reason="-",
        symptoms=(claim_about(SLOW if found else CALM),),
        hypotheses=(full,) if found else (),
        causes=(Cause(component=DB, fault_kind=FaultKind.DATABASE, confidence=0.9, evidence_ids=(FULL.id,)),) if found else (),
        actions=(propose("raise_connection_limit", DB, (), pack, rules),) if found else (),
        missing=("who holds the connections",) if verdict is Verdict.UNDETERMINED else (),
    )


@pytest.fixture(scope="session")
def cases(rules: SafetyRules) -> list[Example]:
    """Two with a cause, one that was healthy, one that nobody could tell."""
    verdicts = {"a": Verdict.CAUSE_FOUND, "b": Verdict.CAUSE_FOUND, "c": Verdict.HEALTHY, "d": Verdict.UNDETERMINED}
    return [
        Example(
            id=case,
            pack=pack_of(case),
            diagnosis=truth_of(case, verdict, rules),
            source="gold",
            provenance=f"shop {case}",
            system="shop",
        )
        for case, verdict in verdicts.items()
    ]


RIGHT: dict[str, Any] = {
    "symptoms": [SLOW],
    "hypotheses": [
        {
            "suspect": DB,
            "fault_kind": "database",
            "because": "shop-db gives out its last connection",
            "supporting": [FULL],
            "contradicting": [],
        }
    ],
    "checks": [],
    "verdict": "cause_found",
    "causes": [{"suspect": DB, "fault_kind": "database"}],
    "actions": ["raise_connection_limit"],
    "missing": [],
}
"""The true answer, with evidence and names where a model writes keys."""
CHOICE = {name: RIGHT[name] for name in ("verdict", "causes")}
NOTHING = {**RIGHT, "hypotheses": [], "causes": [], "actions": []}
HEALTHY = {**NOTHING, "verdict": "healthy", "symptoms": [CALM]}
UNDETERMINED = {**NOTHING, "verdict": "undetermined", "symptoms": [CALM], "missing": ["who holds the connections"]}

Write = Callable[..., Generation]
Score = Callable[..., Evaluated]


@pytest.fixture(scope="session")
def write(cases: list[Example], rules: SafetyRules, params: Params) -> Write:
    """Return what writes an answer in the keys of its prompt: ``write("tuned", "a", RIGHT)``; a text is written as it is."""
    known = {case.id: case for case in cases}

    def make(variant: str, case: str, said: dict[str, Any] | str, *, guided: bool = True, **told: Any) -> Generation:
        text = said if isinstance(said, str) else json.dumps(in_keys(variant, case, said))
        costs = {"input_tokens": 100, "output_tokens": 20, "seconds": 1.0, **told}
        return Generation(variant=variant, case=case, guided=guided, text=text, **costs)

    def in_keys(variant: str, case: str, said: Any) -> Any:
        prompt = write_question(known[case], variant_of(variant), rules, params.prompt)
        keys = {meant: key for shown in (prompt.evidence, prompt.suspects) for key, meant in shown.items()}

        def keyed(part: Any) -> Any:
            if isinstance(part, dict):
                return {name: keyed(inner) for name, inner in part.items()}
            if isinstance(part, list):
                return [keyed(inner) for inner in part]
            return keys.get(part.id if isinstance(part, Evidence) else part, part)

        return keyed(said)

    return make


@pytest.fixture(scope="session")
def score(cases: list[Example], rules: SafetyRules, table: SignTable, params: Params) -> Score:
    """Return what scores generations; of the trivial choices, one blames the queue."""

    def run(*generations: Generation, **named: str | None) -> Evaluated:
        choices = {name: {case.id: component for case in cases} for name, component in (named or {"constant": QUEUE}).items()}
        return evaluate(
            cases, (), generations, choices, lambda pack: diagnose(pack, table, rules, params.diagnose), rules, params.prompt
        )

    return run
