"""What is stored can be read, asked again and corrected; by its tenant alone."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select

from mimir_core.records import Diagnosis, EvidencePack, Incident, Run, Verdict
from mimir_core.store.claims import claim, finish
from mimir_core.store.keys import Scope
from mimir_core.store.tables import feedback, jobs

pytestmark = pytest.mark.anyio
INCIDENTS, FEEDBACK = "/api/v1/incidents", "/api/v1/feedback"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOBODY = f"{INCIDENTS}/i{'0' * 24}"


async def opened(api: Any, title: str = "checkout is slow", **more: Any) -> str:
    answer = await api.post(INCIDENTS, {"title": title, **more}, Scope.OPERATOR)
    assert answer.status_code == 202, answer.text
    [identity] = answer.json()["incidents"]
    return str(identity)


async def diagnosed(api: Any) -> str:
    identity = await opened(api)
    now = datetime.now(UTC)
    held = await claim(api.database, "w", api.params.store, now)
    pack = EvidencePack(incident=Incident(id=identity, title="x"))
    diagnosis = Diagnosis(incident_id=identity, verdict=Verdict.CAUSE_FOUND, headline="cart: cpu", reason="because")
    run = Run(id="r", incident_id=identity, diagnosis_hash="x", reasoner="builtin", started_at=now, latency_ms=1)
    await finish(api.database, held, pack, diagnosis, run, api.params.store, now)
    return identity


async def test_an_incident_shows_what_was_said_and_what_was_found(api: Any) -> None:
    told = {"severity": "critical", "affected_service": "checkout", "metrics_snapshot": {"cpu": 0.9}, "description": "since noon"}
    before = (await api.get(f"{INCIDENTS}/{await opened(api, **told)}")).json()
    assert (before["severity"], before["service"], before["description"]) == ("critical", "checkout", "since noon")
    assert (before["snapshot"], before["diagnosis"], before["state"]) == ({"cpu": 0.9}, None, "received")
    assert (before["alerts"][0]["alert"]["annotations"], len(before["timeline"])) == ({"description": "since noon"}, 1)


async def test_a_diagnosis_comes_with_its_evidence_and_its_history(api: Any) -> None:
    found = (await api.get(f"{INCIDENTS}/{await diagnosed(api)}")).json()
    assert (found["diagnosis"]["headline"], found["evidence"]["incident"]["id"]) == ("cart: cpu", found["id"])
    assert [change["after"] for change in found["timeline"]] == ["received", "diagnosing", "diagnosed"]


async def test_every_post_is_an_incident_of_its_own_but_for_one_idempotency_key(api: Any) -> None:
    body = {"title": "checkout is slow", "affected_service": "checkout", "opened_at": "2026-03-01T12:00:00Z"}
    first, second, third = [
        (await api.post(INCIDENTS, body, **more)).json() for more in ({}, {"Idempotency_Key": "k"}, {"Idempotency_Key": "k"})
    ]
    assert first["incidents"] != second["incidents"]
    assert second == third
    other = await api.post(INCIDENTS, {**body, "title": "else"}, Idempotency_Key="k")
    assert (other.status_code, "Idempotency-Key" in other.json()["detail"]) == (422, True)


async def test_pages_hold_every_incident_once_newest_first(api: Any) -> None:
    wanted = [await opened(api, f"number {number}") for number in range(5)][::-1]
    seen, cursor = [], ""
    for _ in range(3):
        page = (await api.get(f"{INCIDENTS}?limit=2{cursor}")).json()
        seen += [one["id"] for one in page["incidents"]]
        cursor = f"&cursor={page['next']}"
    assert (seen, page["next"]) == (wanted, None)


async def test_a_list_may_ask_for_states(api: Any) -> None:
    identity = await diagnosed(api)
    await opened(api)
    page = (await api.get(f"{INCIDENTS}?state=diagnosed&state=closed")).json()
    assert [one["id"] for one in page["incidents"]] == [identity]


@pytest.mark.parametrize(
    ("name", "value"), [("limit", "0"), ("state", "odd"), ("cursor", "x"), ("cursor", "bm9uZQ=="), ("cursor", "é")]
)
async def test_a_wrong_question_is_told_so(api: Any, name: str, value: str) -> None:
    answer = await api.get(f"{INCIDENTS}?{name}={value}")
    assert (answer.status_code, name in answer.json()["detail"]) == (422, True)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "title"),
        ({"title": ""}, "title"),
        ({"title": "x", "severity": "odd"}, "severity"),
        ({"title": "x", "odd": 1}, "odd"),
        ({"title": "x", "opened_at": "0001-01-01T00:00:00+14:00"}, "opened_at"),
        ({"title": "x", "metrics_snapshot": {"cpu": "much"}}, "metrics_snapshot.cpu"),
    ],
)
async def test_an_incident_that_says_something_wrong_is_refused(api: Any, body: Any, field: str) -> None:
    answer = await api.post(INCIDENTS, body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


@pytest.mark.parametrize("identity", ["x", "..%2f..%2fetc%2fpasswd", "%00", "i'; DROP TABLE incidents", "i" + "0" * 25])
async def test_what_is_no_id_is_refused(api: Any, identity: str) -> None:
    assert (await api.get(f"{INCIDENTS}/{identity}")).status_code in (404, 422)


async def test_an_incident_is_analyzed_again_when_nobody_works_on_it(api: Any) -> None:
    identity = await diagnosed(api)
    assert (await api.post(f"{INCIDENTS}/{identity}/analyze", None, Scope.OPERATOR)).status_code == 202
    again = await api.post(f"{INCIDENTS}/{identity}/analyze", None, Scope.OPERATOR)
    assert (again.status_code, "received is not analyzed" in again.json()["detail"]) == (409, True)
    async with api.database.reading() as connection:
        assert sorted((await connection.scalars(select(jobs.c.is_open))).all()) == [False, True]


@pytest.mark.parametrize(("verb", "state"), [("resolve", "resolved"), ("close", "closed")])
async def test_a_person_says_that_it_is_over_and_why(api: Any, verb: str, state: str) -> None:
    identity = await diagnosed(api)
    await api.post(f"{INCIDENTS}/{identity}/analyze", None)
    if verb == "close":  # what waits for a worker resolves first
        assert (await api.post(f"{INCIDENTS}/{identity}/close", {"reason": "x"})).status_code == 409
        await api.post(f"{INCIDENTS}/{identity}/resolve", {"reason": "calm"})
    answer = await api.post(f"{INCIDENTS}/{identity}/{verb}", {"reason": "a test, password=hunter2" + "hunter2"}, Scope.OPERATOR)
    assert (answer.status_code, answer.json()["id"]) == (200, identity)
    found = (await api.get(f"{INCIDENTS}/{identity}")).json()
    last = found["timeline"][-1]
    assert (found["state"], last["after"], last["actor"]) == (state, state, "operator")
    assert last["reason"] == "a test, password=[redacted:password]"
    assert found["alerts"][0]["status"] == "firing"
    async with api.database.reading() as connection:
        assert not any((await connection.scalars(select(jobs.c.is_open))).all())


async def test_what_somebody_works_on_is_not_over(api: Any) -> None:
    identity = await opened(api)
    await claim(api.database, "w", api.params.store, datetime.now(UTC))
    for verb in ("resolve", "close"):
        answer = await api.post(f"{INCIDENTS}/{identity}/{verb}", {"reason": "x"})
        assert (answer.status_code, "diagnosing cannot become" in answer.json()["detail"]) == (409, True)


@pytest.mark.parametrize(
    "body", [None, {}, {"reason": ""}, {"reason": 1}, {"reason": "x" * 2001}, {"reason": "x", "state": "closed"}]
)
async def test_an_end_has_a_reason_and_nothing_else(api: Any, body: Any) -> None:
    identity = await opened(api)
    assert (await api.post(f"{INCIDENTS}/{identity}/resolve", body)).status_code == 422


async def test_after_a_person_resolved_it_only_a_new_alert_brings_it_back(api: Any) -> None:
    async def fire(starts_at: str) -> Any:
        sent = {"title": "slow", "service": "cart", "fingerprint": "f", "groupKey": "g", "starts_at": starts_at}
        return (await api.post("/api/v1/alerts/generic", sent)).json()

    [identity] = (await fire("2026-03-01T12:00:00Z"))["incidents"]
    await api.post(f"{INCIDENTS}/{identity}/resolve", {"reason": "known"})
    assert ((await fire("2026-03-01T12:00:00Z"))["jobs"], (await api.get(f"{INCIDENTS}/{identity}")).json()["state"]) == (
        0,
        "resolved",
    )
    again = await fire("2026-03-01T12:05:00Z")
    assert (again["incidents"], again["jobs"]) == ([identity], 1)
    assert (await api.get(f"{INCIDENTS}/{identity}")).json()["state"] == "reopened"


async def test_feedback_belongs_to_the_latest_diagnosis(api: Any) -> None:
    identity = await diagnosed(api)
    said = {
        "verdict": "corrected",
        "cause": {"component": "cart", "fault_kind": "memory"},
        "actions": ["restart"],
        "comment": "no",
    }
    assert (await api.post(FEEDBACK, {"incident_id": identity, **said}, Scope.OPERATOR)).status_code == 201
    async with api.database.reading() as connection:
        [row] = (await connection.execute(select(feedback))).all()
    assert (row.incident_id, row.actor, row.is_shown) == (identity, "operator", False)
    assert row.feedback == {"schema_version": 1, **said, "cause": {"schema_version": 1, **said["cause"]}}
    assert (await api.get(f"{INCIDENTS}/{identity}")).json()["timeline"][-1]["event"] == "feedback"


async def test_feedback_needs_a_diagnosis_and_means_something(api: Any) -> None:
    identity = await opened(api)
    assert (await api.post(FEEDBACK, {"incident_id": identity, "verdict": "wrong"})).status_code == 409
    for said in ({"verdict": "corrected"}, {"verdict": "correct", "actions": ["restart"]}, {"verdict": "odd"}):
        assert (await api.post(FEEDBACK, {"incident_id": identity, **said})).status_code == 422


async def test_what_is_not_there_is_404(api: Any) -> None:
    assert (await api.get(NOBODY)).status_code == 404
    assert (await api.post(f"{NOBODY}/analyze", None)).status_code == 404
    assert (await api.post(FEEDBACK, {"incident_id": NOBODY.rpartition("/")[2], "verdict": "wrong"})).status_code == 404
    assert (await api.post(f"{NOBODY}/resolve", {"reason": "x"})).status_code == 404


async def test_a_tenant_sees_its_own_incidents_alone(api: Any) -> None:
    path = f"{INCIDENTS}/{await diagnosed(api)}"
    stranger = await api.key(Scope.ADMIN, tenant="other")
    answers = [
        await api.client.get(path, headers=stranger),
        await api.client.post(f"{path}/analyze", headers=stranger),
        await api.client.post(FEEDBACK, json={"incident_id": path.rpartition("/")[2], "verdict": "wrong"}, headers=stranger),
        await api.client.post(f"{path}/resolve", json={"reason": "x"}, headers=stranger),
        await api.client.post(f"{path}/close", json={"reason": "x"}, headers=stranger),
    ]
    assert [answer.status_code for answer in answers] == [404] * 5
    assert (await api.client.get(INCIDENTS, headers=stranger)).json()["incidents"] == []
