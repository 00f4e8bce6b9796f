"""Whatever is sent that the OpenAPI document allows, or forbids, is answered, and never by a defect."""

from collections import Counter
from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode

from mimir_core.store.scopes import Scope

pytestmark = pytest.mark.anyio
EXAMPLES = 12


def cases(document: dict[str, Any], mode: GenerationMode) -> list[Case]:
    """Return some requests for every operation, the same on each run."""
    drawn: list[Case] = []
    for found in schemathesis.openapi.from_dict(document).get_all_operations():

        @settings(
            max_examples=EXAMPLES, phases=[Phase.generate], database=None, deadline=None, derandomize=True,
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(found.ok().as_strategy(generation_mode=mode))
        def draw(case: Case) -> None:
            drawn.append(case)

        with suppress(Unsatisfiable):  # what takes nothing cannot be given anything wrong
            draw()
    return drawn


@pytest.mark.parametrize("mode", GenerationMode)
async def test_nothing_that_is_sent_makes_a_5xx(open_api: Any, mode: GenerationMode) -> None:
    api = await open_api(burst=100_000, max_queue=100_000)
    headers = await api.key(Scope.ADMIN)
    codes: Counter[int] = Counter()
    for case in cases(api.client._transport.app.openapi(), mode):
        sent = case.as_transport_kwargs(base_url="http://mimir", headers=headers)
        wanted = {name: sent[name] for name in ("method", "url", "params", "json", "headers") if sent.get(name) is not None}
        answer = await api.client.request(**wanted, content=sent.get("data"))
        assert answer.status_code < 500, (wanted, answer.text)
        codes[answer.status_code] += 1
    assert set(codes) >= ({422} if mode is GenerationMode.NEGATIVE else {200, 202, 404})
