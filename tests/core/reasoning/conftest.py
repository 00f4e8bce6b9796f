"""What the tests of the model reasoner share: the shipped settings, an incident with a cause, and a model that is scripted."""

from collections.abc import Callable

import pytest
from held_out import metric
from scripted_model import ScriptedModel

from mimir_core.analysis.signs import SignTable
from mimir_core.config import Params, ReasonerSettings
from mimir_core.reasoning.model import ModelReasoner
from mimir_core.records import (
    Candidate,
    Evidence,
    EvidenceKind,
    EvidencePack,
    FaultKind,
    Incident,
    Measurement,
)
from mimir_core.safety.policy import SafetyRules

Reasoner = Callable[..., ModelReasoner]


@pytest.fixture(scope="session")
def settings(params: Params) -> ReasonerSettings:
    return params.reasoner


@pytest.fixture
def reasoner(params: Params, table: SignTable, rules: SafetyRules) -> Reasoner:
    def asking(model: ScriptedModel, **changed: object) -> ModelReasoner:
        settings = params.reasoner.model_copy(update={"model": "m", **changed})
        return ModelReasoner(model, table, rules, params.model_copy(update={"reasoner": settings}))

    return asking


@pytest.fixture
def pack() -> EvidencePack:
    """A shop whose database ran full, seen at its web server; a queue that stayed calm; a page about databases."""
    alert = Evidence(
        kind=EvidenceKind.ALERT,
        component="shop-web",
        subject="WebSlow",
        origin="alert",
        score=1.0,
        excerpt="WebSlow (firing)\nshop-web is slow",
    )
    slow = metric("shop-web", "latency_p95_ms", 80, 900, 0.9)
    full = Evidence(
        kind=EvidenceKind.LOG,
        component="shop-db",
        subject="too many clients",
        origin="db.log",
        value=Measurement(before=0, after=57, unit="lines"),
        score=1.0,
        excerpt="FATAL: sorry, too many clients already (limit 100)",
    )
    calm = metric("shop-queue", "queue_depth", 12, 12, 0.0)
    web_cpu = metric("shop-web", "cpu_cores", 2, 2, 0.0)
    page = Evidence(
        kind=EvidenceKind.RUNBOOK,
        component="shop-db",
        subject="Connections > Mitigation",
        origin="db.md",
        score=0.8,
        excerpt="Raise max_connections to 300.",
    )
    return EvidencePack(
        incident=Incident(id="i1", title="shop-web is slow", service="shop-web"),
        evidence=(alert, slow, full, calm, web_cpu, page),
        candidates=(
            Candidate(component="shop-db", fault_kind=FaultKind.DATABASE, score=0.8, evidence_ids=(full.id,)),
            Candidate(component="shop-web", fault_kind=FaultKind.LATENCY, score=0.3, evidence_ids=(slow.id,)),
        ),
        namespaces={"shop-db": "shop"},
    )
