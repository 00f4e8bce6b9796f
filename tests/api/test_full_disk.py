"""A disk that is full refuses what it cannot keep, keeps what it has, and takes more once there is room."""

from typing import Any

import pytest
from sqlalchemy import event, func, select, text

from mimir_core.store.tables import alerts

pytestmark = pytest.mark.anyio
PAGES = 40
"""Of 4 KiB, beyond those of the empty tables."""


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
async def test_a_full_disk_is_503_and_loses_nothing(api: Any) -> None:
    headers = await api.key("webhook")
    async with api.database.reading() as connection:
        room = [await connection.scalar(text("PRAGMA page_count")) + PAGES]

    @event.listens_for(api.database.engine.sync_engine, "checkout")
    def limit(connection: Any, *_: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {room[0]}")  # SQLite answers as it does on a full disk

    async def send(number: int) -> Any:
        alert = {"title": "Slow", "fingerprint": f"print-{number}", "labels": {"note": "x" * 3000}}
        return await api.client.post("/api/v1/alerts/generic", json=alert, headers=headers)

    answers = [await send(number) for number in range(100)]
    taken = [answer.status_code for answer in answers].count(202)
    assert 0 < taken < 100
    assert {answer.status_code for answer in answers[taken:]} == {503}
    assert answers[-1].headers["Retry-After"] == "5"
    assert (await api.client.get("/readyz")).status_code == 200
    async with api.database.reading() as connection:
        assert await connection.scalar(select(func.count()).select_from(alerts)) == taken
    room[0] += PAGES
    assert (await send(100)).status_code == 202
