"""What people said of diagnoses, with what they spoke of: the way from the store into the next data set."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select, update

from mimir_core.records import Diagnosis, EvidencePack
from mimir_core.store.database import Database
from mimir_core.store.requests import Opinion
from mimir_core.store.tables import diagnoses, feedback, incidents, packs, runs


class Reviewed(NamedTuple):
    """One opinion."""

    id: str
    tenant: str
    incident_id: str
    service: str
    """Whose incident it was; empty where that is not known."""
    actor: str
    at: datetime
    opinion: Opinion
    diagnosis: Diagnosis
    pack: EvidencePack
    mlflow_run_id: str | None
    """Where the diagnosis is shown."""
    is_shown: bool
    """Whether the opinion is shown there, too."""


async def read_opinions(database: Database) -> AsyncIterator[Reviewed]:
    """Yield the latest opinion on each diagnosis, the oldest first: who speaks again corrects what was said before.

    Raises:
        BackendError: The database is away.
    """
    query = (
        select(feedback, incidents.c.service, diagnoses.c.diagnosis, packs.c.pack, runs.c.mlflow_run_id)
        .join(diagnoses, diagnoses.c.id == feedback.c.diagnosis_id)
        .join(packs, packs.c.id == diagnoses.c.pack_id)
        .join(runs, runs.c.diagnosis_id == diagnoses.c.id)
        .join(incidents, incidents.c.id == feedback.c.incident_id)
        .order_by(feedback.c.at, feedback.c.id)
    )
    async with database.reading() as connection:
        rows = (await connection.execute(query)).all()
    last = {row.diagnosis_id: row.id for row in rows}
    for row in rows:
        if last[row.diagnosis_id] == row.id:
            yield Reviewed(
                id=row.id,
                tenant=row.tenant,
                incident_id=row.incident_id,
                service=row.service or "",
                actor=row.actor,
                at=row.at,
                opinion=Opinion.model_validate(row.feedback),
                diagnosis=Diagnosis.model_validate(row.diagnosis),
                pack=EvidencePack.model_validate(row.pack),
                mlflow_run_id=row.mlflow_run_id,
                is_shown=row.is_shown,
            )


async def note_shown(database: Database, review: Reviewed) -> None:
    """Write down that an opinion is shown in MLflow.

    Raises:
        BackendError: The database is away.
    """
    async with database.writing() as connection:
        await connection.execute(update(feedback).where(feedback.c.id == review.id).values(is_shown=True))
