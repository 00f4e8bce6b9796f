"""The gate in front of every route: no key, no way in.

Comes in: any request. Goes out: the request with ``state.key``, or 401, or 429; and a line in the log with the request's id, that
the answer bears too. Surprises: it stands before the routes and before the body is read, so that a route that is added later is
closed too, and strangers cost next to nothing. Revoking a key works at once: nothing is remembered between requests but how many
there were.
"""

import logging
import re
from math import ceil
from time import monotonic
from uuid import uuid4

from fastapi import Request
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars, bound_contextvars

from deployment.api.context import Context
from deployment.api.problems import away, problem
from mimir_core.errors import BackendError
from mimir_core.safety.redact import redact
from mimir_core.store.keys import find_key

_log = logging.getLogger(__name__)
_GIVEN = re.compile(r"[\w.-]{1,64}", re.ASCII)

OPEN = ("/healthz", "/readyz")
"""What a load balancer may ask without a key."""


class Gate:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, context: Context) -> None:
        self.app = app
        self.context = context
        self.buckets = Buckets(context.params.api.rate_per_second, context.params.api.burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it; count both."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # there are no web sockets: the server closes them

        request, began = Request(scope), monotonic()
        identity = _identity(request.headers.get("x-request-id", ""))

        async def counting(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", identity.encode())]
                route = getattr(scope.get("route"), "path", "none")
                method = scope["method"] if scope["method"] in ("GET", "POST") else "other"  # strangers invent them
                self.context.metrics.requests.labels(method, route, message["status"]).inc()
                level = logging.DEBUG if scope["path"] in OPEN else logging.INFO
                _log.log(level, "%s %s: %d in %.0f ms", method, route, message["status"], 1000 * (monotonic() - began))
            await send(message)

        with bound_contextvars(request=identity):
            refusal = None if scope["path"] in OPEN else await self._refusal(request)
            await (refusal or self.app)(scope, receive, counting)

    async def _refusal(self, request: Request) -> JSONResponse | None:
        kind, _, presented = request.headers.get("authorization", "").partition(" ")
        try:
            key = await find_key(self.context.database, presented.strip()) if kind.lower() == "bearer" else None
        except BackendError as error:
            return away(self.context, error)
        if key is None:
            detail = "an API key is needed: Authorization: Bearer KEY; `mimir keys create` makes one"
            return problem(401, detail, {"WWW-Authenticate": "Bearer", "Connection": "close"})
        if wait_seconds := self.buckets.take(key.id, monotonic()):
            return problem(429, f"the key {key.name!r} asks too often", {"Retry-After": str(ceil(wait_seconds))})
        bind_contextvars(key=key.name)
        request.state.key = key
        return None


def _identity(given: str) -> str:
    r"""Return the sender's id of a request if it is one, else a new one.

    >>> _identity("3f2b-77"), len(_identity("a b\\n"))
    ('3f2b-77', 32)
    """
    return given if _GIVEN.fullmatch(given) and not redact(given).masked else uuid4().hex


class Buckets:
    """A token bucket a key: ``burst`` tokens at most, ``per_second`` new ones each second."""

    def __init__(self, per_second: float, burst: int) -> None:
        self.per_second = per_second
        self.burst = burst
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, who: str, at: float) -> float:
        """Take a token and return 0, or how many seconds there is none.

        >>> buckets = Buckets(per_second=2, burst=1)
        >>> buckets.take("a", 0), buckets.take("a", 0), buckets.take("b", 0), buckets.take("a", 0.5)
        (0.0, 0.5, 0.0, 0.0)
        """
        left, since = self._left.get(who, (float(self.burst), at))
        left = min(self.burst, left + (at - since) * self.per_second)
        if left < 1:
            self._left[who] = left, at
            return (1 - left) / self.per_second
        self._left[who] = left - 1, at
        return 0.0
