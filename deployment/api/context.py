"""What every route is given: the store, the settings, the metrics, and who asks."""

from math import ceil
from typing import Annotated, Any, NamedTuple, cast

from fastapi import Depends, HTTPException, Request, Security
from fastapi.security import HTTPBearer
from structlog.contextvars import bind_contextvars

from deployment.api.metrics import Metrics
from deployment.api.trigger import Trigger
from mimir_core.config import Params
from mimir_core.store.database import Database
from mimir_core.store.intake import Receipt
from mimir_core.store.keys import Key
from mimir_core.store.requests import Asker
from mimir_core.store.scopes import Scope, covers
from mimir_core.store.services import Services
from mimir_core.store.views import Queue, read_queue

BEARER = HTTPBearer(auto_error=False, description="An API key. `mimir keys create` makes one.")
"""For the OpenAPI document alone: the gate has asked for the key already."""


class Context(NamedTuple):
    """What lives as long as the server."""

    database: Database
    params: Params
    metrics: Metrics
    services: Services
    trigger: Trigger

    @property
    def retry_after(self) -> dict[str, str]:
        """The header that says when to try again."""
        return {"Retry-After": str(ceil(self.params.store.retry_seconds))}

    def note(self, receipt: Receipt) -> None:
        """Count what became of a message, name its incidents in the log, and start what it asks for."""
        bind_contextvars(incidents=" ".join(receipt.incidents))
        self.metrics.count(receipt)
        if receipt.jobs:
            self.trigger.pull()

    async def read_queue(self) -> Queue:
        """Return how much waits for a worker."""
        return await read_queue(self.database, self.params.store, await self.database.now())


async def _context(request: Request) -> Context:
    return cast("Context", request.app.state.context)


Here = Annotated[Context, Depends(_context)]


def needs(scope: Scope) -> Any:
    """Return the dependency that refuses keys without ``scope``, and says who asks."""

    async def asker(request: Request, here: Here, _key: Annotated[object, Security(BEARER)]) -> Asker:
        key: Key = request.state.key
        if not covers(key.scopes, scope):
            raise HTTPException(403, f"the key {key.name!r} is not for this: it needs the scope {scope}")
        return Asker(key.tenant, key.name, await here.database.now())

    return Depends(asker)


async def room(here: Here) -> None:
    """Send work back while the queue is full."""
    if (await here.read_queue()).depth >= here.params.api.max_queue:
        raise HTTPException(503, "the queue is full: try again", here.retry_after)


ROOM = Depends(room)
