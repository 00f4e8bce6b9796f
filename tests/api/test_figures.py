"""How fast, and how much waits: each figure says of how many."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from mimir_core.config import StoreSettings
from mimir_core.records import Alert, Diagnosis, EvidencePack, Incident, Run, Verdict
from mimir_core.store.claims import claim, finish
from mimir_core.store.database import Database
from mimir_core.store.figures import Figure, read_figures
from mimir_core.store.intake import receive
from mimir_core.store.tables import incidents
from mimir_core.store.views import Queue, read_queue

pytestmark = pytest.mark.anyio
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


async def test_an_empty_store_has_no_figures(database: Database, settings: StoreSettings) -> None:
    assert await read_figures(database, "default") == ({}, Figure(None, 0), Figure(None, 0), Figure(None, 0))
    assert await read_queue(database, settings, NOON) == Queue(0, 0, 0.0)


async def test_figures_are_medians_of_what_was_timed(database: Database, settings: StoreSettings) -> None:
    for group, diagnosed_at, resolved_at in (("a", 10, 100), ("b", 30, 300), ("c", 80, None)):
        alert = Alert(name="Slow", starts_at=NOON, fingerprint=group)
        incident = Incident(id="i", title=group, service=group, alerts=(alert,))
        [identity] = (await receive(database, incident, group, "am", settings, NOON)).incidents
        held = await claim(database, "w", settings, at(1))
        assert held is not None
        diagnosis = Diagnosis(incident_id=identity, verdict=Verdict.CAUSE_FOUND, headline="h", reason="r")
        run = Run(id="r", incident_id=identity, diagnosis_hash="x", reasoner="builtin", started_at=NOON, latency_ms=1)
        await finish(database, held, EvidencePack(incident=incident), diagnosis, run, settings, at(diagnosed_at))
        if resolved_at:
            calm = incident.model_copy(update={"alerts": (alert.model_copy(update={"status": "resolved"}),)})
            await receive(database, calm, group, "am", settings, at(resolved_at))
    async with database.writing() as connection:
        await connection.execute(update(incidents).where(incidents.c.title == "a").values(detected_at=at(-50)))
    found = await read_figures(database, "default")
    assert found.incidents == {"diagnosed": 1, "resolved": 2}
    assert found.time_to_diagnosis == Figure(30, 3)
    assert found.model_time_to_detection == Figure(60, 1)
    assert found.time_to_resolution == Figure(200, 2)
    assert (await read_figures(database, "other")).incidents == {}


async def test_the_queue_is_as_old_as_what_has_been_due_for_longest(database: Database, settings: StoreSettings) -> None:
    for number in range(2):
        await receive(database, Incident(id="i", title=f"t{number}"), "", "am", settings, at(number * 10))
    assert await read_queue(database, settings, at(60)) == Queue(2, 2, 60.0)
    await claim(database, "w", settings, at(60))
    assert await read_queue(database, settings, at(60)) == Queue(2, 1, 50.0)
