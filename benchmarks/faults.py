# ruff: noqa: INP001, S311  # a script, not a package; chance protects nothing here
"""What is left of the work when workers are killed: `benchmarks/faults.py KILLS`.

Comes in: how many workers are to be killed. Goes out: a row for SQLite and one for PostgreSQL: of all incidents that were
acknowledged, how many have their one diagnosis, none, or two. Surprises: two workers run at a time and one of them gets SIGKILL
at a random moment, every second time one that holds a claim; the incidents are tiny, so that a moment hits anything from claim
to commit. No incident is parked: many kills in a row are the test's doing, not the incident's.
"""

import asyncio
import multiprocessing
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random
from typing import NamedTuple

import pgserver
from rich.console import Console
from rich.table import Table
from sqlalchemy import func, select

from mimir_core.config import Params, read_params
from mimir_core.records import Alert, Incident
from mimir_core.store.database import Database, open_database
from mimir_core.store.intake import receive
from mimir_core.store.tables import diagnoses, incidents, jobs
from tasks import paths
from tasks.work import Worker, work

INCIDENTS_PER_KILL = 5
LONGEST_SECONDS = 0.6
"""Before the next kill: a new worker starts and does its first incidents in this time."""
THINKING_SECONDS = 0.05
"""Before a worker that was seen with a claim is killed: about as long as a tiny incident takes."""
POLL_SECONDS = 0.01


class Survived(NamedTuple):
    """What became of the incidents that were acknowledged."""

    kills: int
    interrupted: int
    """Tries that a kill cut short, and that were made again."""
    received: int
    survived: int
    """Diagnosed or escalated, with one diagnosis."""
    lost: int
    """Without a diagnosis."""
    doubled: int
    """With more than one."""


def quick(params: Params) -> Params:
    """Return params whose leases are short, who park nothing, and who need no model."""
    store = {"lease_seconds": 1.0, "retry_seconds": 0.0, "max_tries": 1000, "storm_budget": 10**6}
    return params.model_copy(
        update={
            "store": params.store.model_copy(update=store),
            "diagnose": params.diagnose.model_copy(update={"passages": 0}),
        }
    )


async def kill_workers(url: str, params: Params, folder: Path, kills: int, chance: Random) -> Survived:
    """Send incidents, kill workers at random moments, let one finish, and count.

    Args:
        url: Of an empty store.
        params: As :func:`quick` gives them.
        folder: Receives the reports.
        kills: How many workers get SIGKILL.
        chance: Draws the moments.
    """
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["tasks.work"])

    def start(name: str) -> BaseProcess:
        process = processes.Process(name=name, target=work, args=(url, Worker(name, params, folder / "cases", folder / "out")))
        process.start()
        return process

    killed, received, running = 0, set[str](), list[BaseProcess]()
    async with open_database(url, params.store) as database:
        while killed < kills:
            received |= {await _send(database, params, len(received) + more) for more in range(INCIDENTS_PER_KILL)}
            running = [process for process in running if process.is_alive()]
            running += [start(f"worker-{killed}-{number}") for number in range(2 - len(running))]
            holder = None if killed % 2 else await _wait_for_a_claim(database, running)
            await asyncio.sleep(chance.uniform(0, THINKING_SECONDS if holder else LONGEST_SECONDS))
            victim = holder or chance.choice(running)
            running.remove(victim)
            victim.kill()
            victim.join()
            killed += victim.exitcode == -signal.SIGKILL
        for process in running:
            process.join()
        while await _count_open(database):
            await asyncio.to_thread(work, url, Worker("last", params, folder / "cases", folder / "out"))
            await asyncio.sleep(params.store.lease_seconds / 4)
        return await _count(database, killed, received)


async def _send(database: Database, params: Params, number: int) -> str:
    now = datetime.now(UTC)
    alert = Alert(name="Slow", starts_at=now, fingerprint=f"print-{number}")
    incident = Incident(id="i", title=f"service-{number} is slow", service=f"service-{number}", alerts=(alert,))
    [identity] = (await receive(database, incident, "", "faults", params.store, now)).incidents
    return identity


async def _wait_for_a_claim(database: Database, running: list[BaseProcess]) -> BaseProcess | None:
    """Return the first process that is seen with a claim; None where they ended without one."""
    claimed = select(jobs.c.worker).where(jobs.c.token.is_not(None))
    while any(process.is_alive() for process in running):
        async with database.reading() as connection:
            holders = set(await connection.scalars(claimed))
        if holding := [process for process in running if process.name in holders]:
            return holding[0]
        await asyncio.sleep(POLL_SECONDS)
    return None


async def _count_open(database: Database) -> int:
    async with database.reading() as connection:
        return await connection.scalar(select(func.count()).where(jobs.c.is_open)) or 0


async def _count(database: Database, killed: int, received: set[str]) -> Survived:
    async with database.reading() as connection:
        states = {row.id: row.state for row in await connection.execute(select(incidents.c.id, incidents.c.state))}
        told = select(diagnoses.c.incident_id, func.count().label("times")).group_by(diagnoses.c.incident_id)
        times = {row.incident_id: row.times for row in await connection.execute(told)}
        tries = await connection.scalar(select(func.sum(jobs.c.tries - 1))) or 0
    ended = [one for one in received if states.get(one) in ("diagnosed", "escalated") and times.get(one) == 1]
    return Survived(
        kills=killed,
        interrupted=tries,
        received=len(received),
        survived=len(ended),
        lost=sum(one not in times for one in received),
        doubled=sum(count > 1 for count in times.values()),
    )


@contextmanager
def stores(folder: Path) -> Iterator[dict[str, str]]:
    """Yield the URL of an empty store of each kind."""
    server = pgserver.get_server(folder / "postgres")
    try:
        server.psql("CREATE DATABASE faults")
        postgresql = str(server.get_uri("faults")).replace("postgresql://", "postgresql+asyncpg://")
        yield {"SQLite": f"sqlite+aiosqlite:///{folder / 'store.db'}", "PostgreSQL": postgresql}
    finally:
        server.cleanup()


def main() -> None:
    """Print one row a store."""
    kills = int(sys.argv[1])
    params = quick(read_params(paths.PARAMS))
    table = Table("store", *Survived._fields)
    with tempfile.TemporaryDirectory() as folder, stores(Path(folder)) as urls:
        for name, url in urls.items():
            counted = asyncio.run(kill_workers(url, params, Path(folder), kills, Random(kills)))
            table.add_row(name, *map(str, counted))
    Console(width=None if sys.stdout.isatty() else 110).print(table)


if __name__ == "__main__":
    main()
