"""A night is read as it was written."""

from datetime import UTC, datetime, timedelta

import pytest
from made_nights import stored, write_night

from mimir_core.store.database import Database
from mimir_core.store.nights import read_diagnoses

pytestmark = pytest.mark.anyio
DUSK = datetime(2026, 3, 1, 5, tzinfo=UTC)
DAWN = DUSK + timedelta(days=1)


async def test_a_night_begins_with_its_first_moment_and_ends_before_its_last(database: Database) -> None:
    moment = timedelta(microseconds=1)
    for name, at in {"before": DUSK - moment, "first": DUSK, "last": DAWN - moment, "after": DAWN}.items():
        await write_night(database, [stored(name, at)], at)
    assert {one.incident_id async for one in read_diagnoses(database, DUSK, DAWN)} == {"first", "last"}


async def test_documents_of_all_tenants_come_back_as_they_were_written_sound_or_not(database: Database) -> None:
    ours, theirs = stored("ours", DUSK), stored("theirs", DUSK)
    theirs.diagnosis["verdict"] = "no such verdict"
    await write_night(database, [ours], DUSK)
    await write_night(database, [theirs], DUSK, tenant="another")
    assert sorted([one async for one in read_diagnoses(database, DUSK, DAWN)], key=lambda one: one.incident_id) == [ours, theirs]


async def test_of_an_empty_store_there_is_nothing_to_read(database: Database) -> None:
    assert [one async for one in read_diagnoses(database, DUSK, DAWN)] == []
