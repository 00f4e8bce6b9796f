"""Something came in -> a run of the flow `serve`, soon.

Comes in: :meth:`Trigger.pull`, once for each message that asks for a diagnosis. Goes out: one run for all that comes within
``api.trigger_seconds``, or while another run is at work. Surprise: a trigger that is lost loses nothing, the schedule takes the
work within the minute; so what Prefect refuses is counted and logged, and nobody is told.
"""

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from typing import Any

import httpx
from prometheus_client import Counter

logger = logging.getLogger(__name__)

FLOW, DEPLOYMENT = "serve", "minutely"
_ALIVE = ["PENDING", "RUNNING"]
_TIMEOUT_SECONDS = 10


class Trigger:
    """Starts runs at Prefect's API."""

    def __init__(self, prefect: httpx.AsyncClient | None, seconds: float, outcomes: Counter) -> None:
        """Remember whom to ask.

        Args:
            prefect: Asks Prefect's API; None where nobody serves it, and then nothing is started.
            seconds: How long to collect before a run is started, and to wait while one is at work.
            outcomes: Counts ``started`` and ``failed``.
        """
        self._prefect, self._seconds, self._outcomes = prefect, seconds, outcomes
        self._waiting: asyncio.Task[None] | None = None

    def pull(self) -> None:
        """Ask for a run, unless one has been asked for and has not begun."""
        if self._prefect and (self._waiting is None or self._waiting.done()):
            self._waiting = asyncio.create_task(self._start(self._prefect))

    async def _start(self, prefect: httpx.AsyncClient) -> None:
        try:
            alive = 1
            while alive:
                await asyncio.sleep(self._seconds)
                alive = await _count_alive(prefect)
            found = await _answer(prefect.get(f"/deployments/name/{FLOW}/{DEPLOYMENT}"))
            await _answer(prefect.post(f"/deployments/{found['id']}/create_flow_run", json={"state": {"type": "SCHEDULED"}}))
        except httpx.HTTPError as error:
            self._outcomes.labels("failed").inc()
            logger.warning("prefect did not start a run; the schedule will: %s: %s", type(error).__name__, error)
        else:
            self._outcomes.labels("started").inc()


def connect(environment: Mapping[str, str]) -> httpx.AsyncClient | None:
    """Return what asks the Prefect server that ``PREFECT_API_URL`` names; None where none is named."""
    url, auth = environment.get("PREFECT_API_URL"), environment.get("PREFECT_API_AUTH_STRING")
    known = httpx.BasicAuth(*auth.split(":", 1)) if auth else None
    return httpx.AsyncClient(base_url=url, auth=known, timeout=_TIMEOUT_SECONDS) if url else None


async def _count_alive(prefect: httpx.AsyncClient) -> int:
    asked = {"deployments": {"name": {"any_": [DEPLOYMENT]}}, "flow_runs": {"state": {"type": {"any_": _ALIVE}}}}
    return int(await _answer(prefect.post("/flow_runs/count", json=asked)))


async def _answer(asking: Awaitable[httpx.Response]) -> Any:
    reply = await asking
    reply.raise_for_status()
    return reply.json()
