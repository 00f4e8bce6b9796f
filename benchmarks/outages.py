# ruff: noqa: INP001, S311  # a script, not a package; chance protects nothing here
"""What is left of the work when any part of Mimir is killed: `benchmarks/outages.py KILLS`.

Comes in: how many processes are to be killed on each store. Goes out: a row a store: kills by part, and of all alerts that were
acknowledged how many have their one incident with its one diagnosis, none, or two. Surprises: it is a real `mimir up`, in a copy
of the project; a sender sends an alert every quarter of a second, again and again until it gets its 202, every fifth one twice;
parts take turns: the API, Prefect's server, its worker, a run in the middle of its batch, PostgreSQL; each gets SIGKILL at a
random moment. `mimir up` starts its parts again, and the script PostgreSQL.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from threading import Event, Thread
from typing import IO, NamedTuple, cast

import httpx
import pgserver
import psutil
import yaml
from rich.console import Console
from rich.table import Table
from sqlalchemy import func, select

from mimir_core.config import Params, read_params
from mimir_core.store.database import open_database
from mimir_core.store.tables import diagnoses, incidents, jobs
from tasks import paths

SENDS_SECONDS = 0.25
TWICE = 5
LONGEST_SECONDS = 5.0
"""Before the next kill."""
START_SECONDS = 120
END_SECONDS = 300
SETTINGS = {
    "store": {"lease_seconds": 5.0, "retry_seconds": 0.5, "max_tries": 20, "storm_budget": 10**6},
    "diagnose": {"passages": 0, "track": False},
}
PARTS: Mapping[str, Callable[[str], bool]] = {
    "api": lambda line: "deployment.cli api" in line,
    "server": lambda line: "prefect server" in line,
    "worker": lambda line: "prefect worker" in line,
    "run": lambda line: "prefect.engine" in line or "multiprocessing.spawn" in line or "flow-run" in line,
}
"""How each part's command line is known."""


class Ended(NamedTuple):
    """What became of the alerts."""

    kills: Counter[str]
    acknowledged: int
    survived: int
    lost: int
    doubled: int
    refused: Counter[str]
    """What the sender was told instead of 202."""


class Sender(Thread):
    """Sends alerts until it is told to stop; keeps what was acknowledged."""

    def __init__(self, api: str, key: str) -> None:
        super().__init__(daemon=True)
        self.acknowledged: list[str] = []
        self.refused = Counter[str]()
        self._over = Event()
        self._client = httpx.Client(base_url=api, headers={"Authorization": f"Bearer {key}"}, timeout=10)

    def run(self) -> None:
        """Send, until :meth:`end`."""
        number = 0
        while not self._over.wait(SENDS_SECONDS):
            number += 1
            now = datetime.now(UTC).isoformat()
            alert = {
                "title": f"alert {number}",
                "service": f"service-{number}",
                "starts_at": now,
                "fingerprint": f"print-{number}",
            }
            for _ in range(2 if number % TWICE == 0 else 1):
                while not self._is_taken(alert):
                    time.sleep(SENDS_SECONDS)
            self.acknowledged.append(alert["title"])

    def _is_taken(self, alert: Mapping[str, str]) -> bool:
        try:
            status = self._client.post("/api/v1/alerts/generic", json=alert).status_code
        except httpx.HTTPError as error:
            self.refused[type(error).__name__] += 1
            return False
        if status != 202:
            self.refused[str(status)] += 1
        return status == 202

    def end(self) -> None:
        """Stop after the alert that is on its way."""
        self._over.set()
        self.join()


@contextmanager
def mimir_up(project: Path, url: str) -> Iterator[tuple[psutil.Process, str, str]]:
    """Yield the process of `mimir up`, the API's address and the first key."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MIMIR_"))}
    command = [sys.executable, "-m", "deployment.cli", "up", "--port", "0", "--api-port", "0"]
    environment = {**kept, "PYTHONPATH": str(project), "MIMIR_STORE_URL": url}
    with (project / "up.log").open("w") as log:
        up = subprocess.Popen(command, cwd=project, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        key, _, _, _, api = (cast("IO[str]", up.stdout).readline().split()[-1] for _ in range(5))
        yield psutil.Process(up.pid), api, key
    finally:
        up.terminate()
        up.wait(START_SECONDS)


def find(up: psutil.Process, part: str) -> list[psutil.Process]:
    """Return the processes of a part that are alive."""
    found = []
    for process in up.children(recursive=True):
        try:
            if process.status() != psutil.STATUS_ZOMBIE and PARTS[part](" ".join(process.cmdline())):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def kill_one(up: psutil.Process, part: str, server: pgserver.PostgresServer | None, chance: Random) -> bool:
    """Wait for a random moment in the life of a part and kill it; return whether it was there."""
    time.sleep(chance.uniform(0, LONGEST_SECONDS))
    if part == "postgresql" and server:
        postmaster = psutil.Process(server.get_pid())
        family = postmaster.children()
        postmaster.kill()
        psutil.wait_procs(family)
        time.sleep(chance.uniform(0, 2))
        (server.pgdata / "postmaster.pid").unlink()  # the killed one may stay a zombie, which looks alive
        server.ensure_postgres_running()
        return True
    deadline = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < deadline:
        if alive := find(up, part):
            chance.choice(alive).kill()
            return True
        time.sleep(0.05)
    return False


def outages(project: Path, url: str, params: Params, kills: int, server: pgserver.PostgresServer | None) -> Ended:
    """Kill parts in turn while alerts come in, let the rest be diagnosed, and count."""
    chance, killed = Random(kills), Counter[str]()
    parts = [*PARTS, *(["postgresql"] if server else [])]
    with mimir_up(project, url) as (up, api, key):
        sender = Sender(api, key)
        sender.start()
        turn = 0
        while killed.total() < kills:
            part = parts[turn % len(parts)]
            turn += 1
            killed[part] += kill_one(up, part, server, chance)
            sys.stderr.write(f"\r{killed.total()} of {kills} killed, {len(sender.acknowledged)} alerts acknowledged")
        sender.end()
        deadline = time.monotonic() + END_SECONDS
        while time.monotonic() < deadline and asyncio.run(count_open(url, params)):
            time.sleep(1)
        sys.stderr.write("\n")
    return asyncio.run(count(url, params, sender, killed))


async def count_open(url: str, params: Params) -> int:
    """Return how many incidents still wait."""
    async with open_database(url, params.store) as database, database.reading() as connection:
        return await connection.scalar(select(func.count()).where(jobs.c.is_open)) or 0


async def count(url: str, params: Params, sender: Sender, killed: Counter[str]) -> Ended:
    """Hold what was acknowledged against what is in the store."""
    told = select(incidents.c.title, incidents.c.id, func.count(diagnoses.c.id).label("times"))
    rows = told.outerjoin(diagnoses, diagnoses.c.incident_id == incidents.c.id).group_by(incidents.c.title, incidents.c.id)
    found: dict[str, list[int]] = {}
    async with open_database(url, params.store) as database, database.reading() as connection:
        for row in await connection.execute(rows):
            found.setdefault(row.title, []).append(row.times)
    told_once = sum(found.get(title) == [1] for title in sender.acknowledged)
    lost = sum(not sum(found.get(title, ())) for title in sender.acknowledged)
    doubled = sum(len(times) > 1 or sum(times) > 1 for times in found.values())
    return Ended(killed, len(sender.acknowledged), told_once, lost, doubled, sender.refused)


def copy_project(folder: Path) -> Path:
    """Return a copy of what `mimir up` needs, with settings that make time pass faster."""
    project = folder / "mimir"
    for name in ("mimir_core", "tasks", "flows", "deployment"):
        shutil.copytree(paths.ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    params = yaml.safe_load(paths.PARAMS.read_text(encoding="utf-8"))
    for section, changed in SETTINGS.items():
        params[section].update(changed)
    (project / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    return project


def main() -> None:
    """Print one row a store."""
    kills = int(sys.argv[1])
    table = Table("store", *Ended._fields)
    for store in ("SQLite", "PostgreSQL"):
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
            folder = Path(name)
            project = copy_project(folder)
            server = pgserver.get_server(folder / "postgres") if store == "PostgreSQL" else None
            url = f"sqlite+aiosqlite:///{folder / 'store.db'}"
            if server:
                url = str(server.get_uri()).replace("postgresql://", "postgresql+asyncpg://")
            ended = outages(project, url, read_params(project / "params.yaml"), kills, server)
            if server:
                server.cleanup()
        told = [", ".join(f"{name} {times}" for name, times in one.items()) for one in (ended.kills, ended.refused)]
        table.add_row(store, told[0], *map(str, ended[1:5]), told[1])
    Console(width=None if sys.stdout.isatty() else 130).print(table)


if __name__ == "__main__":
    main()
