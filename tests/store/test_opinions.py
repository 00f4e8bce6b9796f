"""What a person corrects today is in the next data set."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from mlflow import MlflowClient
from sqlalchemy import select, update

from mimir_core.analysis.pack import EvidenceEngine
from mimir_core.analysis.signs import read_signs
from mimir_core.backends.mlflow_runs import MlflowBatch, MlflowReviews
from mimir_core.config import StoreSettings, read_params
from mimir_core.reasoning.diagnose import diagnose
from mimir_core.records import Alert, EvidencePack, Example, FaultKind, Incident, Run
from mimir_core.safety.policy import read_safety_rules
from mimir_core.store.claims import claim, finish
from mimir_core.store.database import Database
from mimir_core.store.intake import receive
from mimir_core.store.requests import Asker, CorrectedCause, Opinion, give_feedback
from mimir_core.store.tables import packs, runs
from mimir_core.telemetry.signals import Signals, Statement
from tasks.feedback import export_feedback
from tasks.files import read_records

pytestmark = pytest.mark.anyio
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PARAMS = read_params(Path(__file__).parents[2] / "params.yaml")
ASKER = Asker("default", "kim", NOON)


async def diagnosed(database: Database, settings: StoreSettings, service: str) -> str:
    alert = Alert(name="Slow", starts_at=NOON, fingerprint=service)
    incident = Incident(id="i", title=service, service=service, alerts=(alert,))
    await receive(database, incident, service, "alertmanager", settings, NOON)
    held = await claim(database, "w", settings, NOON)
    assert held is not None
    lines = [("db", "could not write: no space left on device"), (service, "java.lang.OutOfMemoryError: Java heap space")]
    said = [Statement("log", component, text, "case.txt") for component, text in lines]
    signals = Signals(incident.model_copy(update={"id": held.incident_id}), statements=said)
    pack = EvidenceEngine(lambda _query, _top_k: [], read_signs(), PARAMS).build_pack(signals)
    diagnosis = diagnose(pack, read_signs(), read_safety_rules(), PARAMS.diagnose).diagnosis
    run = Run(id="r", incident_id="i", diagnosis_hash="x", reasoner="builtin", started_at=NOON, latency_ms=1.0)
    await finish(database, held, pack, diagnosis, run, settings, NOON)
    return held.incident_id


async def test_corrections_become_examples_and_the_rest_is_counted(
    database: Database, settings: StoreSettings, tmp_path: Path
) -> None:
    first, second, third = [await diagnosed(database, settings, name) for name in ("a", "b", "c")]
    cause = CorrectedCause(component="db", fault_kind=FaultKind.QUOTA)
    await give_feedback(database, first, Opinion(verdict="wrong"), ASKER)
    await give_feedback(database, first, Opinion(verdict="corrected", cause=cause), ASKER._replace(now=NOON.replace(hour=13)))
    await give_feedback(database, second, Opinion(verdict="correct"), ASKER)
    await give_feedback(database, third, Opinion(verdict="wrong"), ASKER)
    counts = await export_feedback(database, PARAMS, tmp_path)
    assert counts == {"kept": 2, "dropped": {"wrong, and nobody said what is right": 1}, "shown": 0}
    right, corrected = read_records(tmp_path / "default.jsonl", Example)
    assert (right.system, corrected.system, corrected.source) == ("b", "a", "feedback")
    assert (corrected.diagnosis.causes[0].component, corrected.diagnosis.causes[0].fault_kind) == ("db", FaultKind.QUOTA)
    assert corrected.provenance == f"corrected by kim at 2026-03-01T13:00:00+00:00, incident {first}"
    assert await export_feedback(database, PARAMS, tmp_path) == counts


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)  # the database is not the point, and MLflow takes its time
async def test_an_opinion_is_shown_once_beside_its_investigation(
    database: Database, settings: StoreSettings, tmp_path: Path
) -> None:
    identity = await diagnosed(database, settings, "a")
    async with database.reading() as connection:
        [row] = (await connection.execute(select(runs, packs.c.pack).join(packs, packs.c.id == runs.c.id))).all()
    pack, run = EvidencePack.model_validate(row.pack), Run.model_validate(row.run)
    diagnosis = diagnose(pack, read_signs(), read_safety_rules(), PARAMS.diagnose).diagnosis
    (tmp_path / "report").mkdir()
    uri = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    batch = MlflowBatch(uri, tmp_path / "mlflow")
    shown = batch.record(pack, diagnosis, run, tmp_path / "report")
    batch.end(1)
    async with database.writing() as connection:
        await connection.execute(update(runs).values(mlflow_run_id=shown))
    cause = CorrectedCause(component="db", fault_kind=FaultKind.QUOTA)
    await give_feedback(database, identity, Opinion(verdict="corrected", cause=cause), ASKER)
    reviews = MlflowReviews(uri, tmp_path / "mlflow")
    assert [(await export_feedback(database, PARAMS, tmp_path, reviews))["shown"] for _ in range(2)] == [1, 0]
    client = MlflowClient(uri)
    assert client.get_run(shown).info.artifact_uri.startswith((tmp_path / "mlflow").as_uri())
    [trace] = client.search_traces(locations=[client.get_run(shown).info.experiment_id], run_id=shown)
    [opinion] = trace.info.assessments
    assert (opinion.value, opinion.rationale, opinion.source.source_id) == ("corrected", "db: quota", "kim")
