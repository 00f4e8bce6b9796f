"""One worker at a time, and nobody writes who has lost the right to."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest
from sqlalchemy import Table, select

from mimir_core.config import StoreSettings
from mimir_core.errors import MimirError
from mimir_core.records import Alert, Diagnosis, EvidencePack, Incident, Run, Severity, Verdict
from mimir_core.store.claims import Claim, LostClaimError, claim, finish, give_back, heartbeat
from mimir_core.store.database import Database
from mimir_core.store.figures import read_totals
from mimir_core.store.intake import receive
from mimir_core.store.lifecycle import MAY_FOLLOW, State, TransitionError, check_transition
from mimir_core.store.tables import audit, diagnoses, incidents, jobs, packs, runs

pytestmark = pytest.mark.anyio
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


async def send(  # noqa: PLR0913, PLR0917  # an alert has many sides
    database: Database,
    settings: StoreSettings,
    group: str = "checkout",
    severity: Severity = Severity.ERROR,
    status: Literal["firing", "resolved"] = "firing",
    after: float = 0.0,
) -> str:
    alert = Alert(name="Slow", status=status, severity=severity, starts_at=NOON, fingerprint=group)
    incident = Incident(id="i", title=group, service=group, severity=severity, alerts=(alert,))
    [identity] = (await receive(database, incident, group, "alertmanager", settings, at(after))).incidents
    return identity


async def end(
    database: Database, held: Claim, settings: StoreSettings, now: datetime, verdict: Verdict = Verdict.CAUSE_FOUND
) -> None:
    pack = EvidencePack(incident=Incident(id=held.incident_id, title="checkout"))
    diagnosis = Diagnosis(incident_id=held.incident_id, verdict=verdict, headline="cart: cpu", reason="because")
    run = Run(
        id=f"run-{held.job_id}-{held.tries}",
        incident_id=held.incident_id,
        diagnosis_hash="x",
        reasoner="builtin",
        started_at=NOON,
        latency_ms=1.0,
    )
    await finish(database, held, pack, diagnosis, run, settings, now)


async def rows(database: Database, table: Table) -> Sequence[Any]:
    async with database.reading() as connection:
        return (await connection.execute(select(table))).all()


async def states(database: Database) -> list[str]:
    return [row.state for row in await rows(database, incidents)]


async def hold(database: Database, settings: StoreSettings, worker: str = "w1", after: float = 1.0) -> Claim:
    held = await claim(database, worker, settings, at(after))
    assert held is not None
    return held


async def test_a_job_is_claimed_once_and_ends_with_one_diagnosis(database: Database, settings: StoreSettings) -> None:
    identity = await send(database, settings)
    held = await hold(database, settings)
    assert (held.incident_id, held.tries, await states(database)) == (identity, 1, ["diagnosing"])
    assert await claim(database, "w2", settings, at(2)) is None
    await end(database, held, settings, at(3))
    assert await states(database) == ["diagnosed"]
    assert [len(await rows(database, table)) for table in (packs, diagnoses, runs)] == [1, 1, 1]
    with pytest.raises(LostClaimError):
        await end(database, held, settings, at(4))
    assert [len(await rows(database, table)) for table in (packs, diagnoses, runs)] == [1, 1, 1]


async def test_what_was_diagnosed_is_told_to_dashboards(database: Database, settings: StoreSettings) -> None:
    for number in range(2):
        await send(database, settings, f"group-{number}")
    await end(database, await hold(database, settings), settings, at(2))
    totals = await read_totals(database)
    assert totals == ({"diagnosed": 1, "received": 1}, {"cause_found": 1}, 0, (0.001,))


async def test_what_is_undetermined_goes_to_a_person(database: Database, settings: StoreSettings) -> None:
    await send(database, settings)
    await end(database, await hold(database, settings), settings, at(2), Verdict.UNDETERMINED)
    assert await states(database) == ["escalated"]


async def test_the_job_of_a_dead_worker_is_due_again_and_the_dead_cannot_write(
    database: Database, settings: StoreSettings
) -> None:
    await send(database, settings)
    dead = await hold(database, settings)
    assert await claim(database, "w2", settings, at(settings.lease_seconds)) is None
    heir = await hold(database, settings, "w2", settings.lease_seconds + 2)
    assert (heir.job_id, heir.tries) == (dead.job_id, 2)
    for write in (end(database, dead, settings, at(70)), heartbeat(database, dead, settings, at(70))):
        with pytest.raises(LostClaimError):
            await write
    with pytest.raises(LostClaimError):
        await give_back(database, dead, "too late", settings, at(70))
    await end(database, heir, settings, at(80))
    assert len(await rows(database, diagnoses)) == 1


async def test_a_heartbeat_keeps_the_claim(database: Database, settings: StoreSettings) -> None:
    await send(database, settings)
    held = await hold(database, settings)
    await heartbeat(database, held, settings, at(50))
    assert await claim(database, "w2", settings, at(100)) is None


async def test_a_failed_try_waits_longer_each_time_and_is_parked_in_the_end(database: Database, settings: StoreSettings) -> None:
    await send(database, settings)
    now = 1.0
    for tries in range(1, settings.max_tries):
        held = await hold(database, settings, after=now)
        assert await give_back(database, held, "no index", settings, at(now)) is State.RECEIVED
        assert await claim(database, "w1", settings, at(now + settings.retry_seconds * 2 ** (tries - 1) - 1)) is None
        now += settings.retry_seconds * 2 ** (tries - 1)
    assert await give_back(database, await hold(database, settings, after=now), "no index", settings, at(now)) is State.PARKED
    assert await states(database) == ["parked"]
    assert [row.reason for row in await rows(database, audit)][-1] == "3 tries failed, the last: no index"


async def test_an_incident_that_kills_its_workers_is_parked(database: Database, settings: StoreSettings) -> None:
    await send(database, settings)
    now = 1.0
    for _ in range(settings.max_tries):
        await hold(database, settings, after=now)
        now += settings.lease_seconds + 1
    assert await claim(database, "w1", settings, at(now)) is None
    assert await states(database) == ["parked"]
    assert not any(row.is_open for row in await rows(database, jobs))


async def test_the_urgent_comes_first_and_nothing_waits_for_ever(database: Database, settings: StoreSettings) -> None:
    old = await send(database, settings, "old", Severity.WARNING, after=-9 * 3600)
    fresh = await send(database, settings, "fresh", Severity.CRITICAL)
    minor = await send(database, settings, "minor", Severity.INFO)
    assert [(await hold(database, settings)).incident_id for _ in range(3)] == [old, fresh, minor]


async def test_an_alert_that_resolves_while_somebody_works_resolves_the_incident_after(
    database: Database, settings: StoreSettings
) -> None:
    await send(database, settings)
    held = await hold(database, settings)
    await send(database, settings, status="resolved", after=5)
    assert await states(database) == ["diagnosing"]
    await end(database, held, settings, at(6))
    assert await states(database) == ["resolved"]
    assert len(await rows(database, diagnoses)) == 1


async def test_many_workers_share_many_jobs_without_taking_one_twice(database: Database, settings: StoreSettings) -> None:
    generous = settings.model_copy(update={"storm_budget": 100})
    for number in range(40):
        await send(database, generous, f"group-{number}")

    async def work(worker: str) -> list[str]:
        done = []
        while held := await claim(database, worker, generous, at(1)):
            await end(database, held, settings, at(2))
            done.append(held.job_id)
        return done

    taken = [job for jobs_done in await asyncio.gather(*(work(f"w{n}") for n in range(8))) for job in jobs_done]
    assert Counter(taken).most_common(1)[0][1] == 1
    assert (len(taken), await states(database)) == (40, ["diagnosed"] * 40)


@pytest.mark.parametrize("current", State)
def test_every_state_refuses_what_the_table_does_not_name(current: State) -> None:
    for wanted in State:
        if wanted in MAY_FOLLOW[current]:
            check_transition(current, wanted)
        else:
            with pytest.raises(TransitionError, match=f"{current} cannot become {wanted}"):
                check_transition(current, wanted)
    assert issubclass(TransitionError, MimirError)


def test_every_state_can_be_reached_and_left() -> None:
    assert set(MAY_FOLLOW) == set(State)
    assert {state for following in MAY_FOLLOW.values() for state in following} == set(State)
    assert all(MAY_FOLLOW.values())
