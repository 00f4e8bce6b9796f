"""The API over a store of each kind, and somebody who asks it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployment.api.app import create_app
from mimir_core.config import Params, StoreSettings, read_params
from mimir_core.store.database import Database
from mimir_core.store.keys import create_key
from mimir_core.store.scopes import Scope

PARAMS = Path(__file__).parents[2] / "params.yaml"


@pytest.fixture
def params(settings: StoreSettings) -> Params:
    return read_params(PARAMS).model_copy(update={"store": settings})


@dataclass(frozen=True)
class Api:
    """An app, and keys for it."""

    database: Database
    params: Params
    client: httpx.AsyncClient

    async def key(self, *scopes: Scope, tenant: str = "default") -> dict[str, str]:
        shown = await create_key(self.database, " ".join(scopes), scopes, tenant, "test", datetime.now(UTC))
        return {"Authorization": f"Bearer {shown}"}

    async def post(self, path: str, body: Any, scope: Scope = Scope.ADMIN, **headers: str) -> httpx.Response:
        known = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post(path, json=body, headers=await self.key(scope) | known)

    async def get(self, path: str, scope: Scope = Scope.VIEWER) -> httpx.Response:
        return await self.client.get(path, headers=await self.key(scope))


Opener = Callable[..., Awaitable[Api]]


@pytest.fixture
async def open_api(database: Database, params: Params) -> AsyncIterator[Opener]:
    """Return what makes an API whose settings differ from params.yaml as said."""
    clients = []

    async def open_it(**api: float) -> Api:
        changed = params.model_copy(update={"api": params.api.model_copy(update=api)})
        transport = httpx.ASGITransport(create_app(database, changed))
        clients.append(httpx.AsyncClient(transport=transport, base_url="http://mimir"))
        return Api(database, changed, clients[-1])

    yield open_it
    for client in clients:
        await client.aclose()


@pytest.fixture
async def api(open_api: Opener) -> Api:
    return await open_api()
