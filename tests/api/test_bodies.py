"""No secret gets past the reading of a body, and masking one loses no message."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from deployment.api.bodies import BoundedRequest, _mask_again
from mimir_core.config import ApiSettings

pytestmark = pytest.mark.anyio
SETTINGS = ApiSettings(
    max_body_bytes=100_000, max_depth=9, max_alerts=9, rate_per_second=1, burst=1, max_queue=1, trigger_seconds=1
)


async def read(text: str) -> Any:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": text.encode()}

    app = SimpleNamespace(state=SimpleNamespace(context=SimpleNamespace(params=SimpleNamespace(api=SETTINGS))))
    return await BoundedRequest({"type": "http", "app": app}, receive).json()


async def test_every_planted_secret_is_masked_and_every_message_can_be_read(planted_secrets: list[Any]) -> None:
    for planted in planted_secrets:
        for annotation in (planted.line, f"first\n{planted.line}\nlast"):
            content = await read(json.dumps({"annotations": {"description": annotation}, "labels": {"pod": "a-1"}}))
            assert content["labels"] == {"pod": "a-1"}
            assert planted.secret not in json.dumps(content), planted


async def test_a_secret_is_known_by_the_name_beside_it() -> None:
    secret = "hunter" + "2 and more"
    content = await read(
        json.dumps({"labels": {"db_password": secret, "pod": "a", "password": [secret]}, "api_key": f'{secret}"'})
    )
    assert "hunter" not in str(content)
    assert content["labels"]["pod"] == "a"


@pytest.mark.parametrize("body", [{"n" * 50_000: "short"}, {"n" * 50_000: ["a", "b"]}, {"pod": "v" * 50_000}])
async def test_long_names_and_texts_fill_no_memory(body: dict[str, Any]) -> None:
    _mask_again.cache_clear()
    assert await read(json.dumps(body)) == body
    assert _mask_again.cache_info().currsize == ("pod" in body)
