"""What a claimed incident brings to be diagnosed, as it was written down.

Comes in: the id of an incident. Goes out: a :class:`Case`: the incident with all its alerts, and what its sender measured.
Surprises: one that does not say since when it is open is open since it was received; what a snapshot means is told by
``mimir_core/telemetry/stored.py``.
"""

from typing import NamedTuple

from sqlalchemy import select, update

from mimir_core.records import Alert, Incident
from mimir_core.store.database import Database
from mimir_core.store.tables import alerts, incidents


class Case(NamedTuple):
    """An incident and what came with it."""

    incident: Incident
    snapshot: dict[str, float | str]
    """Figures by name, or ``{"case": NAME}``; empty where nothing was sent."""


async def read_stored_case(database: Database, incident_id: str) -> Case:
    """Return what is stored of an incident; it must be there, as it is where somebody holds a claim on it.

    Raises:
        BackendError: The database is away.
    """
    async with database.reading() as connection:
        row = (await connection.execute(select(incidents).where(incidents.c.id == incident_id))).one()
        known = select(alerts.c.alert).where(alerts.c.incident_id == incident_id).order_by(alerts.c.number)
        documents = (await connection.scalars(known)).all()
    incident = Incident(
        id=row.id,
        tenant=row.tenant,
        title=row.title,
        description=row.description,
        severity=row.severity,
        opened_at=row.opened_at or row.received_at,
        service=row.service,
        alerts=tuple(Alert.model_validate(document) for document in documents),
    )
    return Case(incident, row.snapshot or {})


async def name_case(database: Database, incident_id: str, name: str) -> None:
    """Note that an incident was recorded in the folder ``name`` of its tenant.

    Raises:
        BackendError: The database is away.
    """
    async with database.writing() as connection:
        await connection.execute(update(incidents).where(incidents.c.id == incident_id).values(snapshot={"case": name}))
