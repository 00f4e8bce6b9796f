"""A store of each kind: every claim about it holds on SQLite and on a real PostgreSQL."""

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pgserver
import pytest

from mimir_core.config import StoreSettings
from mimir_core.store.database import Database, open_database

_NUMBERS = itertools.count()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pgserver.PostgresServer]:
    server = pgserver.get_server(tmp_path_factory.mktemp("postgres"))
    yield server
    server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'store.db'}"
    server = request.getfixturevalue("postgres")
    name = f"store_{next(_NUMBERS)}"
    server.psql(f"CREATE DATABASE {name}")
    return str(server.get_uri(name)).replace("postgresql://", "postgresql+asyncpg://")


@pytest.fixture
def settings() -> StoreSettings:
    return StoreSettings(
        busy_seconds=30,
        connections=10,
        lease_seconds=60,
        retry_seconds=5,
        max_tries=3,
        cooldown_seconds=600,
        topology_seconds=300,
        storm_seconds=300,
        storm_budget=3,
    )


@pytest.fixture
async def database(url: str, settings: StoreSettings) -> AsyncIterator[Database]:
    async with open_database(url, settings) as opened:
        yield opened
