"""What went wrong -> ``application/problem+json`` (RFC 9457): the one place that maps errors to HTTP.

Surprises: what was sent is never repeated, it may be a secret; why the store is away stands in the log, not in the answer.
"""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from deployment.api.context import Context
from mimir_core.errors import BackendError, MimirError

_log = logging.getLogger(__name__)
_SHOWN = 20
"""Errors of one body: it may hold a hundred thousand."""


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None, **more: Any) -> JSONResponse:
    """Return the answer that says what went wrong."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}
    return JSONResponse(body, status, headers, media_type="application/problem+json")


def away(context: Context, error: BackendError) -> JSONResponse:
    """Return the answer to a request that is worth another try."""
    _log.error("%s", error)
    return problem(503, "the store does not answer: try again", context.retry_after)


def install(app: FastAPI, context: Context) -> None:
    """Let ``app`` answer every error so."""

    async def on_http(_request: Request, error: Exception) -> JSONResponse:
        known = cast("HTTPException", error)
        return problem(known.status_code, known.detail, known.headers)

    async def on_invalid(_request: Request, error: Exception) -> JSONResponse:
        found = cast("RequestValidationError", error).errors()[:_SHOWN]
        errors = [{"field": _field(one["loc"]), "problem": one["msg"]} for one in found]
        return problem(422, "; ".join(f"{one['field']}: {one['problem']}" for one in errors), errors=errors)

    async def on_ours(_request: Request, error: Exception) -> JSONResponse:
        if isinstance(error, BackendError):
            return away(context, error)
        return problem(cast("MimirError", error).http_status, str(error))

    async def on_bug(_request: Request, _error: Exception) -> JSONResponse:
        return problem(500, "a defect of Mimir: its log says more")

    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(MimirError, on_ours)
    app.add_exception_handler(Exception, on_bug)


def _field(place: Sequence[str | int]) -> str:
    """Name a field as people would.

    >>> _field(("body", "alerts", 0, "startsAt")), _field(("query", "limit")), _field(("body",))
    ('alerts[0].startsAt', 'limit', 'body')
    """
    named = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place[1:])
    return named.lstrip(".") or str(place[0])
