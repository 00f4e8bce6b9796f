"""Alerts as they come -> incidents, each alert stored once, and jobs for what has to be diagnosed.

Comes in: the alerts of one message, any order, any number of times. Goes out: a :class:`Receipt`. An alert is known by its
fingerprint and start (Alertmanager sends it again until it resolves, and may send the end before the beginning). Alerts of one
group share an incident while it is open, and for a cooldown after. Surprises: in a storm every alert is stored but only so many
incidents get a job; the others are suppressed, and come back when the storm is over. An incident is calm when none of its alerts
fires; who works on it then is not disturbed.
"""

import secrets
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Row, and_, func, insert, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from mimir_core.config import StoreSettings
from mimir_core.records import Alert, Incident, Severity, content_hash
from mimir_core.store.database import Database
from mimir_core.store.history import lock_incident, move
from mimir_core.store.lifecycle import BUSY, OVER, State, urgent_since
from mimir_core.store.tables import alerts, audit, incidents, jobs


class Receipt(NamedTuple):
    """What became of a message."""

    incidents: tuple[str, ...]
    """The incidents that its alerts belong to."""
    new_alerts: int
    known_alerts: int
    """Had been stored before."""
    jobs: int
    """Diagnoses that were asked for."""
    suppressed: int
    """Incidents that got no diagnosis, because of a storm."""


async def receive(  # noqa: PLR0913, PLR0917  # what was sent, by whom, when, and how to treat it
    database: Database, incident: Incident, group_key: str, sender: str, settings: StoreSettings, now: datetime
) -> Receipt:
    """Store an incident's alerts; when this returns they are on the disk.

    Args:
        database: The store.
        incident: With its alerts; one without alerts is itself what fires.
        group_key: What the sender groups by; empty for the affected service.
        sender: Whom the audit names.
        settings: The ``store`` section.
        now: In UTC.

    Raises:
        BackendError: Nothing was stored.
    """
    async with database.writing() as connection:
        return await receive_within(connection, incident, group_key, sender, settings, now)


async def receive_within(  # noqa: PLR0913, PLR0917
    connection: AsyncConnection, incident: Incident, group_key: str, sender: str, settings: StoreSettings, now: datetime
) -> Receipt:
    """Store an incident's alerts as part of a writing transaction; else like :func:`receive`."""
    key = content_hash([incident.tenant, group_key or incident.service or incident.title])
    await lock_tenant(connection, incident.tenant)
    fresh, known = await _split(connection, incident, now)
    for row, alert in known:
        await _progress(connection, row, alert)
    touched = {row.incident_id for row, _ in known}
    asked = suppressed = 0
    if fresh:
        home = await _home_of(connection, incident, key, settings, now)
        is_firing = any(alert.status == "firing" for alert in fresh)
        if home is None:
            home = await _open(connection, incident, key, sender, now)
        await connection.execute(insert(alerts), [_alert_row(incident, home.id, alert, now) for alert in fresh])
        touched.add(home.id)
        if is_firing:
            asked, suppressed = await _ask(connection, home, incident, sender, settings, now)
    for incident_id in sorted(touched):
        await _settle(connection, incident_id, sender, now)
    return Receipt(tuple(sorted(touched)), len(fresh), len(known), asked, suppressed)


async def release_suppressed(database: Database, tenant: str, settings: StoreSettings, now: datetime) -> int:
    """Give suppressed incidents their jobs, oldest first, as far as the budget goes. Returns how many."""
    async with database.writing() as connection:
        await lock_tenant(connection, tenant)
        room = settings.storm_budget - await _recent_jobs(connection, tenant, settings, now)
        waiting = select(incidents).where(incidents.c.tenant == tenant, incidents.c.state == State.SUPPRESSED.value)
        rows = (await connection.execute(waiting.order_by(incidents.c.received_at).limit(max(0, room)))).all()
        for row in rows:
            await move(connection, row.id, State.RECEIVED, "mimir", "the storm is over", now)
            await open_job(connection, row, now)
        return len(rows)


async def find_suppressed_tenants(database: Database) -> list[str]:
    """Return whose incidents wait for a storm to end."""
    async with database.reading() as connection:
        waiting = select(incidents.c.tenant).where(incidents.c.state == State.SUPPRESSED.value).distinct()
        return sorted(await connection.scalars(waiting))


async def open_job(connection: AsyncConnection, incident: Row[Any], now: datetime) -> None:
    """Ask for a diagnosis; an incident has one open job at most."""
    await connection.execute(
        insert(jobs).values(
            id=secrets.token_hex(16),
            tenant=incident.tenant,
            incident_id=incident.id,
            is_open=True,
            urgent_since=urgent_since(Severity(incident.severity), incident.tier, now),
            due_at=now,
            created_at=now,
        )
    )


async def lock_tenant(connection: AsyncConnection, tenant: str) -> None:
    """Let one message of a tenant in at a time; SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        await connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"mimir intake {tenant}"})


async def _split(
    connection: AsyncConnection, incident: Incident, now: datetime
) -> tuple[list[Alert], list[tuple[Row[Any], Alert]]]:
    """Return the alerts that are new, and those that are stored with their rows; of twins in one message the last counts."""
    sent = {_key_of(alert, incident, now): alert for alert in incident.alerts or (_as_alert(incident),)}
    prints = {fingerprint for fingerprint, _ in sent}
    rows = await connection.execute(
        select(alerts).where(alerts.c.tenant == incident.tenant, alerts.c.fingerprint.in_(sorted(prints)))
    )
    stored = {(row.fingerprint, row.starts_at): row for row in rows}
    fresh = [alert for key, alert in sent.items() if key not in stored]
    return fresh, [(stored[key], alert) for key, alert in sent.items() if key in stored]


def _key_of(alert: Alert, incident: Incident, now: datetime) -> tuple[str, datetime]:
    """An alert is known by these; one without a fingerprint by its labels, one without a start by when it came."""
    print_ = alert.fingerprint or content_hash([alert.name, alert.labels, incident.title])
    return print_[:64], alert.starts_at or incident.opened_at or now


def _as_alert(incident: Incident) -> Alert:
    return Alert(name=incident.title, severity=incident.severity, starts_at=incident.opened_at)


async def _progress(connection: AsyncConnection, row: Row[Any], alert: Alert) -> None:
    """Let a stored alert end; one that has ended does not begin again under the same start."""
    if row.status == "firing" and alert.status == "resolved":
        document = alert.model_dump(mode="json")
        await connection.execute(
            update(alerts).where(alerts.c.number == row.number).values(status="resolved", ends_at=alert.ends_at, alert=document)
        )


async def _home_of(
    connection: AsyncConnection, incident: Incident, key: str, settings: StoreSettings, now: datetime
) -> Row[Any] | None:
    """Return the group's incident that is open, or was until a moment ago."""
    over = [state.value for state in OVER]
    is_recent = incidents.c.changed_at >= now - timedelta(seconds=settings.cooldown_seconds)
    query = (
        select(incidents)
        .where(incidents.c.tenant == incident.tenant, incidents.c.group_key == key)
        .where(or_(incidents.c.state.not_in(over), and_(incidents.c.state.in_(over), is_recent)))
        .order_by(incidents.c.received_at.desc())
        .limit(1)
    )
    return (await connection.execute(query)).one_or_none()


async def _open(connection: AsyncConnection, incident: Incident, key: str, sender: str, now: datetime) -> Row[Any]:
    identity = "i" + secrets.token_hex(12)
    await connection.execute(
        insert(incidents).values(
            id=identity,
            tenant=incident.tenant,
            state=State.RECEIVED.value,
            title=incident.title,
            description=incident.description,
            severity=incident.severity.value,
            service=incident.service,
            tier=4,
            group_key=key,
            opened_at=incident.opened_at,
            received_at=now,
            changed_at=now,
        )
    )
    opened = {"tenant": incident.tenant, "incident_id": identity, "actor": sender, "event": "state"}
    await connection.execute(insert(audit).values(**opened, after=State.RECEIVED.value, reason="received", at=now))
    return (await connection.execute(select(incidents).where(incidents.c.id == identity))).one()


def _alert_row(incident: Incident, incident_id: str, alert: Alert, now: datetime) -> dict[str, object]:
    fingerprint, starts_at = _key_of(alert, incident, now)
    return {
        "tenant": incident.tenant,
        "incident_id": incident_id,
        "fingerprint": fingerprint,
        "starts_at": starts_at,
        "ends_at": alert.ends_at,
        "status": alert.status,
        "alert": alert.model_dump(mode="json"),
        "received_at": now,
    }


async def _ask(  # noqa: PLR0913, PLR0917
    connection: AsyncConnection,
    home: Row[Any],
    incident: Incident,
    sender: str,
    settings: StoreSettings,
    now: datetime,
) -> tuple[int, int]:
    """Ask for a diagnosis of an incident that fires; within a storm's budget. Returns (jobs, suppressed incidents)."""
    state = State(home.state)
    if state in OVER:
        await move(connection, home.id, State.REOPENED, sender, "an alert fires again", now)
    elif state is not State.RECEIVED or await _has_open_job(connection, home.id):
        return 0, 0
    if await _recent_jobs(connection, incident.tenant, settings, now) >= settings.storm_budget:
        reason = f"a storm: more than {settings.storm_budget} diagnoses in {settings.storm_seconds:g} s"
        await move(connection, home.id, State.SUPPRESSED, sender, reason, now)
        return 0, 1
    await open_job(connection, home, now)
    return 1, 0


async def _settle(connection: AsyncConnection, incident_id: str, sender: str, now: datetime) -> None:
    """Resolve an incident none of whose alerts fires; note it where somebody works on it."""
    open_jobs = select(jobs.c.id).where(jobs.c.incident_id == incident_id, jobs.c.is_open)
    await connection.execute(open_jobs.with_for_update())  # before the incident, as workers do: no deadlock
    state = State((await connection.execute(lock_incident(incident_id))).one().state)
    firing = select(func.count()).where(alerts.c.incident_id == incident_id, alerts.c.status == "firing")
    is_calm = not await connection.scalar(firing)
    await connection.execute(update(incidents).where(incidents.c.id == incident_id).values(calm_at=now if is_calm else None))
    if is_calm and state not in OVER and state not in BUSY:
        await connection.execute(
            update(jobs).where(jobs.c.incident_id == incident_id, jobs.c.is_open).values(is_open=False, ended_at=now)
        )
        await move(connection, incident_id, State.RESOLVED, sender, "none of its alerts fires", now)


async def _has_open_job(connection: AsyncConnection, incident_id: str) -> bool:
    return bool(await connection.scalar(select(func.count()).where(jobs.c.incident_id == incident_id, jobs.c.is_open)))


async def _recent_jobs(connection: AsyncConnection, tenant: str, settings: StoreSettings, now: datetime) -> int:
    since = now - timedelta(seconds=settings.storm_seconds)
    return await connection.scalar(select(func.count()).where(jobs.c.tenant == tenant, jobs.c.created_at > since)) or 0
