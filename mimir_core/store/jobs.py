"""What is asked of workers: diagnoses, one at a time for an incident, and so many at a time in a storm.

Comes in: an incident that a new alert fires in. Goes out: a job, or a suppressed incident that gets its turn after the storm.
Surprises: an incident that was diagnosed is not looked at again before a cooldown; for one that is being diagnosed nothing is
asked here, whoever finishes that diagnosis asks for the next (``claims``). A job whose time lies further ahead than any wait is
due: the clock was set back since.
"""

import secrets
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from mimir_core.config import StoreSettings
from mimir_core.records import Severity
from mimir_core.store.clocks import is_near, is_past
from mimir_core.store.database import Database
from mimir_core.store.history import move
from mimir_core.store.lifecycle import ANALYZABLE, OVER, State, urgent_since
from mimir_core.store.locks import lock_tenant
from mimir_core.store.tables import incidents, jobs


async def ask(
    connection: AsyncConnection, incident: Row[Any], actor: str, settings: StoreSettings, now: datetime
) -> tuple[int, int]:
    """Ask for a diagnosis of an incident that a new alert fires in, within a storm's budget.

    Args:
        connection: Of a writing transaction that has locked the tenant, then the incident.
        incident: As it is now.
        actor: Whom the audit names.
        settings: The ``store`` section.
        now: In UTC.

    Returns:
        Jobs that were opened, and incidents that were suppressed: one of them is 1, or none.
    """
    state, due_at = State(incident.state), now
    if state in OVER:
        await move(connection, incident.id, State.REOPENED, actor, "an alert fires again", now)
    elif state in ANALYZABLE:
        await move(connection, incident.id, State.RECEIVED, actor, "a new alert fires", now)
        due_at = max(now, min(now, incident.changed_at) + timedelta(seconds=settings.cooldown_seconds))
    elif state is not State.RECEIVED or await _has_job(connection, incident.id):
        return 0, 0
    if await _count_recent(connection, incident.tenant, settings, now) >= settings.storm_budget:
        reason = f"a storm: more than {settings.storm_budget} diagnoses in {settings.storm_seconds:g} s"
        await move(connection, incident.id, State.SUPPRESSED, actor, reason, now)
        return 0, 1
    await open_job(connection, incident, due_at, now)
    return 1, 0


async def release_suppressed(database: Database, tenant: str, settings: StoreSettings, now: datetime) -> int:
    """Give suppressed incidents their jobs, oldest first, as far as the budget goes. Returns how many."""
    async with database.writing() as connection:
        await lock_tenant(connection, tenant)
        room = settings.storm_budget - await _count_recent(connection, tenant, settings, now)
        waiting = select(incidents).where(incidents.c.tenant == tenant, incidents.c.state == State.SUPPRESSED.value)
        rows = (await connection.execute(waiting.order_by(incidents.c.received_at).limit(max(0, room)))).all()
        for row in rows:
            await move(connection, row.id, State.RECEIVED, "mimir", "the storm is over", now)
            await open_job(connection, row, now, now)
        return len(rows)


async def find_suppressed_tenants(database: Database) -> list[str]:
    """Return whose incidents wait for a storm to end."""
    async with database.reading() as connection:
        waiting = select(incidents.c.tenant).where(incidents.c.state == State.SUPPRESSED.value).distinct()
        return sorted(await connection.scalars(waiting))


async def open_job(connection: AsyncConnection, incident: Row[Any], due_at: datetime, now: datetime) -> None:
    """Let a worker diagnose an incident from ``due_at`` on; an incident has one open job at most."""
    await connection.execute(
        insert(jobs).values(
            id=secrets.token_hex(16),
            tenant=incident.tenant,
            incident_id=incident.id,
            is_open=True,
            urgent_since=urgent_since(Severity(incident.severity), incident.tier, now),
            due_at=due_at,
            created_at=now,
        )
    )


async def close_job(connection: AsyncConnection, incident_id: str, now: datetime) -> None:
    """Ask for no diagnosis any more."""
    mine = update(jobs).where(jobs.c.incident_id == incident_id, jobs.c.is_open)
    await connection.execute(mine.values(is_open=False, ended_at=now))


def is_due(settings: StoreSettings, now: datetime) -> ColumnElement[bool]:
    """Say whether a worker may claim a job.

    Times may be a lease further ahead than any wait: what a worker of the same moment wrote is no clock that was set back.
    """
    lease = settings.lease_seconds
    longest = max(settings.cooldown_seconds, retry_seconds(settings, settings.max_tries))
    is_free = or_(jobs.c.lease_until.is_(None), is_past(jobs.c.lease_until, now, lease + lease))
    return and_(jobs.c.is_open, is_past(jobs.c.due_at, now, longest + lease), is_free)


def retry_seconds(settings: StoreSettings, tries: int) -> float:
    """Return how long a diagnosis that failed so often waits."""
    return settings.retry_seconds * 2.0 ** (tries - 1)


async def _has_job(connection: AsyncConnection, incident_id: str) -> bool:
    return bool(await connection.scalar(select(func.count()).where(jobs.c.incident_id == incident_id, jobs.c.is_open)))


async def _count_recent(connection: AsyncConnection, tenant: str, settings: StoreSettings, now: datetime) -> int:
    recent = is_near(jobs.c.created_at, now, settings.storm_seconds)
    return await connection.scalar(select(func.count()).where(jobs.c.tenant == tenant, recent)) or 0
