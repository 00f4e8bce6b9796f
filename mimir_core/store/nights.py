"""What was diagnosed between two moments, as it was written down: for those who look at a whole night.

Surprise: these are the documents as they lie there, not records: whoever asks whether they are sound must see what is not.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import select

from mimir_core.store.database import Database
from mimir_core.store.tables import diagnoses, packs, runs


class StoredDiagnosis(NamedTuple):
    """One diagnosis, with what it was made from and how."""

    incident_id: str
    pack: dict[str, Any]
    diagnosis: dict[str, Any]
    run: dict[str, Any]


async def read_diagnoses(database: Database, start: datetime, end: datetime) -> AsyncIterator[StoredDiagnosis]:
    """Yield the diagnoses of all tenants from ``start`` to just before ``end``, in no order.

    Raises:
        BackendError: The database is away.
    """
    query = (
        select(diagnoses.c.incident_id, packs.c.pack, diagnoses.c.diagnosis, runs.c.run)
        .join(packs, packs.c.id == diagnoses.c.pack_id)
        .join(runs, runs.c.diagnosis_id == diagnoses.c.id)
        .where(diagnoses.c.at >= start, diagnoses.c.at < end)
    )
    async with database.reading() as connection:
        async for row in await connection.stream(query):
            yield StoredDiagnosis(*row)
