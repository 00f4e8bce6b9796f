"""What is due is diagnosed, whatever fails on the way."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, select, update

import tasks.work
from mimir_core.config import Params, StoreSettings, read_params
from mimir_core.errors import BackendError, InputError
from mimir_core.records import Alert, Diagnosis, EvidencePack, Incident, Run, Verdict
from mimir_core.store.cases import name_case, read_stored_case
from mimir_core.store.database import Database
from mimir_core.store.intake import receive
from mimir_core.store.lifecycle import State
from mimir_core.store.tables import diagnoses, incidents, jobs, runs
from mimir_core.telemetry.signals import Signals
from tasks import paths
from tasks.diagnose import Investigation
from tasks.work import Worker

pytestmark = pytest.mark.anyio
Read = Callable[[], Signals]


class ScriptedRuns:
    """Stands for MLflow: remembers what it was shown, or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.shown = error, list[str]()

    def record(self, pack: EvidencePack, _diagnosis: Diagnosis, _run: Run, report: Path) -> str:
        assert (report / "pack.json").is_file()
        if self.error:
            raise self.error
        self.shown.append(pack.incident.id)
        return f"shown-{pack.incident.id}"


def found(read: Read, _params: Params) -> Investigation:
    incident = read().incident
    diagnosis = Diagnosis(incident_id=incident.id, verdict=Verdict.CAUSE_FOUND, headline="cart: cpu", reason="because")
    told = {"id": "r", "incident_id": incident.id, "diagnosis_hash": "x", "reasoner": "builtin"}
    return Investigation(EvidencePack(incident=incident), diagnosis, Run(**told, started_at=datetime.now(UTC), latency_ms=1.0))


@pytest.fixture
def params(settings: StoreSettings) -> Params:
    given = read_params(paths.PARAMS)
    quick = {"store": settings.model_copy(update={"retry_seconds": 0.0}), "diagnose": given.diagnose}
    return given.model_copy(update=quick)


@pytest.fixture
def worker(params: Params, tmp_path: Path) -> Worker:
    return Worker("w1", params, tmp_path / "cases", tmp_path / "out")


async def send(database: Database, params: Params, *services: str) -> list[str]:
    sent = []
    for service in services:
        now = datetime.now(UTC)
        alert = Alert(name="Slow", starts_at=now, fingerprint=service)
        incident = Incident(id="i", title=f"{service} is slow", service=service, alerts=(alert,))
        sent.extend((await receive(database, incident, service, "alertmanager", params.store, now)).incidents)
    return sent


async def rows(database: Database, table: Table) -> Sequence[Any]:
    async with database.reading() as connection:
        return (await connection.execute(select(table))).all()


async def states(database: Database) -> list[str]:
    return sorted(row.state for row in await rows(database, incidents))


async def test_what_is_open_is_diagnosed_for_real_and_reported(database: Database, worker: Worker, params: Params) -> None:
    plain = params.model_copy(update={"diagnose": params.diagnose.model_copy(update={"passages": 0})})
    sent = await send(database, params, "cart", "web")
    assert await Worker("w1", plain, worker.cases, worker.out).work(database) == len(sent)
    assert await states(database) == ["escalated"] * len(sent)  # alerts alone carry no cause
    assert {row.incident_id for row in await rows(database, diagnoses)} == set(sent)
    assert all((worker.out / one / "report.html").is_file() for one in sent)


async def test_an_incident_brings_its_alerts_its_case_and_since_when(database: Database, params: Params) -> None:
    [sent] = await send(database, params, "cart")
    await name_case(database, sent, "sim-1")
    case = await read_stored_case(database, sent)
    assert (case.incident.id, case.incident.service, case.snapshot) == (sent, "cart", {"case": "sim-1"})
    assert [alert.fingerprint for alert in case.incident.alerts] == ["cart"]
    assert case.incident.opened_at == (await rows(database, incidents))[0].received_at


@pytest.mark.parametrize("error", [BackendError("no index"), InputError("cart.csv:3: not a number"), KeyError("surprise")])
async def test_a_diagnosis_that_fails_is_tried_again_then_parked_and_stops_nobody(
    database: Database, worker: Worker, params: Params, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    bad, _ = await send(database, params, "bad", "good")

    def fail(read: Read, params: Params) -> Investigation:
        if read().incident.id == bad:
            raise error
        return found(read, params)

    monkeypatch.setattr(tasks.work, "investigate", fail)
    assert await worker.work(database) == 1
    assert await states(database) == ["diagnosed", "parked"]
    job = next(row for row in await rows(database, jobs) if row.incident_id == bad)
    assert (job.tries, job.error) == (params.store.max_tries, f"{type(error).__name__}: {error}")


async def test_who_lost_the_claim_writes_nothing_and_goes_on(
    database: Database, worker: Worker, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    await send(database, params, "cart")
    investigate, tried = worker._investigate, list[str]()

    async def lose(_self: Worker, store: Database, held: Any, read: Read) -> Investigation:
        tried.append(held.token)
        done = await investigate(store, held, read)
        if len(tried) == 1:  # somebody else claims it meanwhile, and dies
            async with store.writing() as connection:
                await connection.execute(update(jobs).values({"token": "theirs", "lease_until": long_ago}))
        return done

    long_ago = datetime(2026, 1, 1, tzinfo=UTC)
    monkeypatch.setattr(Worker, "_investigate", lose)
    monkeypatch.setattr(tasks.work, "investigate", found)
    assert await worker.work(database) == 1
    assert len(tried) == 2
    assert len(await rows(database, diagnoses)) == 1


async def test_a_claim_is_kept_while_the_diagnosis_takes_longer_than_a_lease(
    database: Database, worker: Worker, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    await send(database, params, "cart")
    leases = []

    def think(read: Read, params: Params) -> Investigation:
        deadline = time.monotonic() + 20
        while len(leases) < 5 and time.monotonic() < deadline:
            time.sleep(0.02)
        return found(read, params)

    async def beat(*arguments: Any) -> None:
        await heartbeat(*arguments)
        leases.extend(row.lease_until for row in await rows(database, jobs))

    heartbeat = tasks.work.heartbeat
    short = params.model_copy(update={"store": params.store.model_copy(update={"lease_seconds": 1.0})})
    monkeypatch.setattr(tasks.work, "investigate", think)
    monkeypatch.setattr(tasks.work, "heartbeat", beat)
    assert await Worker("w1", short, worker.cases, worker.out).work(database) == 1
    assert leases == sorted(set(leases))
    assert len(leases) == 5
    assert [row.tries for row in await rows(database, jobs)] == [1]


async def test_what_a_storm_suppressed_is_diagnosed_when_there_is_room(
    database: Database, worker: Worker, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks.work, "investigate", found)
    await send(database, params, "a", "b", "c", "late")
    assert await worker.work(database) == params.store.storm_budget == 3
    assert await states(database) == ["diagnosed"] * 3 + [State.SUPPRESSED]
    async with database.writing() as connection:  # the storm passes
        await connection.execute(update(jobs).values(created_at=datetime(2026, 1, 1, tzinfo=UTC)))
    assert await worker.work(database) == 1
    assert await states(database) == ["diagnosed"] * 4


async def test_the_store_knows_which_run_shows_a_diagnosis(
    database: Database, worker: Worker, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks.work, "investigate", found)
    [sent] = await send(database, params, "cart")
    assert await Worker("w1", params, worker.cases, worker.out, ScriptedRuns()).work(database) == 1
    assert [row.mlflow_run_id for row in await rows(database, runs)] == [f"shown-{sent}"]


@pytest.mark.parametrize("error", [BackendError("mlflow is away"), OSError("No space left on device")])
async def test_a_diagnosis_stands_though_nothing_shows_it(
    database: Database, worker: Worker, params: Params, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(tasks.work, "investigate", found)
    await send(database, params, "cart", "web")
    assert await Worker("w1", params, worker.cases, worker.out, ScriptedRuns(error)).work(database) == 2
    assert await states(database) == ["diagnosed"] * 2
    assert [row.mlflow_run_id for row in await rows(database, runs)] == [None] * 2
