"""``/healthz``, ``/readyz`` and ``/metrics``: what machines ask about Mimir itself."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from deployment.api.context import Here, needs, now
from mimir_core.store.figures import read_totals
from mimir_core.store.scopes import Scope
from mimir_core.store.views import read_queue

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Say that the process answers."""
    return {"status": "alive"}


@router.get("/readyz")
async def readyz(here: Here) -> dict[str, str]:
    """Say that the store answers too."""
    await read_queue(here.database, now())
    return {"status": "ready"}


@router.get("/metrics", dependencies=[needs(Scope.VIEWER)], response_class=Response)
async def metrics(here: Here) -> Response:
    """Tell Prometheus."""
    queue, totals = await read_queue(here.database, now()), await read_totals(here.database)
    return Response(here.metrics.render(queue, totals), media_type=CONTENT_TYPE_LATEST)
