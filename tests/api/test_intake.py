"""A 202 means that it is on the disk; everything else says what is wrong with which field, and leaves nothing behind."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import func, select

from mimir_core.store.keys import Scope
from mimir_core.store.tables import alerts, incidents, metadata

pytestmark = pytest.mark.anyio
ALERTS = "/api/v1/alerts/alertmanager"
GENERIC = "/api/v1/alerts/generic"
PROBLEM = "application/problem+json"


def message(*prints: str, group: str = "g", **changed: Any) -> dict[str, Any]:
    one = {
        "status": "firing",
        "labels": {"alertname": "Slow", "service": "checkout", "severity": "critical"},
        "annotations": {"summary": "checkout is slow"},
        "startsAt": "2026-03-01T12:00:00.123456789Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus/graph?g0.expr=up",
    }
    sent = [{**one, "fingerprint": print_} for print_ in prints or ("f1",)]
    return {"version": "4", "groupKey": group, "status": "firing", "receiver": "mimir", "alerts": sent, **changed}


async def count(api: Any, table: Any = alerts) -> int:
    async with api.database.reading() as connection:
        return await connection.scalar(select(func.count()).select_from(table)) or 0


async def test_a_202_is_in_the_store(api: Any) -> None:
    answer = await api.post(ALERTS, message("f1", "f2"), Scope.WEBHOOK)
    assert (answer.status_code, await count(api)) == (202, 2)
    told = answer.json()
    assert (told["new_alerts"], told["known_alerts"], told["jobs"], len(told["incidents"])) == (2, 0, 1, 1)
    again = (await api.post(ALERTS, message("f1", "f2"), Scope.WEBHOOK)).json()
    assert (again["new_alerts"], again["known_alerts"], again["incidents"]) == (0, 2, told["incidents"])


async def test_the_group_key_says_what_belongs_together(api: Any) -> None:
    for print_, group in (("f1", "a"), ("f2", "a"), ("f3", "b")):
        await api.post(ALERTS, message(print_, group=group))
    assert (await count(api), await count(api, incidents)) == (3, 2)


async def test_plain_objects_are_alerts_too(api: Any) -> None:
    for body in ({"title": "disk full", "service": "db"}, {"alerts": [{"name": "Slow"}], "groupKey": "x"}):
        assert (await api.post(GENERIC, body)).status_code == 202
    assert await count(api) == 2


async def test_messages_that_come_at_once_are_all_kept(api: Any) -> None:
    key = await api.key(Scope.WEBHOOK)
    answers = await asyncio.gather(*(api.client.post(ALERTS, json=message(f"f{n}"), headers=key) for n in range(20)))
    assert ({answer.status_code for answer in answers}, await count(api), await count(api, incidents)) == ({202}, 20, 1)


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (ALERTS, {}, "version"),
        (ALERTS, message(version="3"), "version"),
        (ALERTS, message(groupKey=5), "groupKey"),
        (ALERTS, message(alerts=[]), "alerts"),
        (ALERTS, message(alerts=["x"]), "alerts[0]"),
        (ALERTS, message(alerts=[{"status": "odd", "labels": {}, "startsAt": "2026-03-01T12:00:00Z"}]), "alerts[0].status"),
        (ALERTS, message(alerts=[{"status": "firing", "labels": {}, "startsAt": "noon"}]), "alerts[0]: startsAt"),
        (GENERIC, {"service": "db"}, "title"),
        (GENERIC, {"title": "x", "groupKey": ["g"]}, "groupKey"),
        (GENERIC, [], "body"),
    ],
)
async def test_bad_input_names_the_field_and_is_not_kept(api: Any, path: str, body: Any, field: str) -> None:
    answer = await api.post(path, body)
    assert (answer.status_code, answer.headers["content-type"]) == (422, PROBLEM)
    assert field in answer.json()["detail"]
    assert await count(api) == 0


@pytest.mark.parametrize("body", [b"", b"{", b"\xff{}", b'{"title": NaN}', b"[" * 100_000, b'{"title": 1' + b"0" * 5000 + b"}"])
async def test_what_is_no_json_is_refused(api: Any, body: bytes) -> None:
    headers = await api.key(Scope.WEBHOOK) | {"Content-Type": "application/json"}
    answer = await api.client.post(GENERIC, content=body, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (422, PROBLEM)


async def test_bodies_have_a_size_and_a_depth(open_api: Any) -> None:
    api = await open_api(max_body_bytes=2000, max_depth=5, max_alerts=2)
    assert (await api.post(GENERIC, {"title": "x" * 2000})).status_code == 413
    deep = await api.post(GENERIC, {"title": "x", "a": [[[[["deep"]]]]]})
    assert (deep.status_code, "deeper than 5" in deep.json()["detail"]) == (422, True)
    assert (await api.post(GENERIC, {"title": "x", "a": [[[["fine"]]]]})).status_code == 202
    many = await api.post(GENERIC, {"alerts": [{"name": f"a{number}"} for number in range(3)]})
    assert (many.status_code, many.json()["detail"].split(":")[0]) == (422, "alerts")


async def test_no_secret_reaches_the_store(api: Any) -> None:
    secret, other = "hunter2" + "hunter2!x", "gh" + "p_" + "a1B2c3D4e5" * 3 + "F6g7H8"
    body = message("f1")
    body["alerts"][0]["labels"]["password"] = secret
    body["alerts"][0]["annotations"] = {"description": f"login with\npassword={secret}\nfailed", "summary": f"{other} refused"}
    assert (await api.post(ALERTS, body)).status_code == 202
    new = {"title": f"token {other} leaked", "description": f'config {{"password": "{secret}"}}'}
    assert (await api.post("/api/v1/incidents", new, Idempotency_Key="k")).status_code == 202
    written = []
    async with api.database.reading() as connection:
        for table in metadata.sorted_tables:
            written += [str(tuple(row)) for row in await connection.execute(select(table))]
    assert any("[redacted:" in row for row in written)
    assert not [row for row in written if secret in row or other in row]


async def test_characters_that_no_database_takes_lose_no_alert(api: Any) -> None:
    answer = await api.client.post(
        GENERIC,
        content=b'{"title": "nul \\u0000 half \\ud800", "labels": {"a\\u0000": "\\udfff"}}',
        headers=await api.key(Scope.WEBHOOK) | {"Content-Type": "application/json"},
    )
    assert (answer.status_code, await count(api)) == (202, 1)


async def test_a_full_queue_sends_work_back(open_api: Any) -> None:
    api = await open_api(max_queue=1)
    assert (await api.post(ALERTS, message("f1"))).status_code == 202
    full = await api.post(ALERTS, message("f2", group="other"))
    assert (full.status_code, full.headers["content-type"], full.headers["retry-after"]) == (503, PROBLEM, "5")
    assert await count(api) == 1
