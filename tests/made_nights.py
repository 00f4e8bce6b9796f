"""Diagnoses that were never made, as the store would hold them."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import insert

from mimir_core.records import (
    Alert,
    Cause,
    Diagnosis,
    Evidence,
    EvidenceKind,
    EvidencePack,
    FaultKind,
    Incident,
    Outcome,
    Run,
    Verdict,
    content_hash,
)
from mimir_core.store.database import Database
from mimir_core.store.nights import StoredDiagnosis
from mimir_core.store.tables import diagnoses, incidents, jobs, packs, runs


def stored(  # noqa: PLR0913  # a diagnosis has many sides
    name: str,
    at: datetime,
    *,
    verdict: Verdict = Verdict.CAUSE_FOUND,
    kind: FaultKind = FaultKind.CPU,
    confidence: float = 0.7,
    seconds: float = 1.5,
) -> StoredDiagnosis:
    """Return a sound diagnosis of the incident ``name``."""
    seen = Evidence(kind=EvidenceKind.METRIC, component="cart", subject="cpu", origin="metrics.csv")
    asked = {"metrics.csv": Outcome.DATA, "logs": Outcome.NO_DATA, "Prometheus": Outcome.ERROR, "cluster": Outcome.DENIED}
    incident = Incident(id=name, title="cart is slow", alerts=(Alert(name="Slow"), Alert(name="Failing")))
    cause = Cause(component="cart", fault_kind=kind, confidence=confidence, evidence_ids=(seen.id,))
    causes = (cause,) if verdict is Verdict.CAUSE_FOUND else ()
    diagnosis = Diagnosis(incident_id=name, verdict=verdict, headline="cart: cpu", reason="because", causes=causes)
    run = Run(
        id=name,
        incident_id=name,
        diagnosis_hash=content_hash(diagnosis.model_dump(mode="json"), 64),
        reasoner="builtin",
        started_at=at,
        latency_ms=1000 * seconds,
        rejected_claims={"a number is wrong": 2, "the unit is wrong": 1},
    )
    pack = EvidencePack(incident=incident, evidence=(seen,), sources=asked)
    return StoredDiagnosis(name, *(document.model_dump(mode="json") for document in (pack, diagnosis, run)))


async def write_night(database: Database, night: Sequence[StoredDiagnosis], at: datetime, tenant: str = "default") -> None:
    """Write diagnoses that ended at one moment, with the least that must stand around them."""
    async with database.writing() as connection:
        for one in night:
            times = dict.fromkeys(("received_at", "changed_at"), at)
            known = {
                "id": one.incident_id,
                "tenant": tenant,
                "state": "diagnosed",
                "title": "cart is slow",
                "severity": "warning",
            }
            await connection.execute(insert(incidents).values(**known, tier=4, **times))
            common = {"id": one.incident_id, "tenant": tenant, "incident_id": one.incident_id}
            times = dict.fromkeys(("urgent_since", "due_at", "created_at"), at)
            await connection.execute(insert(jobs).values(**common, is_open=False, **times))
            await connection.execute(insert(packs).values(**common, at=at, pack=one.pack))
            ids = {"job_id": one.incident_id, "pack_id": one.incident_id}
            await connection.execute(insert(diagnoses).values(**common, **ids, at=at, diagnosis=one.diagnosis))
            await connection.execute(insert(runs).values(**common, diagnosis_id=one.incident_id, at=at, run=one.run))
