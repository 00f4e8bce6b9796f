"""``/healthz``, ``/readyz`` and ``/metrics``: what machines ask about Mimir itself."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from deployment.api.context import Here, needs
from mimir_core.store.figures import read_totals
from mimir_core.store.scopes import Scope

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Say that the process answers."""
    return {"status": "alive"}


@router.get("/readyz")
async def readyz(here: Here) -> dict[str, str]:
    """Say that the store answers too."""
    await here.read_queue()
    return {"status": "ready"}


@router.get("/metrics", dependencies=[needs(Scope.VIEWER)], response_class=Response)
async def metrics(here: Here) -> Response:
    """Tell Prometheus."""
    queue, totals = await here.read_queue(), await read_totals(here.database)
    return Response(here.metrics.render(queue, totals), media_type=CONTENT_TYPE_LATEST)
