"""Whatever an endpoint does, each request has an outcome in time."""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from model_server import ModelServer, answers, answers_as_anthropic, answers_when_asked, breaks_off, drips, floods, hangs, says

from mimir_core.backends.endpoints import ModelEndpoint, Outcome, Request
from mimir_core.config import ReasonerSettings, read_params
from mimir_core.errors import BackendError
from mimir_core.reasoning.model import Answered
from mimir_core.reasoning.steps import Steps
from mimir_core.records import Message

CHAT = [Message(role="system", content="diagnose"), Message(role="user", content="the disk is full")]
SCHEMA = Steps.model_json_schema()
DEADLINE = 0.4
PATIENT = SOON = 10.0
"""Long after any answer and any deadline on a busy machine, long before what hangs for half a minute."""
At = Callable[..., ModelEndpoint]


@pytest.fixture(scope="module")
def settings() -> ReasonerSettings:
    """Short deadlines; and the library is imported before any of them runs."""
    import pydantic_ai.models.anthropic  # noqa: PLC0415
    import pydantic_ai.models.openai  # noqa: F401, PLC0415

    shipped = read_params(Path(__file__).parents[2] / "params.yaml").reasoner
    return shipped.model_copy(update={"model": "m", "timeout_seconds": PATIENT, "retries": 0, "max_output_tokens": 64})


@pytest.fixture
def at(model_server: ModelServer, settings: ReasonerSettings) -> At:
    def endpoint(url: str = "", key: str | None = None, **changed: object) -> ModelEndpoint:
        return ModelEndpoint(url or model_server.url, key, settings.model_copy(update=changed))

    return endpoint


async def all_of(endpoint: ModelEndpoint, requests: list[Request], concurrency: int) -> list[Outcome]:
    return [outcome async for outcome in endpoint.ask_many(requests, concurrency)]


def test_an_answer_comes_with_what_it_took(at: At, model_server: ModelServer) -> None:
    model_server.script = [answers('{"verdict": "healthy"}')]
    assert at().ask(CHAT, None) == Answered('{"verdict": "healthy"}', 30, 4)
    [body] = model_server.bodies
    assert body["messages"] == [message.model_dump() for message in CHAT]
    assert (body["max_tokens"], body["temperature"], body["stream"]) == (64, 0, False)


def test_a_judge_that_samples_says_how(model_server: ModelServer, settings: ReasonerSettings) -> None:
    ModelEndpoint(model_server.url, None, settings, temperature=0.7).ask(CHAT, None)
    assert model_server.bodies[0]["temperature"] == 0.7


def test_chats_that_are_asked_together_are_answered_in_their_order_and_one_that_fails_says_why(
    at: At, model_server: ModelServer
) -> None:
    model_server.script = [answers("first", 0.2), answers("second"), says(400), answers("last")]
    first, second, failed, last = at(concurrency=1).ask_all([CHAT] * 4, SCHEMA)
    assert [one.text for one in (first, second, last) if isinstance(one, Answered)] == ["first", "second", "last"]
    assert isinstance(failed, BackendError)
    assert all("response_format" in body for body in model_server.bodies)


@pytest.mark.parametrize(("penalty", "sent"), [(0.0, None), (0.3, 0.3)])
def test_a_penalty_of_none_is_not_sent(penalty: float, sent: float | None, at: At, model_server: ModelServer) -> None:
    at(frequency_penalty=penalty).ask(CHAT, None)
    assert model_server.bodies[0].get("frequency_penalty") == sent


def test_a_repair_is_asked_for_in_the_same_chat(at: At, model_server: ModelServer) -> None:
    chat = [*CHAT, Message(role="assistant", content="{}"), Message(role="user", content="again")]
    at().ask(chat, None)
    assert model_server.bodies[0]["messages"] == [message.model_dump() for message in chat]


def test_a_schema_is_asked_for_only_when_there_is_one(at: At, model_server: ModelServer) -> None:
    at().ask(CHAT, SCHEMA)
    at().ask(CHAT, None)
    held, free = model_server.bodies
    assert held["response_format"]["json_schema"]["schema"]["required"] == list(Steps.model_fields)
    assert "response_format" not in free
    assert held["messages"] == free["messages"]


def test_thoughts_are_no_part_of_the_answer(at: At, model_server: ModelServer) -> None:
    model_server.script = [answers("<think>{ maybe }</think>{}")]
    assert at().ask(CHAT, None).text == "{}"


def test_anthropic_is_asked_in_its_own_language(at: At, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-vendor-key")
    model_server.script = [answers_as_anthropic("{}")]
    endpoint = at(model_server.url.removesuffix("/v1"), provider="anthropic", model="claude-sonnet-4-5")
    assert endpoint.ask(CHAT, SCHEMA) == Answered("{}", 30, 4)
    [body] = model_server.bodies
    assert body["system"] == "diagnose"
    assert body["output_config"]["format"]["type"] == "json_schema"
    assert "a-vendor-key" not in str(model_server.headers)


def test_only_the_key_that_was_given_is_sent(at: At, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a-vendor-key")
    at().ask(CHAT, None)
    at(key="mine").ask(CHAT, None)
    assert [{k.lower(): v for k, v in sent.items()}["authorization"] for sent in model_server.headers] == [
        "Bearer none",
        "Bearer mine",
    ]


def test_the_key_stands_in_no_error(at: At, model_server: ModelServer) -> None:
    model_server.script = [says(401, b'{"error": {"message": "wrong key: open-sesame-7"}}')]
    with pytest.raises(BackendError, match=r"401.*wrong key: \*\*\*"):
        at(key="open-sesame-7").ask(CHAT, None)


@pytest.mark.parametrize("deed", [hangs, drips], ids=["hangs", "drips for ever"])
def test_the_deadline_ends_what_does_not_end(at: At, model_server: ModelServer, deed: Callable[..., None]) -> None:
    model_server.script = [deed]
    began = time.monotonic()
    with pytest.raises(BackendError, match=r"timed out after 0\.4 seconds"):
        at(retries=5, timeout_seconds=DEADLINE).ask(CHAT, None)
    assert time.monotonic() - began < SOON


def test_the_deadline_holds_for_all_retries_and_pauses(at: At, model_server: ModelServer) -> None:
    model_server.script = [says(429, Retry_After="60")]
    began = time.monotonic()
    with pytest.raises(BackendError, match="timed out"):
        at(retries=5, timeout_seconds=DEADLINE).ask(CHAT, None)
    assert time.monotonic() - began < SOON


def test_a_flood_is_cut_off_before_it_fills_the_memory(at: At, model_server: ModelServer) -> None:
    model_server.script = [floods]
    with pytest.raises(BackendError, match=r"longer than reasoner\.max_output_tokens allows"):
        at().ask(CHAT, None)


def test_retry_after_is_obeyed(at: At, model_server: ModelServer) -> None:
    model_server.script = [says(429, Retry_After="0.1"), answers("{}")]
    began = time.monotonic()
    assert at(retries=1).ask(CHAT, None).text == "{}"
    assert time.monotonic() - began >= 0.1


@pytest.mark.parametrize("deed", [says(500), says(503), breaks_off], ids=["500", "503", "breaks off"])
def test_what_may_pass_is_tried_again(at: At, model_server: ModelServer, deed: Callable[..., None]) -> None:
    model_server.script = [deed, answers("{}")]
    assert at(retries=1).ask(CHAT, None).text == "{}"
    assert len(model_server.bodies) == 2


def test_retries_are_bounded(at: At, model_server: ModelServer) -> None:
    model_server.script = [says(500)]
    with pytest.raises(BackendError, match="500"):
        at(retries=1).ask(CHAT, None)
    assert len(model_server.bodies) == 2


@pytest.mark.parametrize(
    "deed",
    [
        says(400, b'{"error": {"message": "no such schema"}}'),
        says(404),
        says(200, b"<html>a login page</html>"),
        says(200, b"{}"),
        says(200, b"[1]"),
        says(200, b'{"choices": []}'),
        says(200, b""),
    ],
    ids=["400", "404", "html", "empty object", "list", "no choices", "nothing"],
)
def test_what_will_not_pass_is_an_error_at_once(at: At, model_server: ModelServer, deed: Callable[..., None]) -> None:
    model_server.script = [deed]
    with pytest.raises(BackendError) as error:
        at(retries=5).ask(CHAT, None)
    assert len(model_server.bodies) == 1
    assert 0 < len(str(error.value)) <= 300


def test_nothing_follows_a_redirect(at: At, model_server: ModelServer) -> None:
    model_server.script = [says(307, Location=model_server.url + "/elsewhere"), answers("{}")]
    with pytest.raises(BackendError, match="307"):
        at().ask(CHAT, None)
    assert len(model_server.bodies) == 1


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/v1", "http://no-such-host.invalid/v1", "nonsense", "http://[::1/v1"])
def test_nobody_there_is_an_error(at: At, url: str) -> None:
    with pytest.raises(BackendError):
        at(url).ask(CHAT, None)


def test_in_a_batch_each_fails_alone_and_none_is_lost(at: At, model_server: ModelServer) -> None:
    faults = [says(500), breaks_off, says(200, b"<html>"), says(429)]
    model_server.script = [answers("{}"), *faults, answers("{}")]
    outcomes = asyncio.run(all_of(at(), [Request(CHAT, None)] * 20, 3))
    assert sorted(outcome.place for outcome in outcomes) == list(range(20))
    assert sum(isinstance(outcome.answer, BackendError) for outcome in outcomes) == len(faults)


def test_in_a_batch_what_hangs_ends_at_its_own_deadline(at: At, model_server: ModelServer) -> None:
    model_server.script = [hangs, drips, hangs, answers("{}")]
    outcomes = asyncio.run(all_of(at(timeout_seconds=DEADLINE), [Request(CHAT, None)] * 6, 2))
    assert sorted(outcome.place for outcome in outcomes) == list(range(6))
    assert sum(isinstance(outcome.answer, BackendError) for outcome in outcomes) >= 3


def test_an_endpoint_that_dies_in_the_middle_leaves_answers_and_reasons(at: At, model_server: ModelServer) -> None:
    model_server.script = [answers("{}"), answers("{}"), breaks_off]
    outcomes = asyncio.run(all_of(at(), [Request(CHAT, None)] * 6, 2))
    assert len(outcomes) == 6
    assert sum(isinstance(outcome.answer, Answered) for outcome in outcomes) == 2


def test_a_slow_answer_keeps_no_other_waiting(at: At, model_server: ModelServer) -> None:
    model_server.script = [answers_when_asked(9, "slow"), answers("quick")]
    outcomes = asyncio.run(all_of(at(), [Request(CHAT, None)] * 9, 3))
    texts = [outcome.answer.text for outcome in outcomes if isinstance(outcome.answer, Answered)]
    assert sorted(texts) == ["quick"] * 8 + ["slow"]
    assert texts[0] == "quick"


def test_no_more_is_open_than_allowed_and_requests_are_read_as_they_are_needed(at: At, model_server: ModelServer) -> None:
    model_server.script = [answers("{}", 0.02)]
    read: list[int] = []

    def requests() -> Iterator[Request]:
        for number in range(8):
            read.append(number)
            yield Request(CHAT, None)

    async def watch() -> None:
        seen = 0
        async for _ in at().ask_many(requests(), 2):
            seen += 1
            assert len(read) <= seen + 3

    asyncio.run(watch())
    assert len(read) == 8


def test_whoever_looks_no_longer_leaves_nothing_open(at: At, model_server: ModelServer) -> None:
    model_server.script = [answers("{}"), hangs]

    async def leave() -> None:
        outcomes = at(timeout_seconds=30.0).ask_many([Request(CHAT, None)] * 5, 3)
        async for _ in outcomes:
            break
        await outcomes.aclose()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    began = time.monotonic()
    asyncio.run(leave())
    assert time.monotonic() - began < SOON
