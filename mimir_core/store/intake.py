"""Alerts as they come -> incidents, each alert stored once, and jobs for what has to be diagnosed.

Comes in: the alerts of one message, any order, any number of times. Goes out: a :class:`Receipt`. An alert is known by its
fingerprint and start (Alertmanager sends it again until it resolves, and may send the end before the beginning). ``homes`` says
which incident it belongs to, ``jobs`` whether that is diagnosed. Surprises: an incident is as severe as its worst alert ever was,
and calm when none of its alerts fires; who works on it then is not disturbed.
"""

import secrets
from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from mimir_core.config import StoreSettings
from mimir_core.records import Alert, Incident, Severity, content_hash
from mimir_core.store.database import Database
from mimir_core.store.history import move
from mimir_core.store.homes import find_home, find_neighbour
from mimir_core.store.jobs import ask, close_job
from mimir_core.store.lifecycle import BUSY, OVER, State, urgent_since
from mimir_core.store.locks import lock_incident, lock_tenant
from mimir_core.store.services import NONE_KNOWN, Services
from mimir_core.store.tables import alerts, audit, incidents, jobs

_WORST_FIRST = list(Severity)
_LONGEST = 64
"""Characters of a fingerprint that the column holds."""


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
    database: Database,
    incident: Incident,
    group_key: str,
    sender: str,
    settings: StoreSettings,
    now: datetime,
    services: Services = NONE_KNOWN,
) -> Receipt:
    """Store an incident's alerts; when this returns they are on the disk.

    Args:
        database: The store.
        incident: With its alerts; one without alerts is itself what fires.
        group_key: What the sender groups by; empty for the affected service.
        sender: Whom the audit names.
        settings: The ``store`` section.
        now: In UTC.
        services: Says who is a neighbour, and how near to users.

    Raises:
        BackendError: Nothing was stored.
    """
    group = content_hash([incident.tenant, group_key or incident.service or incident.title])
    async with database.writing() as connection:
        return await receive_within(connection, incident, group, sender, settings, now, services)


async def receive_within(  # noqa: PLR0913, PLR0917
    connection: AsyncConnection,
    incident: Incident,
    group: str | None,
    sender: str,
    settings: StoreSettings,
    now: datetime,
    services: Services,
) -> Receipt:
    """Store an incident's alerts as part of a writing transaction; else like :func:`receive`.

    ``group`` is what its alerts share with those of other messages; None where the incident is to stand alone.
    """
    await lock_tenant(connection, incident.tenant)
    fresh, known = await _split(connection, incident, now)
    for row, alert in known:
        await _progress(connection, row, alert)
    touched, burning = {row.incident_id for row, _ in known}, set[str]()
    asked = suppressed = 0
    if fresh:
        firing = [alert.severity for alert in fresh if alert.status == "firing"]
        home_id = await find_home(connection, incident.tenant, group, settings, now) if group else None
        if group and firing and not home_id:
            home_id = await find_neighbour(connection, incident, services, settings, now)
        if not home_id:
            home_id = await _open(connection, incident, services, sender, now)
        home = await lock_incident(connection, home_id)
        await connection.execute(insert(alerts), [_alert_row(incident, home_id, group, alert, now) for alert in fresh])
        touched.add(home_id)
        if firing:
            home = await _inflame(connection, home, firing, now)
            asked, suppressed = await ask(connection, home, sender, settings, now)
            burning.add(home_id)
    for incident_id in sorted(touched - burning):
        await _settle(connection, incident_id, sender, now)
    return Receipt(tuple(sorted(touched)), len(fresh), len(known), asked, suppressed)


async def _split(
    connection: AsyncConnection, incident: Incident, now: datetime
) -> tuple[list[Alert], list[tuple[Row[Any], Alert]]]:
    """Return the alerts that are new, and those that are stored with their rows.

    Of twins in one message the last counts, and an end more than a beginning.
    """
    beginnings_first = sorted(incident.alerts or (_as_alert(incident),), key=lambda alert: alert.status == "resolved")
    sent = {_key_of(alert, incident, now): alert for alert in beginnings_first}
    prints = {fingerprint for fingerprint, _ in sent}
    rows = await connection.execute(
        select(alerts).where(alerts.c.tenant == incident.tenant, alerts.c.fingerprint.in_(sorted(prints)))
    )
    stored = {(row.fingerprint, row.starts_at): row for row in rows}
    fresh = [alert for key, alert in sent.items() if key not in stored]
    return fresh, [(stored[key], alert) for key, alert in sent.items() if key in stored]


def _key_of(alert: Alert, incident: Incident, now: datetime) -> tuple[str, datetime]:
    """An alert is known by these; one without a fingerprint by its labels, one without a start by when it came."""
    told = alert.fingerprint or content_hash([alert.name, alert.labels, incident.title])
    fingerprint = told if len(told) <= _LONGEST else content_hash([told], _LONGEST)
    return fingerprint, alert.starts_at or incident.opened_at or now


def _as_alert(incident: Incident) -> Alert:
    return Alert(name=incident.title, severity=incident.severity, starts_at=incident.opened_at)


async def _progress(connection: AsyncConnection, row: Row[Any], alert: Alert) -> None:
    """Let a stored alert end; one that has ended does not begin again under the same start."""
    if row.status == "firing" and alert.status == "resolved":
        document = alert.model_dump(mode="json")
        await connection.execute(
            update(alerts).where(alerts.c.number == row.number).values(status="resolved", ends_at=alert.ends_at, alert=document)
        )


async def _open(connection: AsyncConnection, incident: Incident, services: Services, sender: str, now: datetime) -> str:
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
            tier=services.tier(incident.tenant, incident.service),
            opened_at=incident.opened_at,
            received_at=now,
            changed_at=now,
        )
    )
    opened = {"tenant": incident.tenant, "incident_id": identity, "actor": sender, "event": "state"}
    await connection.execute(insert(audit).values(**opened, after=State.RECEIVED.value, reason="received", at=now))
    return identity


def _alert_row(incident: Incident, incident_id: str, group: str | None, alert: Alert, now: datetime) -> dict[str, object]:
    fingerprint, starts_at = _key_of(alert, incident, now)
    return {
        "tenant": incident.tenant,
        "incident_id": incident_id,
        "group_key": group,
        "fingerprint": fingerprint,
        "starts_at": starts_at,
        "ends_at": alert.ends_at,
        "status": alert.status,
        "alert": alert.model_dump(mode="json"),
        "received_at": now,
    }


async def _inflame(connection: AsyncConnection, home: Row[Any], firing: Collection[Severity], now: datetime) -> Row[Any]:
    """Let an incident be calm no more, as severe as the worst of ``firing``, and its job as urgent; return it as it is then."""
    worst = min([Severity(home.severity), *firing], key=_WORST_FIRST.index)
    if worst == home.severity and home.calm_at is None:
        return home
    since = urgent_since(worst, home.tier, now)
    is_calmer = jobs.c.urgent_since > since
    await connection.execute(
        update(jobs).where(jobs.c.incident_id == home.id, jobs.c.is_open, is_calmer).values(urgent_since=since)
    )
    await connection.execute(update(incidents).where(incidents.c.id == home.id).values(severity=worst.value, calm_at=None))
    return (await connection.execute(select(incidents).where(incidents.c.id == home.id))).one()


async def _settle(connection: AsyncConnection, incident_id: str, sender: str, now: datetime) -> None:
    """Resolve an incident none of whose alerts fires; note it where somebody works on it."""
    state = State((await lock_incident(connection, incident_id)).state)
    firing = select(func.count()).where(alerts.c.incident_id == incident_id, alerts.c.status == "firing")
    is_calm = not await connection.scalar(firing)
    await connection.execute(update(incidents).where(incidents.c.id == incident_id).values(calm_at=now if is_calm else None))
    if is_calm and state not in OVER and state not in BUSY:
        await close_job(connection, incident_id, now)
        await move(connection, incident_id, State.RESOLVED, sender, "none of its alerts fires", now)
