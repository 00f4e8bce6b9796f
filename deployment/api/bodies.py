"""A body from a stranger -> JSON of bounded size and depth, without secrets.

Comes in: the bytes of a request. Goes out: what they say, before any route or model sees it. Surprises: secrets are masked string
by string, each beside its name, because a mask over the whole text can take a quote with it, and then the message would be lost;
NUL and halves of characters, which no database takes, become replacement characters.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine
from functools import lru_cache, partial
from typing import Any, NoReturn

from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute

from mimir_core.config import ApiSettings
from mimir_core.safety.redact import redact

_LARGE_BYTES = 50_000
"""Of a body that is cleaned in a thread: it would keep everybody else waiting. What is smaller takes some milliseconds."""

_SHORT = 200
"""Characters of a name and its text that are worth remembering; who sends long ones fills no memory."""


class BoundedRequest(Request):
    """A request whose body is checked while it is read."""

    async def body(self) -> bytes:
        """Return the body.

        Raises:
            HTTPException: 413, as soon as it is too large.
        """
        if not hasattr(self, "_body"):
            most = self._settings.max_body_bytes
            body = bytearray()
            async for chunk in self.stream():
                body += chunk
                if len(body) > most:
                    raise HTTPException(413, f"body: longer than {most} bytes", {"Connection": "close"})
            self._body = bytes(body)
        return self._body

    async def json(self) -> Any:
        """Return what the body says.

        Raises:
            HTTPException: 422: it is not JSON, or nested too deeply.
        """
        try:
            content = json.loads((await self.body()).decode(), parse_constant=_refuse)
            clean = partial(_clean, content, self._settings.max_depth)
            return await asyncio.to_thread(clean) if len(self._body) > _LARGE_BYTES else clean()
        except (RecursionError, _TooDeepError) as error:
            raise HTTPException(422, f"body: nested deeper than {self._settings.max_depth} levels") from error
        except ValueError as error:
            raise HTTPException(422, f"body: is not JSON: {error}") from error

    @property
    def _settings(self) -> ApiSettings:
        settings: ApiSettings = self.app.state.context.params.api
        return settings


class BoundedRoute(APIRoute):
    """A route whose requests are bounded."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Hand the request on as a :class:`BoundedRequest`."""
        handle = super().get_route_handler()

        async def bounded(request: Request) -> Response:
            return await handle(BoundedRequest(request.scope, request.receive))

        return bounded


class _TooDeepError(Exception):
    pass


def _clean(node: Any, levels: int, name: str = "") -> Any:
    if isinstance(node, str):
        mask = _mask_again if len(name) + len(node) <= _SHORT else _mask
        return mask(name, _storable(node))
    if not isinstance(node, list | dict):
        return node
    if not levels:
        raise _TooDeepError
    if isinstance(node, list):
        return [_clean(one, levels - 1, name) for one in node]
    return {_clean(key, levels): _clean(value, levels - 1, _storable(key)) for key, value in node.items()}


def _mask(name: str, text: str) -> str:
    """Mask the secrets in ``text``, and all of it where its name says that it is one.

    >>> _mask("db_password", "hunter" + "2 and more"), _mask("pod", "cart-1"), _mask("", "password=" + "hunter2")
    ('[redacted:password]', 'cart-1', 'password=[redacted:password]')
    """
    try:
        text = json.loads(redact(json.dumps({name: text})).text)[name]
    except (ValueError, KeyError):  # the mask took a quote with it
        text = redact(f"{name}={text}").text.removeprefix(f"{name}=")
    return redact(text).text


_mask_again = lru_cache(maxsize=10_000)(_mask)
"""For short texts: senders repeat most of them in every message."""


def _storable(text: str) -> str:
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")
