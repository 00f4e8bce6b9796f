"""A clock that jumps delays nothing for long, loses nothing and doubles nothing."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text, update
from story import Story, at

from mimir_core.config import StoreSettings
from mimir_core.store.claims import LostClaimError, give_back, heartbeat
from mimir_core.store.database import Database
from mimir_core.store.figures import Figure, read_figures
from mimir_core.store.tables import diagnoses, incidents
from mimir_core.store.views import Queue, read_queue

pytestmark = pytest.mark.anyio
BACK = -7200.0


@pytest.fixture
def story(database: Database, settings: StoreSettings) -> Story:
    return Story(database, settings)


async def test_what_was_received_before_the_clock_was_set_back_is_claimed(story: Story) -> None:
    await story.send("cart")
    assert await read_queue(story.database, story.settings, at(BACK)) == Queue(1, 1, 0.0)
    assert await story.claim(BACK)


async def test_the_claim_of_the_dead_comes_back_though_the_clock_was_set_back(story: Story) -> None:
    await story.send("cart")
    dead = await story.hold()
    heir = await story.hold(BACK, "w2")
    assert (heir.job_id, heir.tries) == (dead.job_id, 2)
    await story.finish(heir, BACK + 1)
    with pytest.raises(LostClaimError):
        await story.finish(dead, BACK + 2)
    assert (await story.states(), len(await story.rows(diagnoses))) == (["diagnosed"], 1)


async def test_a_worker_that_lives_keeps_its_claim_when_the_clock_is_set_back(story: Story) -> None:
    await story.send("cart")
    held = await story.hold()
    await heartbeat(story.database, held, story.settings, at(BACK))
    assert await story.claim(BACK + 1, "w2") is None
    await story.finish(held, BACK + 2)


@pytest.mark.parametrize("earlier", [0.0, 0.5, 59.0])
async def test_a_worker_that_took_the_time_a_little_earlier_takes_no_fresh_claim(story: Story, earlier: float) -> None:
    await story.send("cart", after=-100)
    await story.hold(1)
    assert await story.claim(1 - earlier, "w2") is None


async def test_what_waits_for_another_try_is_due_though_the_clock_was_set_back(story: Story) -> None:
    await story.send("cart")
    await give_back(story.database, await story.hold(), "no index", story.settings, at(2))
    assert await story.claim(3) is None
    assert await story.claim(BACK)


async def test_what_waits_for_the_cooldown_is_due_though_the_clock_was_set_back(story: Story) -> None:
    await story.send("cart")
    await story.finish(await story.hold())
    await story.send("cart", "Errors", after=60)
    assert await story.claim(60) is None
    assert await story.claim(-30) is None
    assert await story.claim(BACK)


async def test_after_a_diagnosis_of_the_future_the_cooldown_is_no_longer_than_it_is(story: Story) -> None:
    await story.send("cart")
    await story.finish(await story.hold())
    await story.send("cart", "Errors", after=BACK)
    [job] = await story.open_jobs()
    assert job.due_at == at(BACK + story.settings.cooldown_seconds)


async def test_diagnoses_of_the_future_use_up_no_budget(story: Story, settings: StoreSettings) -> None:
    for number in range(settings.storm_budget):
        await story.send(f"s{number}")
    assert (await story.send("late", after=-1)).suppressed == 1  # it waited for the others, with its time in hand
    assert (await story.send("back", after=BACK)).jobs == 1


async def test_of_two_that_hold_a_claim_after_a_jump_forward_one_writes(story: Story) -> None:
    await story.send("cart")
    first, second = await story.hold(1, "w1"), await story.hold(7201, "w2")
    with pytest.raises(LostClaimError):
        await story.finish(first, 7202)
    await story.finish(second, 7203)
    with pytest.raises(LostClaimError):
        await story.finish(first, 7204)
    assert (await story.states(), len(await story.rows(diagnoses)), await story.claim(9999)) == (["diagnosed"], 1, None)


async def test_after_a_jump_forward_and_back_there_is_one_diagnosis(story: Story) -> None:
    await story.send("cart")
    early, far, back = await story.hold(1), await story.hold(7201, "w2"), await story.hold(10, "w3")
    for lost in (early, far):
        with pytest.raises(LostClaimError):
            await story.finish(lost, 11)
    await story.finish(back, 12)
    assert (await story.states(), len(await story.rows(diagnoses))) == (["diagnosed"], 1)


async def test_times_that_run_backwards_are_in_no_median(story: Story) -> None:
    await story.send("cart")
    await story.finish(await story.hold(), BACK)
    await story.send("web")
    await story.finish(await story.hold(), 20)
    async with story.database.writing() as connection:
        await connection.execute(update(incidents).where(incidents.c.service == "web").values(detected_at=at(50)))
    found = await read_figures(story.database, "default")
    assert (found.time_to_diagnosis, found.model_time_to_detection) == (Figure(20, 1), Figure(None, 0))


async def test_the_time_is_the_servers(database: Database) -> None:
    before = datetime.now(UTC)
    told = await database.now()
    assert (told.tzinfo, abs(told - before) < timedelta(minutes=1)) == (UTC, True)
    if not database.is_sqlite:
        async with database.reading() as connection:
            await connection.execute(text("SET LOCAL TIME ZONE 'Asia/Tokyo'"))
            assert (await database.now()).tzinfo is UTC
