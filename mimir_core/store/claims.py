"""Who works on which incident: claims with a lease, conditional on a token.

Comes in: a worker's name. Goes out: a :class:`Claim`, the most urgent job that is due. A claim is a random token in the row of
the job; whoever heartbeats, finishes or gives back must show it, so that a worker that was thought dead and comes back writes
nothing (fencing token: Kleppmann, "Designing Data-Intensive Applications", 2017, chapter 8). PostgreSQL workers skip rows that
others are about to claim (``SKIP LOCKED``), SQLite lets one claim at a time. Surprises: a job whose worker died is not put back
by anybody; its lease runs out, and it is simply due again. After too many tries it is parked, with the reason. A clock that
jumps may end a lease too early: then two work on one incident, the later claim counts, and there is one diagnosis.
"""

import secrets
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Row, Select, and_, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from mimir_core.config import StoreSettings
from mimir_core.errors import MimirError
from mimir_core.records import Diagnosis, EvidencePack, Run, Verdict
from mimir_core.store.database import Database
from mimir_core.store.history import move
from mimir_core.store.jobs import ask, is_due, retry_seconds
from mimir_core.store.lifecycle import State
from mimir_core.store.locks import lock_tenant
from mimir_core.store.tables import alerts, diagnoses, incidents, jobs, packs, runs

_DIED = "its worker stopped without a word"


class Claim(NamedTuple):
    """The right to work on an incident, until the lease ends."""

    job_id: str
    token: str
    incident_id: str
    tenant: str
    worker: str
    tries: int
    """This one included."""
    last_alert: int
    """The number of the latest alert that the incident had then."""


class LostClaimError(MimirError):
    """Somebody else has the job now, or it is done: what was worked out must not be written."""

    http_status = 409


async def claim(database: Database, worker: str, settings: StoreSettings, now: datetime) -> Claim | None:
    """Claim the most urgent job that is due; None where there is none.

    Raises:
        BackendError: The database is away.
    """
    async with database.writing() as connection:
        while row := (await connection.execute(_due(settings, now))).one_or_none():
            if row.tries >= settings.max_tries:
                await _park(connection, row, worker, row.error or _DIED, now)
                continue
            token = secrets.token_hex(16)
            await connection.execute(
                update(jobs)
                .where(jobs.c.id == row.id)
                .values(token=token, worker=worker, tries=row.tries + 1, lease_until=_lease(settings, now), error=None)
            )
            if row.state != State.DIAGNOSING:
                await move(connection, row.incident_id, State.DIAGNOSING, worker, "claimed", now)
            of_incident = alerts.c.incident_id == row.incident_id
            last_alert = await connection.scalar(select(func.max(alerts.c.number)).where(of_incident)) or 0
            return Claim(row.id, token, row.incident_id, row.tenant, worker, row.tries + 1, last_alert)
    return None


async def heartbeat(database: Database, held: Claim, settings: StoreSettings, now: datetime) -> None:
    """Say that the worker is alive: its lease begins anew.

    Raises:
        LostClaimError: The lease ran out and somebody else has the job.
    """
    async with database.writing() as connection:
        await _write_job(connection, held, lease_until=_lease(settings, now))


async def finish(  # noqa: PLR0913, PLR0917  # a diagnosis is three records
    database: Database,
    held: Claim,
    pack: EvidencePack,
    diagnosis: Diagnosis,
    run: Run,
    settings: StoreSettings,
    now: datetime,
) -> None:
    """Write down the diagnosis and let the incident go on: all of it, or nothing.

    It resolves where its alerts have; where new ones fire since it was claimed, which nobody has looked at, it asks for another.

    Raises:
        LostClaimError: Likewise; nothing was written.
    """
    async with database.writing() as connection:
        await lock_tenant(connection, held.tenant)
        await _write_job(connection, held, is_open=False, token=None, lease_until=None, ended_at=now)
        common = {"tenant": held.tenant, "incident_id": held.incident_id, "at": now}
        await connection.execute(insert(packs).values(id=held.job_id, pack=pack.model_dump(mode="json"), **common))
        said = {"id": held.job_id, "job_id": held.job_id, "pack_id": held.job_id, "diagnosis": diagnosis.model_dump(mode="json")}
        await connection.execute(insert(diagnoses).values(**said, **common))
        ran = {"id": held.job_id, "diagnosis_id": held.job_id, "run": run.model_dump(mode="json")}
        await connection.execute(insert(runs).values(**ran, **common))
        mine = incidents.c.id == held.incident_id
        await connection.execute(update(incidents).where(mine).values(detected_at=pack.onset))
        needs_somebody = diagnosis.verdict is Verdict.UNDETERMINED
        state = State.ESCALATED if needs_somebody else State.DIAGNOSED
        await move(connection, held.incident_id, state, held.worker, diagnosis.headline, now)
        if not await _resolve_if_calm(connection, held.incident_id, held.worker, now) and await _has_news(connection, held):
            await ask(connection, (await connection.execute(select(incidents).where(mine))).one(), held.worker, settings, now)


async def note_mlflow_run(database: Database, held: Claim, mlflow_run_id: str) -> None:
    """Write down which MLflow run shows what :func:`finish` wrote.

    Raises:
        BackendError: The database is away.
    """
    async with database.writing() as connection:
        await connection.execute(update(runs).where(runs.c.id == held.job_id).values(mlflow_run_id=mlflow_run_id))


async def give_back(database: Database, held: Claim, error: str, settings: StoreSettings, now: datetime) -> State:
    """Give up for now: the job is due again later, or parked after too many tries. Returns what became of the incident.

    Raises:
        LostClaimError: Likewise.
    """
    async with database.writing() as connection:
        later = now + timedelta(seconds=retry_seconds(settings, held.tries))
        await _write_job(connection, held, token=None, lease_until=None, due_at=later, error=error)
        if held.tries >= settings.max_tries:
            return await _park(connection, (await connection.execute(_job(held.job_id))).one(), held.worker, error, now)
        await move(connection, held.incident_id, State.RECEIVED, held.worker, f"try {held.tries} failed: {error}", now)
        return State.RECEIVED


_COLUMNS = (jobs.c.id, jobs.c.tenant, jobs.c.incident_id, jobs.c.tries, jobs.c.error, incidents.c.state)


def _due(settings: StoreSettings, now: datetime) -> Select[Any]:
    return (
        select(*_COLUMNS)
        .join(incidents, incidents.c.id == jobs.c.incident_id)
        .where(is_due(settings, now))
        .order_by(jobs.c.urgent_since, jobs.c.id)
        .limit(1)
        .with_for_update(skip_locked=True, of=jobs)
    )


def _job(job_id: str) -> Select[Any]:
    return select(*_COLUMNS).join(incidents, incidents.c.id == jobs.c.incident_id).where(jobs.c.id == job_id)


async def _write_job(connection: AsyncConnection, held: Claim, **values: object) -> None:
    is_mine = and_(jobs.c.id == held.job_id, jobs.c.token == held.token, jobs.c.is_open)
    if (await connection.execute(update(jobs).where(is_mine).values(**values))).rowcount != 1:
        raise LostClaimError(f"{held.worker} does not hold job {held.job_id} any more: nothing was written")


async def _park(connection: AsyncConnection, job: Row[Any], worker: str, reason: str, now: datetime) -> State:
    await connection.execute(update(jobs).where(jobs.c.id == job.id).values(is_open=False, token=None, ended_at=now))
    await move(connection, job.incident_id, State.PARKED, worker, f"{job.tries} tries failed, the last: {reason}", now)
    return State.RESOLVED if await _resolve_if_calm(connection, job.incident_id, worker, now) else State.PARKED


async def _resolve_if_calm(connection: AsyncConnection, incident_id: str, worker: str, now: datetime) -> bool:
    calm_at = await connection.scalar(select(incidents.c.calm_at).where(incidents.c.id == incident_id))
    if calm_at:
        await move(connection, incident_id, State.RESOLVED, worker, "its alerts resolved meanwhile", now)
    return bool(calm_at)


async def _has_news(connection: AsyncConnection, held: Claim) -> bool:
    new = and_(alerts.c.incident_id == held.incident_id, alerts.c.number > held.last_alert, alerts.c.status == "firing")
    return bool(await connection.scalar(select(func.count()).where(new)))


def _lease(settings: StoreSettings, now: datetime) -> datetime:
    return now + timedelta(seconds=settings.lease_seconds)
