"""One change of state -> the row of the incident and a row of the audit, written together or not at all.

A change of the champion, which is about no incident, is a row of the audit alone.
"""

from datetime import datetime

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from mimir_core.store.database import Database
from mimir_core.store.lifecycle import State, check_transition
from mimir_core.store.tables import audit, incidents


async def move(  # noqa: PLR0913, PLR0917  # who, what, when and why
    connection: AsyncConnection, incident_id: str, wanted: State, actor: str, reason: str, now: datetime
) -> None:
    """Change the state of an incident and write down who did it and why.

    Args:
        connection: Of a writing transaction; one that also writes the incident's job has locked the job first.
        incident_id: As stored.
        wanted: The next state.
        actor: A person, a worker or a sender of alerts.
        reason: In one line.
        now: In UTC.

    Raises:
        TransitionError: The table does not allow it.
    """
    mine = incidents.c.id == incident_id
    row = (await connection.execute(select(incidents).where(mine).with_for_update(key_share=True))).one()
    check_transition(State(row.state), wanted)
    await connection.execute(update(incidents).where(mine).values(state=wanted.value, changed_at=now))
    await connection.execute(
        insert(audit).values(
            tenant=row.tenant,
            incident_id=incident_id,
            actor=actor,
            event="state",
            before=row.state,
            after=wanted.value,
            reason=reason,
            at=now,
        )
    )


async def note_champion(database: Database, actor: str, before: str, after: str, reason: str) -> None:
    """Write down that another reasoner is about to answer, who says so and why; it is about no incident.

    Raises:
        BackendError: The database is away.
    """
    row = {"tenant": "default", "actor": actor, "event": "champion", "before": before, "after": after, "reason": reason}
    now = await database.now()
    async with database.writing() as connection:
        await connection.execute(insert(audit).values(**row, at=now))
