"""Closed by default: no route without a key, no key for more than its scopes, nobody for more than his share."""

from datetime import UTC, datetime
from typing import Any

import pytest

from deployment.api.gate import OPEN
from mimir_core.errors import InputError
from mimir_core.store.database import Database
from mimir_core.store.keys import create_first_key, create_key, find_key, list_keys, revoke_key
from mimir_core.store.scopes import Scope
from mimir_core.store.tables import keys as table

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 3, 1, tzinfo=UTC)
INCIDENTS = "/api/v1/incidents"
IDENTITY = "i" + "0" * 24
NEEDS = {
    ("POST", "/api/v1/alerts/alertmanager"): Scope.WEBHOOK,
    ("POST", "/api/v1/alerts/generic"): Scope.WEBHOOK,
    ("POST", INCIDENTS): Scope.OPERATOR,
    ("GET", INCIDENTS): Scope.VIEWER,
    ("GET", INCIDENTS + "/{incident_id}"): Scope.VIEWER,
    ("POST", INCIDENTS + "/{incident_id}/analyze"): Scope.OPERATOR,
    ("POST", INCIDENTS + "/{incident_id}/resolve"): Scope.OPERATOR,
    ("POST", INCIDENTS + "/{incident_id}/close"): Scope.OPERATOR,
    ("POST", "/api/v1/feedback"): Scope.OPERATOR,
    ("GET", "/metrics"): Scope.VIEWER,
}
BODIES = {
    "/api/v1/alerts/alertmanager": {
        "version": "4",
        "groupKey": "g",
        "alerts": [{"status": "firing", "labels": {}, "startsAt": "2026-03-01"}],
    },
    "/feedback": {"incident_id": IDENTITY, "verdict": "wrong"},
    "/resolve": {"reason": "x"},
    "/close": {"reason": "x"},
}


def routes(api: Any) -> list[tuple[str, str]]:
    """Every method and path that the app answers, as its OpenAPI document and its router tell."""
    app = api.client._transport.app
    documented = {(method.upper(), path) for path, known in app.openapi()["paths"].items() for method in known}
    plain = {(method, route.path) for route in app.routes if hasattr(route, "methods") for method in route.methods}
    return sorted(documented | plain)


async def ask(api: Any, method: str, path: str, headers: dict[str, str]) -> Any:
    body = next((known for end, known in BODIES.items() if path.endswith(end)), {"title": "x"})
    sent = {"json": body} if method == "POST" else {}
    return await api.client.request(method, path.format(incident_id=IDENTITY), headers=headers, **sent)


async def test_no_route_is_open_without_a_key_that_is_in_use(api: Any) -> None:
    known = routes(api)
    assert {(method, path) for method, path in known if method != "HEAD"} == {
        *NEEDS,
        *(("GET", path) for path in (*OPEN, "/openapi.json")),
    }
    revoked = await api.key(Scope.ADMIN)
    await revoke_key(api.database, revoked["Authorization"].split("_")[1], "kim", NOW)
    secret = (await api.key(Scope.ADMIN))["Authorization"][:-1]
    bad = [{}, revoked, {"Authorization": secret + "?"}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer mim_"}]
    for method, path in [*known, ("GET", "/nothing"), ("GET", "/docs")]:
        if path in OPEN:
            continue
        for headers in bad:
            answer = await ask(api, method, path, headers)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), (method, path, headers)


async def test_a_wrong_secret_for_a_known_key_is_refused(database: Database) -> None:
    right = await create_key(database, "ci", [Scope.VIEWER], "default", "kim", NOW)
    wrong = right[:-1] + ("A" if right[-1] != "A" else "B")
    assert (await find_key(database, right)) is not None
    assert await find_key(database, wrong) is None


@pytest.mark.parametrize("scope", Scope)
async def test_a_key_opens_what_its_scope_covers_and_no_more(api: Any, scope: Scope) -> None:
    key = await api.key(scope)
    allowed = {
        Scope.ADMIN: set(Scope),
        Scope.OPERATOR: {Scope.OPERATOR, Scope.VIEWER},
        Scope.APPROVER: {Scope.APPROVER, Scope.VIEWER},
    }.get(scope, {scope})
    for (method, path), needed in NEEDS.items():
        answer = await ask(api, method, path, key)
        assert (answer.status_code != 403) == (needed in allowed), (method, path, answer.text)
        assert answer.status_code in (200, 202, 403, 404)


async def test_a_key_that_asks_too_often_waits_and_others_do_not(open_api: Any) -> None:
    api = await open_api(rate_per_second=0.001, burst=2)
    busy, other = await api.key(Scope.VIEWER), await api.key(Scope.VIEWER)
    codes = [(await api.client.get(INCIDENTS, headers=busy)).status_code for _ in range(3)]
    assert codes == [200, 200, 429]
    refused = await api.client.get(INCIDENTS, headers=busy)
    assert (int(refused.headers["retry-after"]) > 1, refused.headers["content-type"]) == (True, "application/problem+json")
    assert (await api.client.get(INCIDENTS, headers=other)).status_code == 200


async def test_health_is_told_to_anybody_and_figures_to_viewers(api: Any) -> None:
    assert [(await api.client.get(path)).status_code for path in OPEN] == [200, 200]
    await api.post(INCIDENTS, {"title": "x"})
    told = (await api.get("/metrics")).text
    for line in (
        'mimir_alerts_received_total{outcome="new"} 1.0',
        "mimir_queue_depth 1.0",
        "mimir_intake_seconds_count 1.0",
        f'mimir_requests_total{{method="POST",route="{INCIDENTS}",status="202"}} 1.0',
    ):
        assert line in told


async def test_a_store_that_is_away_is_worth_another_try_and_its_address_is_not_told(
    api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = await api.key(Scope.ADMIN)
    broken = OSError("no route to db.internal")
    monkeypatch.setattr(type(api.database.engine), "begin", lambda _self: (_ for _ in ()).throw(broken))
    for method, path in (("POST", INCIDENTS), ("POST", "/api/v1/alerts/generic")):
        answer = await ask(api, method, path, headers)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert "internal" not in answer.text
    monkeypatch.setattr(type(api.database.engine), "connect", lambda _self: (_ for _ in ()).throw(broken))
    assert [(await api.client.get(path)).status_code for path in OPEN] == [200, 503]
    assert (await ask(api, "GET", INCIDENTS, headers)).status_code == 503


async def test_a_wrong_method_is_a_problem_too(api: Any) -> None:
    answer = await api.client.delete(INCIDENTS, headers=await api.key(Scope.ADMIN))
    assert (answer.status_code, answer.headers["content-type"]) == (405, "application/problem+json")
    await api.client.request("INVENTED", "/nothing")
    told = (await api.get("/metrics")).text
    assert 'method="other",route="none",status="401"' in told
    assert "INVENTED" not in told


async def test_a_key_is_shown_once_and_stored_hashed(database: Database) -> None:
    shown = await create_first_key(database, "default", NOW)
    assert shown is not None
    assert await create_first_key(database, "default", NOW) is None
    found = await find_key(database, shown)
    assert found is not None
    assert (found.scopes, [key.name for key in await list_keys(database)]) == ({Scope.ADMIN}, ["first"])
    async with database.reading() as connection:
        assert shown.split("_", 2)[2] not in str((await connection.execute(table.select())).all())


async def test_a_key_is_for_something_and_revoked_once(database: Database) -> None:
    with pytest.raises(InputError, match="needs a scope"):
        await create_key(database, "x", [], "default", "kim", NOW)
    identity = (await create_key(database, "x", [Scope.VIEWER], "default", "kim", NOW)).split("_")[1]
    await revoke_key(database, identity, "kim", NOW)
    with pytest.raises(InputError, match="none that is in use"):
        await revoke_key(database, identity, "kim", NOW)
