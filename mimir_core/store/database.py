"""A URL -> a store that keeps what it acknowledged.

Comes in: ``sqlite+aiosqlite:///FILE`` or ``postgresql+asyncpg://...``. Goes out: a :class:`Database` with transactions. On SQLite
every writing transaction takes the write lock when it begins (``BEGIN IMMEDIATE``), so that two writers wait for each other
instead of failing half-way, and a commit is on the disk before it returns (WAL with ``synchronous=FULL``; SQLite documentation,
"Write-Ahead Logging"). Surprise: whatever the database answers when it is away or full becomes a :class:`BackendError`: nothing
was written.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import inf
from pathlib import Path
from time import monotonic
from typing import Any

import alembic.command
import alembic.config
import asyncpg
from sqlalchemy import Connection, Row, Select, event, func, select
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, NoSuchModuleError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from mimir_core.config import StoreSettings
from mimir_core.errors import BackendError, ParamsError

MIGRATIONS = Path(__file__).with_name("migrations")
_SQLITE, _POSTGRESQL = "sqlite", "postgresql"
_READS, _ALONE = {"mimir_reads": True}, {"mimir_alone": True}
_CLOCK_SECONDS = 5.0
"""How long a server's clock is taken to go as this machine's does."""


@dataclass
class _Clock:
    """What a server's clock said last."""

    told: datetime
    asked_at: float
    """By this machine's monotonic clock, in seconds."""


@dataclass(frozen=True)
class Database:
    """An open store."""

    engine: AsyncEngine
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Writers of this process queue for SQLite's one lock: SQLite itself lets them poll for it, and the unlucky wait long."""

    _clock: _Clock = field(default_factory=lambda: _Clock(datetime.now(UTC), -inf))

    @property
    def is_sqlite(self) -> bool:
        """Whether there is one writer at a time."""
        return self.engine.dialect.name == _SQLITE

    async def now(self) -> datetime:
        """Return the time, in UTC: the server's where there is one, so that machines need not agree on theirs.

        It is asked every few seconds; in between it goes on as this machine's time does.

        Raises:
            BackendError: The database is away.
        """
        if self.is_sqlite:
            return datetime.now(UTC)
        if monotonic() - self._clock.asked_at > _CLOCK_SECONDS:
            [(told,)] = await self.fetch(select(func.clock_timestamp()))
            self._clock.told, self._clock.asked_at = told.astimezone(UTC), monotonic()
        return self._clock.told + timedelta(seconds=monotonic() - self._clock.asked_at)

    async def fetch(self, query: Select[Any]) -> Sequence[Row[Any]]:
        """Return the rows of one query, which needs no transaction to see one moment.

        Raises:
            BackendError: The database is away.
        """
        alone = _ALONE if self.is_sqlite else {"isolation_level": "AUTOCOMMIT"}
        with _telling("cannot be read"):
            async with self.engine.connect() as connection:
                await connection.execution_options(**alone)
                return (await connection.execute(query)).all()

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that is written as a whole when the block ends, or not at all when it raises.

        Raises:
            BackendError: The database is away, locked for too long, or its disk is full.
        """
        with _telling("nothing was written"):
            async with self._turn if self.is_sqlite else nullcontext(), self.engine.begin() as connection:
                yield connection

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that sees one moment.

        Raises:
            BackendError: The database is away.
        """
        with _telling("cannot be read"):
            async with self.engine.connect() as connection:
                yield await connection.execution_options(**_READS)


_OURS = (DataError, IntegrityError, ProgrammingError)
"""What no further try would mend."""
_AWAY = (DBAPIError, PoolTimeoutError, OSError, asyncpg.PostgresError)
"""The last is what a PostgreSQL that is just starting answers: SQLAlchemy hands on as it is what comes while connecting."""


@contextmanager
def _telling(what: str) -> Iterator[None]:
    """Turn what a database answers when it is away or full into a :class:`BackendError`."""
    try:
        yield
    except _OURS:
        raise
    except _AWAY as error:
        raise BackendError(f"store: {what}: {_first_line(error)}") from error


@asynccontextmanager
async def open_database(url: str, settings: StoreSettings) -> AsyncIterator[Database]:
    """Open the store and bring its tables up to date.

    Args:
        url: As above; the folder of an SQLite file is made.
        settings: The ``store`` section.

    Raises:
        ParamsError: The URL is of no known kind.
        BackendError: The database does not answer.
    """
    engine = _engine(url, settings)
    try:
        database = Database(engine)
        async with database.writing() as connection:
            await connection.run_sync(_migrate)
        yield database
    finally:
        await engine.dispose()


def _engine(url: str, settings: StoreSettings) -> AsyncEngine:
    try:
        parsed = make_url(url)
        kind = parsed.get_backend_name()
        if kind == _SQLITE:
            if not parsed.database or parsed.database == ":memory:":
                raise ParamsError("store: an SQLite store needs a file, as in sqlite+aiosqlite:///var/store.db")
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
            engine = create_async_engine(parsed, connect_args={"timeout": settings.busy_seconds})
            event.listen(engine.sync_engine, "connect", _prepare_sqlite)
            event.listen(engine.sync_engine, "begin", _begin_sqlite)
            return engine
        if kind == _POSTGRESQL:
            return create_async_engine(
                parsed, pool_size=settings.connections, max_overflow=0, pool_pre_ping=True, skip_autocommit_rollback=True
            )
    except (ArgumentError, NoSuchModuleError) as error:
        raise ParamsError(f"store: {_first_line(error)}") from error
    raise ParamsError(f"store: {kind} is not known; there are {_SQLITE}+aiosqlite and {_POSTGRESQL}+asyncpg")


def _prepare_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # transactions are begun below, not by the driver
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    if not options.get("mimir_alone"):
        connection.exec_driver_sql("BEGIN" if options.get("mimir_reads") else "BEGIN IMMEDIATE")


def _migrate(connection: Connection) -> None:
    if connection.dialect.name == _POSTGRESQL:
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('mimir migrations'))")
    config = alembic.config.Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    alembic.command.upgrade(config, "head")


def _first_line(error: BaseException) -> str:
    told = error.orig if isinstance(error, DBAPIError) and error.orig else error
    return str(told).splitlines()[0] if str(told) else type(told).__name__
