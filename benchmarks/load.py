# ruff: noqa: INP001  # a script, not a package
"""How many messages Mimir takes, beside what the stack under it takes: `benchmarks/load.py SECONDS`.

Comes in: for how long each server is kept busy. Goes out: a row a server: the bare app below, then `mimir api`, on SQLite and on
PostgreSQL. Each message is Alertmanager's, with five alerts that nobody has seen before. Surprises: a connection sends again as
soon as it is answered, so that a slow server is asked less; servers and client share the machine, the columns `cores` say what
each takes; the limits of params.yaml are lifted, they would measure themselves, but the budget of a storm holds. An alert is
missing when its message was answered 202 and it is not in the store.
"""

import asyncio
import multiprocessing
import os
import socket
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, redirect_stdout, suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import pgserver
import psutil
import uvicorn
import yaml
from fastapi import FastAPI
from load_client import CONNECTIONS, HOST, PATH, Answers, ask, fingerprints
from rich.console import Console
from rich.progress import Progress
from rich.table import Table as Rows
from sqlalchemy import JSON, Column, Integer, MetaData, Table, event, insert, select
from sqlalchemy.ext.asyncio import create_async_engine

from deployment.api.alerts import AlertmanagerMessage
from deployment.cli.api import api
from mimir_core.config import read_params
from mimir_core.store.database import open_database
from mimir_core.store.keys import create_key
from mimir_core.store.scopes import Scope
from mimir_core.store.tables import alerts
from tasks import paths

NO_LIMIT = {"rate_per_second": 1e9, "burst": 10**9, "max_queue": 10**9}
PATIENCE_SECONDS = 60
COLUMNS = (
    "store", "server", "requests/s", "of bare", "p50 ms", "p99 ms", "202", "other", "stored", "missing",
    "server cores", "database cores", "client cores",
)  # fmt: skip

_processes = multiprocessing.get_context("spawn")


# --- the bare app -------------------------------------------------------------------------------------------------------

kept = Table("kept", MetaData(), Column("number", Integer, primary_key=True), Column("alert", JSON, nullable=False))


def serve_bare(url: str, port: int, _params: Path) -> None:
    """Check each message, write its alerts as JSON in one transaction, answer 202: the least that loses nothing."""
    is_sqlite = url.startswith("sqlite")
    engine = create_async_engine(url, pool_size=1 if is_sqlite else 10, max_overflow=0, pool_timeout=PATIENCE_SECONDS)
    if is_sqlite:
        event.listen(engine.sync_engine, "connect", _make_durable)

    @asynccontextmanager
    async def prepare(_app: FastAPI) -> AsyncIterator[None]:
        async with engine.begin() as connection:
            await connection.run_sync(kept.metadata.create_all)
        yield

    app = FastAPI(lifespan=prepare)

    @app.post(PATH, status_code=202)
    async def take(message: AlertmanagerMessage) -> dict[str, int]:
        async with engine.begin() as connection:
            await connection.execute(insert(kept), [{"alert": one.model_dump(mode="json")} for one in message.alerts])
        return {"new_alerts": len(message.alerts)}

    uvicorn.run(app, host=HOST, port=port, log_config=None, access_log=False)


def _make_durable(connection: Any, _entry: object) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")


def serve_mimir(url: str, port: int, params: Path) -> None:
    """Start `mimir api`, without its limits."""
    os.environ["MIMIR_STORE_URL"], paths.PARAMS = url, params
    with Path(os.devnull).open("w", encoding="utf-8") as nobody, redirect_stdout(nobody):
        api(HOST, port)


# --- one after the other ------------------------------------------------------------------------------------------------


class Measured(NamedTuple):
    """What one server did."""

    answers: Answers
    stored: int
    missing: int
    server_cores: float
    database_cores: float


class Server(NamedTuple):
    """One of the four."""

    store: str
    name: str
    url: str
    serve: Callable[[str, int, Path], None]
    column: Any
    """Where it writes the fingerprints."""


def measure(server: Server, seconds: float, params: Path, postmaster: int, progress: Progress) -> Measured:
    """Start a server, keep it busy, stop it, and look for what it acknowledged."""
    key = "" if server.serve is serve_bare else asyncio.run(_create_key(server.url))
    port = _free_port()
    serving = _processes.Process(target=server.serve, args=(server.url, port, params))
    serving.start()
    _wait_for(port)
    before = cpu_seconds(serving.pid), cpu_seconds(postmaster)
    heard, told = _processes.Pipe(duplex=False)
    client = _processes.Process(target=ask, args=(port, key, seconds, told))
    client.start()
    told.close()  # a client that dies ends the pipe
    bar, started = progress.add_task(f"{server.name} on {server.store}", total=seconds), time.perf_counter()
    while not heard.poll(0.2):
        progress.update(bar, completed=time.perf_counter() - started)
    answers: Answers = heard.recv()
    after = cpu_seconds(serving.pid), cpu_seconds(postmaster)
    client.join()
    serving.terminate()
    serving.join()
    progress.remove_task(bar)
    stored = asyncio.run(_read_prints(server))
    wanted = {f"{one:016x}" for number in answers.taken for one in fingerprints(number)}
    cores = ((new - old) / answers.seconds for new, old in zip(after, before, strict=True))
    return Measured(answers, len(stored), len(wanted - set(stored)), *cores)


async def _create_key(url: str) -> str:
    async with open_database(url, read_params(paths.PARAMS).store) as database:
        return await create_key(database, "load", [Scope.WEBHOOK], "default", "load", datetime.now(UTC))


async def _read_prints(server: Server) -> list[str]:
    engine = create_async_engine(server.url)
    async with engine.connect() as connection:
        found = (await connection.scalars(select(server.column))).all()
    await engine.dispose()
    return list(found)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            socket.create_connection((HOST, port)).close()
        except ConnectionRefusedError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return


def cpu_seconds(pid: int | None) -> float:
    """Return what a process and its children have taken so far."""
    parent = psutil.Process(pid)
    taken = 0.0
    for one in (parent, *parent.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):  # PostgreSQL's cleaners come and go
            taken += sum(one.cpu_times()[:2])
    return taken


def fsync_ms(folder: Path) -> float:
    """Return how long it takes to have one page on the disk: no commit of SQLite is faster."""
    taken = []
    with (folder / "page").open("wb", buffering=0) as file:
        for _ in range(50):
            file.write(bytes(4096))
            started = time.perf_counter()
            os.fsync(file.fileno())
            taken.append((time.perf_counter() - started) * 1000)
    return statistics.median(taken)


def _filesystem(folder: Path) -> str:
    holding = [part for part in psutil.disk_partitions(all=True) if folder.resolve().is_relative_to(part.mountpoint)]
    return str(max(holding, key=lambda part: len(part.mountpoint)).fstype)


@contextmanager
def servers(folder: Path) -> Iterator[tuple[list[Server], int]]:
    """Yield the servers, each with an empty store, and the process of PostgreSQL."""
    postgres = pgserver.get_server(folder / "postgres")
    found = []
    for store in ("SQLite", "PostgreSQL"):
        for name, serve, column in (
            ("bare", serve_bare, kept.c.alert["fingerprint"].as_string()),
            ("mimir", serve_mimir, alerts.c.fingerprint),
        ):
            url = f"sqlite+aiosqlite:///{folder / name}.db"
            if store == "PostgreSQL":
                postgres.psql(f"CREATE DATABASE {name}")
                url = str(postgres.get_uri(name)).replace("postgresql://", "postgresql+asyncpg://")
            found.append(Server(store, name, url, serve, column))
    try:
        yield found, postgres.get_pid()
    finally:
        postgres.cleanup()


def main(seconds: float) -> None:
    """Print one row a server."""
    console = Console(width=None if sys.stdout.isatty() else 150)
    rows = Rows(*COLUMNS)
    with (
        TemporaryDirectory() as place,
        servers(folder := Path(place)) as (found, postmaster),
        Progress(console=Console(stderr=True)) as progress,
    ):
        console.print(f"{_filesystem(folder)}, a page is on the disk after {fsync_ms(folder):.2f} ms; {CONNECTIONS} connections")
        params = folder / "params.yaml"
        told = yaml.safe_load(paths.PARAMS.read_text(encoding="utf-8"))
        params.write_text(yaml.safe_dump(told | {"api": told["api"] | NO_LIMIT}), encoding="utf-8")
        bare = 0.0
        for server in found:
            measured = measure(server, seconds, params, postmaster, progress)
            answers = measured.answers
            rate = len(answers.ms) / answers.seconds
            bare = rate if server.name == "bare" else bare
            rows.add_row(server.store, server.name, f"{rate:.0f}", f"{rate / bare:.0%}", *_cells(measured))
    console.print(rows)


def _cells(measured: Measured) -> Iterator[str]:
    answers = measured.answers
    yield from (f"{ms:.1f}" for ms in np.percentile(answers.ms, (50, 99)))
    yield str(len(answers.taken))
    yield ", ".join(f"{count} x {what}" for what, count in answers.errors.items()) or "0"
    yield from (str(measured.stored), str(measured.missing))
    yield from (
        f"{cores:.2f}" for cores in (measured.server_cores, measured.database_cores, answers.cpu_seconds / answers.seconds)
    )


if __name__ == "__main__":
    main(float(sys.argv[1]))
