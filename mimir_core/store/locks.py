"""Who waits while somebody writes: a message for its tenant, then whoever wants the same job, then the same incident.

Comes in: a writing transaction. Goes out: nothing; what is locked stays so until the transaction ends. Surprise: everybody locks
in this order, so that no two wait for each other. SQLite has one writer anyway.
"""

from typing import Any

from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from mimir_core.store.tables import incidents, jobs


async def lock_tenant(connection: AsyncConnection, tenant: str) -> None:
    """Let one message of a tenant in at a time: grouping and the budget of a storm are exact."""
    if connection.dialect.name == "postgresql":
        await connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"mimir intake {tenant}"})


async def lock_incident(connection: AsyncConnection, incident_id: str) -> Row[Any]:
    """Let nobody else change an incident, or finish the job that it has; return the incident as it is then."""
    await connection.execute(select(jobs.c.id).where(jobs.c.incident_id == incident_id, jobs.c.is_open).with_for_update())
    # Not FOR UPDATE: it would wait for everybody who adds an alert or an audit row to the incident.
    mine = select(incidents).where(incidents.c.id == incident_id).with_for_update(key_share=True)
    return (await connection.execute(mine)).one()
