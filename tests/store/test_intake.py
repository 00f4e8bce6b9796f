"""What was acknowledged is kept once, whatever is sent twice, late or in the wrong order."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any, Literal

import pytest
from sqlalchemy import Table, func, select

from mimir_core.config import StoreSettings
from mimir_core.records import Alert, Incident, Severity
from mimir_core.store.database import Database
from mimir_core.store.intake import Receipt, receive
from mimir_core.store.jobs import release_suppressed
from mimir_core.store.tables import alerts, audit, incidents, jobs

pytestmark = pytest.mark.anyio
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def alert(name: str, status: Literal["firing", "resolved"] = "firing", starts_at: datetime = NOON) -> Alert:
    return Alert(name=name, status=status, severity=Severity.ERROR, starts_at=starts_at, fingerprint=f"print-{name}")


@dataclass(frozen=True)
class Sender:
    """Sends messages to a store."""

    database: Database
    settings: StoreSettings

    async def send(self, *sent: Alert, group: str = "checkout", after: float = 0.0, tenant: str = "default") -> Receipt:
        incident = Incident(id="i", tenant=tenant, title=group, service=group, alerts=sent, opened_at=NOON)
        return await receive(self.database, incident, group, "alertmanager", self.settings, NOON + timedelta(seconds=after))

    async def count(self, table: Table) -> int:
        async with self.database.reading() as connection:
            return await connection.scalar(select(func.count()).select_from(table)) or 0

    async def states(self) -> list[str]:
        return [row.state for row in await self.rows(incidents)]

    async def rows(self, table: Table) -> Sequence[Any]:
        async with self.database.reading() as connection:
            return (await connection.execute(select(table))).all()


@pytest.fixture
def sender(database: Database, settings: StoreSettings) -> Sender:
    return Sender(database, settings)


async def test_an_alert_that_is_sent_again_is_stored_once(sender: Sender) -> None:
    first = await sender.send(alert("Slow"), alert("Errors"))
    again = await sender.send(alert("Slow"), alert("Errors"), after=60)
    assert (first.new_alerts, first.known_alerts, first.jobs) == (2, 0, 1)
    assert (again.new_alerts, again.known_alerts, again.jobs) == (0, 2, 0)
    assert again.incidents == first.incidents
    assert (await sender.count(incidents), await sender.count(alerts), await sender.count(jobs)) == (1, 2, 1)


@pytest.mark.parametrize("statuses", [("firing", "firing"), ("firing", "resolved"), ("resolved", "firing")])
async def test_twins_in_one_message_are_one_and_its_end_stands(
    sender: Sender, statuses: tuple[Literal["firing", "resolved"], ...]
) -> None:
    assert (await sender.send(*(alert("Slow", status) for status in statuses))).new_alerts == 1
    [row] = await sender.rows(alerts)
    assert row.status == max(statuses)


async def test_the_same_at_once_is_stored_once(sender: Sender) -> None:
    twice = [*(alert("Slow") for _ in range(10)), *(alert("Slow", "resolved") for _ in range(10))]
    receipts = await asyncio.gather(*(sender.send(one) for one in twice))
    assert (sum(one.new_alerts for one in receipts), sum(one.known_alerts for one in receipts)) == (1, 19)
    assert (await sender.count(incidents), await sender.count(alerts), await sender.states()) == (1, 1, ["resolved"])


async def test_the_late_end_of_one_time_does_not_end_the_next(sender: Sender) -> None:
    again = alert("Slow", starts_at=NOON + timedelta(seconds=60))
    await sender.send(alert("Slow"))
    await sender.send(again, after=60)
    await sender.send(alert("Slow", "resolved"), after=90)
    assert (await sender.states(), {row.starts_at: row.status for row in await sender.rows(alerts)}) == (
        ["received"],
        {NOON: "resolved", again.starts_at: "firing"},
    )
    await sender.send(alert("Slow", "resolved", again.starts_at or NOON), after=120)
    await sender.send(alert("Slow"), again, after=130)
    assert (await sender.states(), [row.status for row in await sender.rows(alerts)]) == (["resolved"], ["resolved"] * 2)


async def test_an_end_whose_beginning_never_came_asks_for_nothing(sender: Sender) -> None:
    receipt = await sender.send(alert("Slow", "resolved"))
    assert (receipt.new_alerts, receipt.jobs, await sender.states(), await sender.count(jobs)) == (1, 0, ["resolved"], 0)


async def test_alerts_of_other_groups_and_tenants_are_other_incidents(sender: Sender) -> None:
    await sender.send(alert("Slow"))
    await sender.send(alert("Slow", starts_at=NOON + timedelta(seconds=1)), group="search")
    await sender.send(alert("Slow"), tenant="other")
    assert await sender.count(incidents) == 3


@pytest.mark.parametrize("order", permutations(range(3)))
async def test_the_end_may_come_before_the_beginning(sender: Sender, order: tuple[int, ...]) -> None:
    messages = [alert("Slow"), alert("Slow"), alert("Slow", "resolved")]
    for place in order:
        await sender.send(messages[place])
    assert await sender.states() == ["resolved"]
    assert [row.status for row in await sender.rows(alerts)] == ["resolved"]
    assert not any(row.is_open for row in await sender.rows(jobs))


async def test_an_incident_resolves_with_its_last_alert(sender: Sender) -> None:
    await sender.send(alert("Slow"), alert("Errors"))
    await sender.send(alert("Slow", "resolved"))
    assert await sender.states() == ["received"]
    await sender.send(alert("Errors", "resolved"))
    assert await sender.states() == ["resolved"]


async def test_what_fires_again_within_the_cooldown_reopens_its_incident_and_later_is_a_new_one(sender: Sender) -> None:
    await sender.send(alert("Slow"))
    await sender.send(alert("Slow", "resolved"), after=60)
    back = await sender.send(alert("Slow", starts_at=NOON + timedelta(seconds=120)), after=120)
    assert (back.jobs, await sender.states()) == (1, ["reopened"])
    await sender.send(alert("Slow", "resolved", NOON + timedelta(seconds=120)), after=180)
    await sender.send(alert("Slow", starts_at=NOON + timedelta(hours=2)), after=7200)
    assert sorted(await sender.states()) == ["received", "resolved"]


async def test_a_storm_gets_its_budget_and_loses_no_alert(sender: Sender, settings: StoreSettings) -> None:
    for number in range(200):
        await sender.send(alert(f"A{number}"), group=f"group-{number % 10}", after=number / 10)
    assert await sender.count(alerts) == 200
    assert await sender.count(jobs) == settings.storm_budget
    assert sorted(await sender.states()) == ["received"] * 3 + ["suppressed"] * 7
    assert await release_suppressed(sender.database, "default", settings, NOON + timedelta(seconds=30)) == 0
    later = NOON + timedelta(seconds=settings.storm_seconds + 30)
    assert await release_suppressed(sender.database, "default", settings, later) == settings.storm_budget
    assert (await sender.states()).count("suppressed") == 4


async def test_messages_that_come_at_once_make_one_incident(sender: Sender) -> None:
    receipts = await asyncio.gather(*(sender.send(alert(f"A{number}")) for number in range(30)))
    assert len({incident for receipt in receipts for incident in receipt.incidents}) == 1
    assert (await sender.count(incidents), await sender.count(alerts), await sender.count(jobs)) == (1, 30, 1)


async def test_an_incident_without_alerts_is_itself_what_fires(sender: Sender) -> None:
    assert (await sender.send()).new_alerts == 1
    assert (await sender.send()).known_alerts == 1


async def test_every_change_of_state_is_in_the_audit(sender: Sender) -> None:
    await sender.send(alert("Slow"))
    await sender.send(alert("Slow", "resolved"), after=60)
    rows = [(row.before, row.after, row.actor) for row in await sender.rows(audit)]
    assert rows == [(None, "received", "alertmanager"), ("received", "resolved", "alertmanager")]


async def test_fingerprints_that_differ_late_are_two_alerts(sender: Sender) -> None:
    first, second = alert("f" * 100 + "a"), alert("f" * 100 + "b")
    assert [(await sender.send(one)).new_alerts for one in (first, second, first)] == [1, 1, 0]
    assert await sender.count(alerts) == 2
