"""New work starts a run, one for many; what Prefect refuses is counted."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter

from deployment.api.trigger import Trigger, connect

pytestmark = pytest.mark.anyio


class ScriptedPrefect:
    """Stands for Prefect's API: at first some runs are alive, then none; remembers what it was asked."""

    def __init__(self, *alive: int, status: int = 200) -> None:
        self.alive, self.status, self.asked = list(alive), status, list[str]()
        self.client = httpx.AsyncClient(transport=httpx.MockTransport(self._answer), base_url="http://prefect/api")

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path.removeprefix("/api"))
        if request.url.path.endswith("/count"):
            assert json.loads(request.content)["deployments"] == {"name": {"any_": ["minutely"]}}
            return httpx.Response(self.status, json=self.alive.pop(0) if self.alive else 0)
        return httpx.Response(self.status, json={"id": "d1"})


@pytest.fixture
def outcomes() -> Counter:
    return Counter("mimir_triggers", "Runs.", ["outcome"], registry=CollectorRegistry())


def count(outcomes: Counter) -> dict[str, Any]:
    return {
        sample.labels["outcome"]: sample.value
        for sample in next(iter(outcomes.collect())).samples
        if sample.name.endswith("_total")
    }


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0.001)


async def test_many_pulls_start_one_run_and_a_later_one_another(outcomes: Counter) -> None:
    prefect = ScriptedPrefect()
    trigger = Trigger(prefect.client, 0.01, outcomes)
    for _ in range(5):
        trigger.pull()
    await until(lambda: count(outcomes) == {"started": 1})
    assert prefect.asked == ["/flow_runs/count", "/deployments/name/serve/minutely", "/deployments/d1/create_flow_run"]
    await asyncio.sleep(0)
    trigger.pull()
    await until(lambda: count(outcomes) == {"started": 2})


async def test_a_run_that_is_at_work_is_waited_for(outcomes: Counter) -> None:
    prefect = ScriptedPrefect(1, 1)
    Trigger(prefect.client, 0.01, outcomes).pull()
    await until(lambda: count(outcomes) == {"started": 1})
    assert prefect.asked.count("/flow_runs/count") == 3


async def test_what_prefect_refuses_is_counted_and_does_not_stop_the_next(outcomes: Counter) -> None:
    prefect = ScriptedPrefect(status=503)
    trigger = Trigger(prefect.client, 0.01, outcomes)
    trigger.pull()
    await until(lambda: count(outcomes) == {"failed": 1})
    prefect.status = 200
    await asyncio.sleep(0)
    trigger.pull()
    await until(lambda: count(outcomes) == {"failed": 1, "started": 1})


async def test_where_nobody_serves_prefect_nothing_is_started(outcomes: Counter) -> None:
    assert connect({}) is None
    Trigger(None, 0.01, outcomes).pull()
    await asyncio.sleep(0.02)
    assert count(outcomes) == {}


async def test_the_server_is_asked_with_its_password() -> None:
    client = connect({"PREFECT_API_URL": "http://prefect/api", "PREFECT_API_AUTH_STRING": "mimir:a:b"})
    assert client
    [request] = [client.build_request("GET", "/version")]
    assert next(client.auth.sync_auth_flow(request)).headers["Authorization"].startswith("Basic ")
