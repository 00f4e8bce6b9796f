"""An alert belongs with its group, else with the trouble of a neighbour, else alone."""

from typing import Any

import pytest
from sqlalchemy import update
from story import NOON, Story, at

from mimir_core.config import StoreSettings
from mimir_core.records import Incident, Severity
from mimir_core.store.database import Database
from mimir_core.store.lifecycle import OVER, State
from mimir_core.store.requests import Asker, create_incident
from mimir_core.store.services import Service, Services
from mimir_core.store.tables import alerts, incidents, jobs

pytestmark = pytest.mark.anyio
SHOP = {
    "web": Service(tier=1, calls=("cart", "search")),
    "cart": Service(tier=2, calls=("db",)),
    "search": Service(calls=("db",)),
}


@pytest.fixture
def story(database: Database, settings: StoreSettings) -> Story:
    generous = settings.model_copy(update={"storm_budget": 100})
    return Story(database, generous, Services({"default": SHOP}))


@pytest.mark.parametrize("services", [("web", "cart"), ("cart", "web"), ("db", "cart"), ("cart", "db")])
async def test_a_caller_or_callee_joins_the_incident_of_a_moment_before(story: Story, services: tuple[str, str]) -> None:
    first = await story.send(services[0])
    second = await story.send(services[1], after=story.settings.topology_seconds)
    assert (second.incidents, second.new_alerts, second.jobs) == (first.incidents, 1, 0)
    [row] = await story.rows(incidents)
    assert row.service == services[0]


@pytest.mark.parametrize(
    "other",
    [
        {"service": "db"},
        {"service": "web", "name": "Errors", "group": "another"},
        {"service": "elsewhere"},
        {"service": "cart", "tenant": "other"},
        {"service": "cart", "after": 301.0},
        {"service": "cart", "after": -301.0},
        {"service": "cart", "status": "resolved"},
    ],
    ids=["two hops", "the same service", "a stranger", "a tenant", "too late", "a clock that was set back", "an end"],
)
async def test_what_is_no_neighbour_of_this_moment_stands_alone(story: Story, other: dict[str, Any]) -> None:
    first = await story.send("web")
    assert not set((await story.send(**other)).incidents) & set(first.incidents)


async def test_joining_does_not_carry_on_from_service_to_service(story: Story) -> None:
    first = await story.send("web")
    assert (await story.send("cart", after=10)).incidents == first.incidents
    assert (await story.send("db", after=20)).incidents != first.incidents


@pytest.mark.parametrize("state", State)
async def test_what_is_over_is_joined_by_nobody(story: Story, state: State) -> None:
    first = await story.send("web")
    async with story.database.writing() as connection:
        await connection.execute(update(incidents).values(state=state.value))
        await connection.execute(update(jobs).values(is_open=False))
    assert ((await story.send("cart", after=10)).incidents == first.incidents) == (state not in OVER)


async def test_the_earliest_of_several_neighbours_is_joined(story: Story) -> None:
    await story.send("search", after=20)
    first = await story.send("cart", after=10)
    assert (await story.send("web", after=30)).incidents == first.incidents


async def test_a_group_stays_where_it_joined_and_goes_home_before_it_joins(story: Story) -> None:
    first = await story.send("web")
    await story.send("cart", after=10)
    assert (await story.send("cart", "Errors", after=3600)).incidents == first.incidents
    other = await story.send("db", after=5000)
    assert other.incidents != first.incidents
    await story.send("search", after=5400)
    assert (await story.send("db", "Errors", after=5401)).incidents == other.incidents


async def test_without_a_services_file_everything_stands_alone(database: Database, settings: StoreSettings) -> None:
    story = Story(database, settings)
    assert (await story.send("web")).incidents != (await story.send("cart")).incidents
    assert {row.tier for row in await story.rows(incidents)} == {4}


async def test_what_a_person_opens_joins_nothing_and_nothing_joins_it(story: Story) -> None:
    async def open_one(service: str, after: float) -> tuple[str, ...]:
        seen = Incident(id="new", title=f"{service} is slow", service=service)
        asker = Asker("default", "kim", at(after))
        return (await create_incident(story.database, seen, {}, asker, story.settings, None, story.services)).incidents

    by_person = await open_one("web", 0)
    sent = await story.send("cart", after=10)
    again = await open_one("db", 20)
    assert len({*by_person, *sent.incidents, *again}) == 3
    assert [row.tier for row in await story.rows(incidents)] == [1, 2, 4]
    assert [row.group_key is None for row in await story.rows(alerts)] == [True, False, True]


async def test_an_incident_is_as_urgent_as_its_worst_alert_and_its_tier(story: Story) -> None:
    await story.send("search", severity=Severity.CRITICAL)
    minor = await story.send("cart", severity=Severity.WARNING)
    [_, job] = await story.open_jobs()
    await story.send("db", after=60, severity=Severity.INFO)
    await story.send("cart", "Down", after=60, severity=Severity.CRITICAL)
    [_, later] = await story.open_jobs()
    assert [row.severity for row in await story.rows(incidents)] == ["critical", "critical"]
    assert (job.urgent_since > later.urgent_since, (await story.hold(61)).incident_id) == (True, minor.incidents[0])
    assert later.urgent_since < NOON
