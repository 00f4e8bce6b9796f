"""Each line of the log says which request and which incident it is about."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployment.logs import set_up
from mimir_core.store.scopes import Scope
from tasks.work import Worker

pytestmark = pytest.mark.anyio


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return what reads the lines that were logged as JSON so far."""
    root, stream = logging.getLogger(), io.StringIO()
    before, level = list(root.handlers), root.level
    monkeypatch.setattr(sys, "stderr", stream)
    set_up("INFO", "json")
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:] = before
    root.setLevel(level)


async def test_a_request_is_one_line_with_its_id_its_key_and_its_incidents(api: Any, lines: Any) -> None:
    alert = {"title": "Slow", "service": "cart"}
    answer = await api.post("/api/v1/alerts/generic", alert, Scope.WEBHOOK, X_Request_ID="from-the-proxy.7")
    [line] = lines()
    assert answer.headers["X-Request-ID"] == line["request"] == "from-the-proxy.7"
    assert (line["key"], line["incidents"]) == ("webhook", answer.json()["incidents"][0])
    assert line["event"].startswith("POST /api/v1/alerts/generic: 202 in ")


async def test_who_gives_no_id_or_a_strange_one_gets_a_new_one(api: Any, lines: Any) -> None:
    for given in ({}, {"X-Request-ID": "a b"}, {"X-Request-ID": "x" * 65}):
        answer = await api.client.get("/api/v1/incidents", headers=given)
        assert answer.headers["X-Request-ID"] == lines()[-1]["request"]
    assert [len(identity) for identity in {line["request"] for line in lines()}] == [32, 32, 32]


async def test_what_a_worker_says_names_its_incident(api: Any, lines: Any, tmp_path: Path) -> None:
    sent = await api.post("/api/v1/alerts/generic", {"title": "Slow", "service": "cart"})
    quick = api.params.model_copy(update={"diagnose": api.params.diagnose.model_copy(update={"passages": 0})})
    assert await Worker("w1", quick, tmp_path / "cases", tmp_path / "out").work(api.database) == 1
    said = [line for line in lines() if line["logger"] == "tasks.work"]
    assert [(line["incident"], line["worker"]) for line in said] == [(sent.json()["incidents"][0], "w1")]
