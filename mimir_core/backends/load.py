"""How fast a server writes: tokens a second, asked as bare as can be.

Comes in: the address of a server that speaks OpenAI's API. Goes out: rates. Surprises: the answers of ``measure_rate`` go on
behind their end, so that all are equally long; chats sent by ``measure_raw`` and by Mimir's own client tell what that one costs.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from mimir_core.errors import BackendError
from mimir_core.records import Message

QUESTION_TOKENS, ANSWER_TOKENS = 200, 128
_TIMEOUT_SECONDS = 600


class Bare:
    """A client that only sends and counts."""

    def __init__(self, url: str, key: str, model: str) -> None:
        """Remember whom to ask.

        Args:
            url: Of the API; it ends in ``/v1``.
            key: Sent as a bearer token.
            model: Its name there.
        """
        self._url, self._key, self._model = url, key, model

    def measure_rate(self, batch: int) -> float:
        """Return the tokens a second of ``batch`` answers at the same time, of :data:`ANSWER_TOKENS` tokens each.

        Raises:
            BackendError: A request failed.
        """

        def body(number: int) -> dict[str, Any]:
            question = [10 + (7 * number + place) % 240 for place in range(QUESTION_TOKENS)]
            return {"prompt": question, "max_tokens": ANSWER_TOKENS, "ignore_eos": True, "seed": number}

        return self._rate("/completions", [body(number) for number in range(batch)], batch)

    def measure_raw(
        self, chats: Sequence[Sequence[Message]], concurrency: int, most_tokens: int, frequency_penalty: float
    ) -> float:
        """Return the tokens a second of greedy answers to ``chats``, of ``most_tokens`` at most.

        Raises:
            BackendError: A request failed.
        """
        settings = {"max_tokens": most_tokens, "temperature": 0, "frequency_penalty": frequency_penalty}
        bodies = [{"messages": [message.model_dump() for message in chat], **settings} for chat in chats]
        return self._rate("/chat/completions", bodies, concurrency)

    def _rate(self, path: str, bodies: Sequence[Mapping[str, Any]], concurrency: int) -> float:
        async def ask_all() -> int:
            async with httpx.AsyncClient(
                base_url=self._url,
                headers={"Authorization": f"Bearer {self._key}"},
                timeout=_TIMEOUT_SECONDS,
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
                trust_env=False,
            ) as client:
                free = asyncio.Semaphore(concurrency)  # a pool that is waited for takes longer the more wait

                async def ask(body: Mapping[str, Any]) -> int:
                    async with free:
                        reply = await client.post(path, json={"model": self._model, **body})
                    return int(reply.raise_for_status().json()["usage"]["completion_tokens"])

                return sum(await asyncio.gather(*map(ask, bodies)))

        began = time.monotonic()
        try:
            tokens = asyncio.run(ask_all())
        except httpx.HTTPError as error:
            raise BackendError(f"{self._url}: measuring its speed failed: {str(error) or type(error).__name__}") from error
        return tokens / (time.monotonic() - began)
