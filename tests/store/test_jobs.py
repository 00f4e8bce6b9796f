"""A new alert is looked at, once and not too often; one that is known is not."""

import asyncio

import pytest
from sqlalchemy import select, update
from story import Story, at

from mimir_core.config import StoreSettings
from mimir_core.records import Alert, Incident, Verdict
from mimir_core.store.claims import give_back
from mimir_core.store.database import Database
from mimir_core.store.intake import receive_within
from mimir_core.store.jobs import release_suppressed
from mimir_core.store.lifecycle import ANALYZABLE, State
from mimir_core.store.services import NONE_KNOWN
from mimir_core.store.tables import alerts, audit, diagnoses, incidents, jobs

pytestmark = pytest.mark.anyio


@pytest.fixture
def story(database: Database, settings: StoreSettings) -> Story:
    return Story(database, settings)


async def put(story: Story, state: State) -> None:
    """Let an incident stand somewhere, as if it had got there at two seconds past noon."""
    await story.send("cart")
    await story.finish(await story.hold())
    async with story.database.writing() as connection:
        await connection.execute(update(incidents).values(state=state.value))


@pytest.mark.parametrize("state", ANALYZABLE)
async def test_a_new_alert_in_what_was_diagnosed_is_looked_at_after_the_cooldown(story: Story, state: State) -> None:
    await put(story, state)
    asked = await story.send("cart", "Errors", after=60)
    again = await story.send("cart", "Down", after=70)
    assert (asked.jobs, again.jobs, await story.states()) == (1, 0, ["received"])
    [job] = await story.open_jobs()
    assert job.due_at == at(2 + story.settings.cooldown_seconds)
    row = (await story.rows(audit))[-1]
    assert (row.before, row.after, row.actor, row.reason) == (state, "received", "alertmanager", "a new alert fires")
    assert await story.claim(601) is None
    await story.finish(await story.hold(602), 603)
    assert (await story.states(), len(await story.rows(diagnoses))) == (["diagnosed"], 2)


async def test_long_after_a_diagnosis_a_new_alert_is_looked_at_at_once(story: Story) -> None:
    await put(story, State.DIAGNOSED)
    await story.send("cart", "Errors", after=5000)
    assert await story.hold(5000)


@pytest.mark.parametrize("state", ANALYZABLE)
async def test_an_alert_that_is_known_asks_for_nothing(story: Story, state: State) -> None:
    await put(story, state)
    assert (await story.send("cart", after=60)).jobs == 0
    assert (await story.states(), await story.open_jobs()) == ([state], [])


@pytest.mark.parametrize("state", [State.AWAITING_APPROVAL, State.EXECUTING, State.VERIFYING])
async def test_a_new_alert_disturbs_nobody_who_acts(story: Story, state: State) -> None:
    await put(story, state)
    assert (await story.send("cart", "Errors", after=60)).jobs == 0
    assert (await story.states(), await story.open_jobs()) == ([state], [])


async def test_beyond_the_budget_of_a_storm_a_new_alert_waits_for_its_end(story: Story, settings: StoreSettings) -> None:
    await put(story, State.DIAGNOSED)
    for number in range(settings.storm_budget - 1):
        await story.send(f"other-{number}", after=10)
    asked = await story.send("cart", "Errors", after=60)
    assert (asked.jobs, asked.suppressed, sorted(await story.states())) == (0, 1, ["received", "received", "suppressed"])
    assert await release_suppressed(story.database, "default", settings, at(400)) == 1
    assert len(await story.open_jobs()) == settings.storm_budget


async def test_an_alert_that_comes_while_its_incident_is_diagnosed_is_looked_at_after(story: Story) -> None:
    await story.send("cart")
    held = await story.hold()
    assert (await story.send("cart", "Errors", after=5)).jobs == 0
    await story.finish(held, 10)
    [job] = await story.open_jobs()
    assert (job.due_at, await story.states()) == (at(10 + story.settings.cooldown_seconds), ["received"])
    await story.finish(await story.hold(700), 701)
    assert (await story.states(), await story.open_jobs()) == (["diagnosed"], [])


async def test_what_came_meanwhile_and_went_is_not_looked_at(story: Story) -> None:
    await story.send("cart")
    held = await story.hold()
    await story.send("cart", "Errors", after=5)
    await story.send("cart", "Errors", after=6, status="resolved")
    await story.finish(held, 10, Verdict.UNDETERMINED)
    assert (await story.states(), await story.open_jobs()) == (["escalated"], [])


async def test_a_further_try_looks_at_what_came_during_the_first(story: Story) -> None:
    await story.send("cart")
    held = await story.hold()
    await story.send("cart", "Errors", after=5)
    await give_back(story.database, held, "no index", story.settings, at(6))
    await story.finish(await story.hold(60), 61)
    assert (await story.states(), await story.open_jobs()) == (["diagnosed"], [])


async def test_an_alert_that_is_written_while_a_diagnosis_ends_is_not_overlooked(story: Story) -> None:
    await story.send("cart")
    held = await story.hold()
    new = Alert(name="Errors", starts_at=at(5), fingerprint="errors")
    incident = Incident(id="i", title="cart", service="cart", alerts=(new,))
    async with story.database.reading() as connection:
        group = await connection.scalar(select(alerts.c.group_key))
    async with story.database.writing() as connection:
        await receive_within(connection, incident, group, "alertmanager", story.settings, at(0.5), NONE_KNOWN)
        ending = asyncio.create_task(story.finish(held, 10))
        await asyncio.sleep(0.2)
    await ending
    assert (await story.states(), len(await story.open_jobs())) == (["received"], 1)


async def test_what_fails_too_often_and_is_calm_resolves(story: Story) -> None:
    await story.send("cart")
    for number in range(story.settings.max_tries):
        held = await story.hold(1 + 100 * number)
        await story.send("cart", status="resolved", after=2 + 100 * number)
        state = await give_back(story.database, held, "no index", story.settings, at(3 + 100 * number))
    assert (state, await story.states(), await story.open_jobs()) == (State.RESOLVED, ["resolved"], [])
    assert [row.after for row in await story.rows(audit)][-2:] == ["parked", "resolved"]
    assert len(await story.rows(jobs)) == 1
