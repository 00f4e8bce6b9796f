"""A store -> the app that serves it."""

from http import HTTPStatus
from typing import Any

import httpx
from fastapi import FastAPI

from deployment.api import alerts, feedback, health, incidents, problems
from deployment.api.context import Context
from deployment.api.gate import Gate
from deployment.api.metrics import Metrics
from deployment.api.trigger import Trigger
from mimir_core.config import Params
from mimir_core.store.database import Database
from mimir_core.store.services import NONE_KNOWN, Services

_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": HTTPStatus(status).phrase, "content": {"application/problem+json": {}}}
    for status in (401, 403, 404, 409, 413, 422, 429, 503)
}


def create_app(
    database: Database, params: Params, services: Services = NONE_KNOWN, prefect: httpx.AsyncClient | None = None
) -> FastAPI:
    """Return the API over an open store. Its documentation is ``/openapi.json``, behind a key like all else.

    Args:
        database: The store.
        params: Its sections ``store`` and ``api`` count here.
        services: What is known of the services that alerts name.
        prefect: Asks the API of the Prefect server that is to be told of new work.
    """
    app = FastAPI(title="Mimir", docs_url=None, redoc_url=None, redirect_slashes=False)
    metrics = Metrics()
    trigger = Trigger(prefect, params.api.trigger_seconds, metrics.triggers)
    app.state.context = context = Context(database, params, metrics, services, trigger)
    for router in (alerts.router, incidents.router, feedback.router, health.router):
        app.include_router(router, responses=_PROBLEMS)
    problems.install(app, context)
    app.add_middleware(Gate, context=context)
    return app
