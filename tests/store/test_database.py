"""A store that opens is up to date, and one that is away says so."""

from datetime import UTC, datetime
from pathlib import Path

import pgserver
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, insert, select

from mimir_core.config import StoreSettings
from mimir_core.errors import BackendError, ParamsError
from mimir_core.store.database import Database, open_database
from mimir_core.store.tables import metadata, receipts

pytestmark = pytest.mark.anyio


async def test_the_migrations_make_the_tables_that_the_code_knows(database: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    async with database.writing() as connection:
        assert await connection.run_sync(differences) == []


async def test_opening_twice_is_opening_once(url: str, settings: StoreSettings) -> None:
    for _ in range(2):
        async with open_database(url, settings) as database, database.reading() as connection:
            assert (await connection.execute(select(receipts))).all() == []


async def test_a_transaction_is_written_whole_or_not_at_all(database: Database) -> None:
    async def write() -> None:
        now = datetime(2026, 3, 1, tzinfo=UTC)
        row = {"tenant": "t", "idempotency_key": "k", "request_hash": "h", "answer": {}, "at": now}
        async with database.writing() as connection:
            await connection.execute(insert(receipts).values(**row))
            raise OSError("the disk went away")

    with pytest.raises(BackendError, match="nothing was written: the disk went away"):
        await write()
    async with database.reading() as connection:
        assert (await connection.execute(select(receipts))).all() == []


@pytest.mark.parametrize("url", ["sqlite+aiosqlite://", "mysql://u@h/d", "no url", "sqlite+nothing:///x.db"])
async def test_a_url_of_no_known_kind_is_refused(url: str, settings: StoreSettings) -> None:
    with pytest.raises(ParamsError, match="store: "):
        async with open_database(url, settings):
            pass


async def test_a_server_that_is_away_is_worth_another_try(settings: StoreSettings, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="store: nothing was written"):
        async with open_database(f"postgresql+asyncpg:///x?host={tmp_path}", settings):
            pass


async def test_a_server_that_does_not_let_anybody_in_yet_is_worth_another_try(
    settings: StoreSettings, postgres: pgserver.PostgresServer
) -> None:
    nowhere = str(postgres.get_uri("nowhere")).replace("postgresql://", "postgresql+asyncpg://")
    with pytest.raises(BackendError, match='store: nothing was written: database "nowhere" does not exist'):
        async with open_database(nowhere, settings):
            pass


async def test_a_file_that_is_no_database_is_worth_a_look(settings: StoreSettings, tmp_path: Path) -> None:
    (tmp_path / "store.db").write_text("not a database, " * 100)
    with pytest.raises(BackendError, match="not a database"):
        async with open_database(f"sqlite+aiosqlite:///{tmp_path / 'store.db'}", settings):
            pass
