"""Where an alert belongs: with its group, or with the trouble of a neighbour, or nowhere yet.

Comes in: a message and what it is grouped by. Goes out: the id of an incident, or None. A group keeps to one incident while that
is open, and for a cooldown after; also one that joined it later. A service that has no such incident joins the earliest open
incident of a direct caller or callee, where that came a moment before. Surprises: it is one hop from the service that the
incident began with, however many have joined, and the moment counts from its beginning, so that a whole estate does not merge
one by one. What a person opened is nobody's home: its own alert never resolves, and what joined it would never be over.
"""

from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from mimir_core.config import StoreSettings
from mimir_core.records import Incident
from mimir_core.store.clocks import is_near
from mimir_core.store.lifecycle import OVER
from mimir_core.store.services import Services
from mimir_core.store.tables import alerts, incidents

_IS_OPEN = incidents.c.state.not_in([state.value for state in OVER])


async def find_home(
    connection: AsyncConnection, tenant: str, group_key: str, settings: StoreSettings, now: datetime
) -> str | None:
    """Return the group's incident that is open, or was until a moment ago."""
    mine = select(alerts.c.incident_id).where(alerts.c.tenant == tenant, alerts.c.group_key == group_key)
    latest = mine.order_by(alerts.c.number.desc()).limit(1).scalar_subquery()
    is_recent = is_near(incidents.c.changed_at, now, settings.cooldown_seconds)
    return await connection.scalar(select(incidents.c.id).where(incidents.c.id == latest, or_(_IS_OPEN, is_recent)))


async def find_neighbour(
    connection: AsyncConnection, incident: Incident, services: Services, settings: StoreSettings, now: datetime
) -> str | None:
    """Return the earliest open incident of a caller or callee that came a moment ago."""
    near = services.neighbours(incident.tenant, incident.service)
    if not near:
        return None
    query = (
        select(incidents.c.id)
        .join(alerts, alerts.c.incident_id == incidents.c.id)
        .where(incidents.c.tenant == incident.tenant, incidents.c.service.in_(sorted(near)), _IS_OPEN)
        .where(is_near(incidents.c.received_at, now, settings.topology_seconds), alerts.c.group_key.is_not(None))
        .order_by(incidents.c.received_at, incidents.c.id)
        .limit(1)
    )
    return await connection.scalar(query)
