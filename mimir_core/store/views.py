"""What people read of the store: incidents, one with all that is known of it, and the queue.

Comes in: a tenant and what is asked for. Goes out: records that can be shown as they are. Surprise: the page after this one is
named by where this one ended, not by a count, so that incidents that come in meanwhile push nothing out of sight.
"""

import base64
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from pydantic import AwareDatetime
from sqlalchemy import Row, Select, Table, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from mimir_core.config import StoreSettings
from mimir_core.errors import InputError
from mimir_core.records import Alert, Diagnosis, EvidencePack, Record, Severity
from mimir_core.store.database import Database
from mimir_core.store.jobs import is_due
from mimir_core.store.lifecycle import State
from mimir_core.store.tables import alerts, audit, diagnoses, incidents, jobs, packs


class UnknownIncidentError(InputError):
    """The tenant has no such incident."""

    http_status = 404


class IncidentSummary(Record):
    """One incident as a row of a list."""

    id: str
    state: State
    title: str
    description: str
    severity: Severity
    service: str | None
    opened_at: AwareDatetime | None
    received_at: AwareDatetime
    changed_at: AwareDatetime


class StoredAlert(Record):
    """One alert as it stands now."""

    status: Literal["firing", "resolved"]
    ends_at: AwareDatetime | None
    received_at: AwareDatetime
    alert: Alert
    """As it was sent last."""


class Change(Record):
    """One line of an incident's history."""

    at: AwareDatetime
    actor: str
    event: str
    before: str | None
    after: str | None
    reason: str


class IncidentDetail(IncidentSummary):
    """One incident, with all that is known of it."""

    snapshot: dict[str, Any] | None
    """Figures that its sender gave along."""
    alerts: tuple[StoredAlert, ...]
    timeline: tuple[Change, ...]
    """Oldest first."""
    diagnosis: Diagnosis | None
    """The latest."""
    diagnosed_at: AwareDatetime | None
    evidence: EvidencePack | None
    """What the diagnosis cites."""


class IncidentPage(Record):
    """Some incidents, newest first."""

    incidents: tuple[IncidentSummary, ...]
    next: str | None
    """The cursor of the page after this one."""


class Queue(NamedTuple):
    """What waits for a worker, or is worked on."""

    depth: int
    """Open jobs."""
    due: int
    """Those that a worker may claim now."""
    oldest_seconds: float
    """How long the job that has been due for longest has waited; 0 where none is due."""


async def list_incidents(
    database: Database, tenant: str, states: Collection[State], limit: int, cursor: str | None = None
) -> IncidentPage:
    """Return a page of incidents, newest first.

    Args:
        database: The store.
        tenant: Whose.
        states: Only these; all when empty.
        limit: At most so many.
        cursor: ``next`` of the page before.

    Raises:
        InputError: The cursor is of no page.
        BackendError: The database is away.
    """
    query = select(incidents).where(incidents.c.tenant == tenant)
    if states:
        query = query.where(incidents.c.state.in_(sorted(set(states))))
    if cursor is not None:
        at, identity = _read_cursor(cursor)
        before = and_(incidents.c.received_at == at, incidents.c.id < identity)
        query = query.where(or_(incidents.c.received_at < at, before))
    query = query.order_by(incidents.c.received_at.desc(), incidents.c.id.desc()).limit(limit + 1)
    async with database.reading() as connection:
        rows = (await connection.execute(query)).all()
    more = _cursor(rows[limit - 1]) if len(rows) > limit else None
    return IncidentPage(incidents=tuple(IncidentSummary(**_known(row, IncidentSummary)) for row in rows[:limit]), next=more)


async def read_incident(database: Database, tenant: str, incident_id: str) -> IncidentDetail:
    """Return all that is known of an incident.

    Raises:
        UnknownIncidentError: The tenant has none of this id.
        BackendError: The database is away.
    """
    async with database.reading() as connection:
        row = await find_incident(connection, select(incidents), tenant, incident_id)
        sent = await connection.execute(_of(alerts, incident_id).order_by(alerts.c.starts_at, alerts.c.number))
        history = await connection.execute(_of(audit, incident_id).order_by(audit.c.number))
        latest = (await connection.execute(latest_diagnosis(incident_id))).one_or_none()
        pack = await connection.scalar(select(packs.c.pack).where(packs.c.id == latest.pack_id)) if latest else None
    return IncidentDetail(
        **_known(row, IncidentSummary),
        snapshot=row.snapshot,
        alerts=tuple(
            StoredAlert(status=one.status, ends_at=one.ends_at, received_at=one.received_at, alert=Alert(**one.alert))
            for one in sent
        ),
        timeline=tuple(Change(**_known(one, Change)) for one in history),
        diagnosis=Diagnosis.model_validate(latest.diagnosis) if latest else None,
        diagnosed_at=latest.at if latest else None,
        evidence=EvidencePack.model_validate(pack) if pack else None,
    )


async def read_queue(database: Database, settings: StoreSettings, now: datetime) -> Queue:
    """Return how much waits, and for how long.

    Raises:
        BackendError: The database is away.
    """
    due_now = is_due(settings, now)
    figures = select(func.count(), func.count().filter(due_now), func.min(jobs.c.due_at).filter(due_now))
    [(depth, due, due_at)] = await database.fetch(figures.where(jobs.c.is_open))
    return Queue(depth, due, max(0.0, (now - due_at).total_seconds()) if due_at else 0.0)


async def find_incident(connection: AsyncConnection, query: Select[Any], tenant: str, incident_id: str) -> Row[Any]:
    """Return the row that ``query`` finds for this incident of this tenant.

    Raises:
        UnknownIncidentError: There is none.
    """
    mine = query.where(incidents.c.tenant == tenant, incidents.c.id == incident_id)
    row: Row[Any] | None = (await connection.execute(mine)).one_or_none()
    if row is None:
        raise UnknownIncidentError(f"incident {incident_id!r}: there is none")
    return row


def latest_diagnosis(incident_id: str) -> Select[Any]:
    """Return the query for an incident's latest diagnosis."""
    return _of(diagnoses, incident_id).order_by(diagnoses.c.at.desc(), diagnoses.c.id).limit(1)


def _of(table: Table, incident_id: str) -> Select[Any]:
    return select(table).where(table.c.incident_id == incident_id)


def _known(row: Row[Any], model: type[Record]) -> dict[str, Any]:
    """Return what a row holds of a record."""
    return {name: value for name, value in row._asdict().items() if name in model.model_fields}


def _cursor(row: Row[Any]) -> str:
    return base64.urlsafe_b64encode(f"{row.received_at.isoformat()} {row.id}".encode()).decode()


def _read_cursor(cursor: str) -> tuple[datetime, str]:
    try:
        at, _, identity = base64.urlsafe_b64decode(cursor.encode("ascii")).decode("ascii").partition(" ")
        when = datetime.fromisoformat(at)
        in_utc = when.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InputError("cursor: is of no page") from error
    if when.tzinfo is None or not identity.isalnum():
        raise InputError("cursor: is of no page")
    return in_utc, identity
