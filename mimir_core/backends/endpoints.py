"""An endpoint that serves a model -> its answers, through pydantic-ai.

Comes in: chats. Goes out: what the model wrote, and the tokens that it took. Speaks the OpenAI API (vLLM, TGI, Ollama, Llama
Stack, OpenAI) and Anthropic's. Surprises: one deadline holds for an answer with its retries and pauses, however slowly it drips;
an answer is cut off where it is longer than ``max_output_tokens`` can be; a client lives for one call, because it belongs to the
event loop of that call; nothing is sent to where an endpoint redirects, and no key is taken from a vendor's own variables.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from itertools import islice
from textwrap import shorten
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx2

from mimir_core.config import ReasonerSettings
from mimir_core.errors import BackendError
from mimir_core.reasoning.model import Answered
from mimir_core.records import Message
from mimir_core.safety import escape
from mimir_core.safety.redact import redact

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelMessage
    from pydantic_ai.models import Model
    from pydantic_ai.settings import ModelSettings

logger = logging.getLogger(__name__)

_NO_KEY = "none"
"""Sent where there is no key: without one, a client looks for its vendor's in the environment."""
_BYTES_PER_TOKEN = 100
"""Of an answer, at most: the longest tokens, escaped in JSON."""
_BYTES_BESIDE = 100_000
"""What an endpoint may say beside the answer."""
_REASON_CHARACTERS = 300
_PROGRESS = 100
"""Answers between two lines of progress."""


class Request(NamedTuple):
    """A chat of a batch."""

    messages: Sequence[Message]
    schema: Mapping[str, Any] | None


class Outcome(NamedTuple):
    """What came of a request."""

    place: int
    """Of the request in its batch, from 0."""
    answer: Answered | BackendError
    seconds: float
    """From the first try to the last token."""


class ModelEndpoint:
    """One model at one endpoint."""

    def __init__(self, url: str, key: str | None, settings: ReasonerSettings, temperature: float = 0.0) -> None:
        """Remember whom to ask; nothing is imported or asked.

        Args:
            url: Of the API.
            key: None where the endpoint wants none.
            settings: The ``reasoner`` section of params.yaml.
            temperature: Of the answers; above 0 two of them to the same chat may differ.
        """
        self._url = url
        self._key = key
        self._settings = settings
        self._temperature = temperature

    def ask(self, messages: Sequence[Message], schema: Mapping[str, Any] | None) -> Answered:
        """Return the answer to a chat; call it where no event loop runs.

        Args:
            messages: Its last message is the question.
            schema: The JSON schema that the answer is held to; None: free text.

        Raises:
            BackendError: There is no answer within ``timeout_seconds``, or ``retries`` did not help.
        """

        async def ask_alone() -> Answered:
            async with self._model() as model:
                return await self._answer(model, Request(messages, schema))

        return asyncio.run(ask_alone())

    def ask_all(self, chats: Iterable[Sequence[Message]], schema: Mapping[str, Any] | None) -> list[Answered | BackendError]:
        """Return the answer to each chat, or why there is none, ``concurrency`` of them open at the same time.

        Args:
            chats: Each as for :meth:`ask`.
            schema: What all answers are held to.

        Raises:
            BackendError: Nobody can be asked at all: the URL is none.
        """
        requests = (Request(chat, schema) for chat in chats)
        return [outcome.answer for outcome in self.collect(requests, self._settings.concurrency)]

    def collect(self, requests: Iterable[Request], concurrency: int) -> list[Outcome]:
        """Return the outcome of each request, in their order; call it where no event loop runs."""

        async def come() -> list[Outcome]:
            outcomes = []
            async for outcome in self.ask_many(requests, concurrency):
                outcomes.append(outcome)
                if len(outcomes) % _PROGRESS == 0:
                    logger.info("%s: %s answers", self._settings.model, len(outcomes))
            return outcomes

        return sorted(asyncio.run(come()), key=lambda outcome: outcome.place)

    async def ask_many(self, requests: Iterable[Request], concurrency: int) -> AsyncIterator[Outcome]:
        """Yield the outcome of each request as it comes.

        Args:
            requests: Read as answers come; may be larger than memory.
            concurrency: Requests that are open at the same time, up to the end.
        """

        async def attempt(place: int, request: Request) -> Outcome:
            began = time.monotonic()
            try:
                answer: Answered | BackendError = await self._answer(model, request)
            except BackendError as error:
                answer = error
            return Outcome(place, answer, time.monotonic() - began)

        waiting = enumerate(requests)

        def start(count: int) -> set[asyncio.Task[Outcome]]:
            return {asyncio.create_task(attempt(*one)) for one in islice(waiting, count)}

        async with self._model() as model:
            running = start(concurrency)
            try:
                while running:
                    done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                    # Before anybody looks at what has come: the endpoint is not kept waiting.
                    running |= start(len(done))
                    for task in done:
                        yield task.result()
            finally:
                for task in running:
                    task.cancel()
                await asyncio.gather(*running, return_exceptions=True)

    async def _answer(self, model: "Model", request: Request) -> Answered:
        from pydantic_ai.direct import model_request  # noqa: PLC0415  # takes seconds
        from pydantic_ai.models import ModelRequestParameters  # noqa: PLC0415
        from pydantic_ai.output import OutputObjectDefinition  # noqa: PLC0415

        held = ModelRequestParameters()
        if request.schema:
            shape = OutputObjectDefinition(json_schema=dict(request.schema), name="answer", strict=True)
            held = ModelRequestParameters(output_mode="native", output_object=shape)
        with self._failing_as_backend():
            response = await model_request(
                model,
                list(_history(request.messages)),
                model_settings=self._limits(),
                model_request_parameters=held,
                instrument=False,
            )
        return Answered(response.text or "", response.usage.input_tokens, response.usage.output_tokens)

    @contextmanager
    def _failing_as_backend(self) -> Iterator[None]:
        from pydantic_ai.exceptions import AgentRunError, ModelConnectionError, UserError  # noqa: PLC0415  # takes seconds

        try:
            yield
        except (AgentRunError, UserError, httpx2.HTTPError, httpx2.InvalidURL) as error:
            # What broke a connection stands at the end of a chain of errors that all say "Connection error".
            told = _first_cause(error) if isinstance(error, ModelConnectionError) else error
            said = redact(str(told) or type(told).__name__).text.partition("\n")[0]
            said = said.replace(self._key, "***") if self._key else said
            raise BackendError(shorten(escape.line(said), _REASON_CHARACTERS, placeholder=" …")) from error

    def _limits(self) -> "ModelSettings":
        limits: ModelSettings = {
            "max_tokens": self._settings.max_output_tokens,
            "temperature": self._temperature,
            "request_timeout": self._settings.timeout_seconds,
            "max_retries": self._settings.retries,
        }
        if self._settings.frequency_penalty:
            limits["frequency_penalty"] = self._settings.frequency_penalty
        return limits

    @asynccontextmanager
    async def _model(self) -> AsyncIterator["Model"]:
        """Open a client."""
        from pydantic_ai.models import create_async_httpx2_client  # noqa: PLC0415  # takes seconds

        async with create_async_httpx2_client() as client:
            client.headers["Accept-Encoding"] = "identity"
            client.event_hooks["response"].append(self._cut_off)
            with self._failing_as_backend():
                model = self._speak(client)
            yield model

    def _speak(self, client: httpx2.AsyncClient) -> "Model":
        """Return what speaks the language of the provider."""
        name, key = self._settings.model, self._key or _NO_KEY
        if self._settings.provider == "anthropic":
            from pydantic_ai.models.anthropic import AnthropicModel  # noqa: PLC0415  # takes seconds
            from pydantic_ai.providers.anthropic import AnthropicProvider  # noqa: PLC0415

            return AnthropicModel(name, provider=AnthropicProvider(api_key=key, base_url=self._url, http_client=client))
        from pydantic_ai.models.openai import OpenAIChatModel  # noqa: PLC0415  # takes seconds
        from pydantic_ai.profiles.openai import OpenAIModelProfile  # noqa: PLC0415
        from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider  # noqa: PLC0415

        profile = OpenAIModelProfile(
            supports_json_schema_output=True,
            # The prompt is the one that a model of one's own was taught: no schema is added to it.
            native_output_requires_schema_in_instructions=False,
            # Servers of one's own know the older name of `max_tokens`; OpenAI's newer models only the newer one.
            openai_chat_supports_max_completion_tokens="//api.openai.com/" in self._url,
        )
        provider = OpenAICompatibleProvider("endpoint", base_url=self._url, api_key=key, http_client=client)
        return OpenAIChatModel(name, provider=provider, profile=profile)

    async def _cut_off(self, response: httpx2.Response) -> None:
        """Let no answer fill the memory."""
        most = self._settings.max_output_tokens * _BYTES_PER_TOKEN + _BYTES_BESIDE
        assert isinstance(response.stream, httpx2.AsyncByteStream)  # noqa: S101  # an asynchronous client has no other
        response.stream = _Bounded(response.stream, most)


class _Bounded(httpx2.AsyncByteStream):
    """The bytes of an answer, as long as there are not too many."""

    def __init__(self, stream: httpx2.AsyncByteStream, most: int) -> None:
        self._stream = stream
        self._left = most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            self._left -= len(chunk)
            if self._left < 0:
                raise httpx2.ReadError("the answer is longer than reasoner.max_output_tokens allows")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


def _first_cause(error: BaseException) -> BaseException:
    while error.__cause__:
        error = error.__cause__
    return error


def _history(messages: Iterable[Message]) -> Iterator["ModelMessage"]:
    from pydantic_ai import messages as parts  # noqa: PLC0415  # takes seconds

    for message in messages:
        match message.role:
            case "system":
                yield parts.ModelRequest(parts=[parts.SystemPromptPart(message.content)])
            case "user":
                yield parts.ModelRequest(parts=[parts.UserPromptPart(message.content)])
            case "assistant":
                yield parts.ModelResponse(parts=[parts.TextPart(message.content)])
