# ruff: noqa: INP001  # a script, not a package
"""What a batch costs as it grows, and as workers are added: `benchmarks/batch.py COUNT...`, as in `batch.py 10 100 1000`.

Comes in: how many simulated incidents; they are written once into var/bench/batch. Goes out: a row for each count and each way of
working: wall time with everything that starts, incidents a minute of it, incidents a minute between the first diagnosis and the
last, and the peak of memory of all processes (each page counted once). Surprise: the first search of a process loads the
embedding model, which a small batch does not earn back.
"""

import asyncio
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import NamedTuple

import psutil
from distributed import Client, LocalCluster, wait
from rich.console import Console
from rich.table import Table
from sqlalchemy import select

from mimir_core.backends.mlflow_runs import MlflowBatch
from mimir_core.config import Params, read_params
from mimir_core.store.cases import name_case
from mimir_core.store.database import open_database
from mimir_core.store.intake import receive
from mimir_core.store.tables import diagnoses
from mimir_core.telemetry.alerts import parse_incident
from tasks import paths
from tasks.case_folders import write_cases
from tasks.work import Worker, work

SEED = 11
TENANT = "default"
POLL_SECONDS = 2.0


class Job(NamedTuple):
    """What every worker of a batch is told."""

    url: str
    params: Params
    cases: Path
    folder: Path
    """Receives the reports, and MLflow's files."""
    batch: str
    """Its run in MLflow."""


def be_a_worker(job: Job, number: int) -> int:
    """Diagnose until nothing is due."""
    shown = MlflowBatch(None, job.folder / "mlflow", job.batch)
    return work(job.url, Worker(f"worker-{number}", job.params, job.cases, job.folder / "out", shown))


def on_processes(job: Job, workers: int) -> None:
    """Let processes of this machine work, as the flow `serve` does."""
    start = multiprocessing.get_context("spawn").Process
    running = [start(target=be_a_worker, args=(job, number)) for number in range(workers)]
    for process in running:
        process.start()
    for process in running:
        process.join()


def on_dask(job: Job, workers: int) -> None:
    """Let a Dask cluster of this machine work."""
    with LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        wait(client.map(be_a_worker, [job] * workers, range(workers), pure=False))


class Way(NamedTuple):
    """How a batch is worked through."""

    name: str
    run: Callable[[Job, int], None]
    workers: int


WAYS = (
    Way("1 worker", on_processes, 1),
    Way("2 workers", on_processes, 2),
    Way("2 workers, Dask", on_dask, 2),
)


async def fill(url: str, params: Params, cases: Sequence[Path]) -> None:
    """Receive one incident a case."""
    async with open_database(url, params.store) as database:
        for case in cases:
            incident = parse_incident(json.loads((case / "alert.json").read_text(encoding="utf-8")), case.name)
            fires = {"fingerprint": case.name, "status": "firing"}  # some systems recover in time: nobody would look
            alone = incident.model_copy(update={"alerts": tuple(alert.model_copy(update=fires) for alert in incident.alerts)})
            [identity] = (await receive(database, alone, case.name, "batch", params.store, datetime.now(UTC))).incidents
            await name_case(database, identity, case.name)


class Peak(Thread):
    """Watches how much memory the children of this process hold together."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.mib = 0.0
        self._over = Event()

    def run(self) -> None:
        """Look until :meth:`end`."""
        while not self._over.wait(POLL_SECONDS):
            held = 0
            for process in psutil.Process().children(recursive=True):
                try:
                    held += process.memory_full_info().pss
                except (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
                    continue
            self.mib = max(self.mib, held / 2**20)

    def end(self) -> float:
        """Stop; return the most, in MiB."""
        self._over.set()
        self.join()
        return self.mib


async def look_back(url: str, params: Params) -> tuple[int, float]:
    """Return how many incidents were diagnosed, and the seconds between the first diagnosis and the last."""
    async with open_database(url, params.store) as database, database.reading() as connection:
        ends = sorted(await connection.scalars(select(diagnoses.c.at)))
    return len(ends), (ends[-1] - ends[0]).total_seconds()


def measure(way: Way, cases: Sequence[Path], params: Params, root: Path) -> tuple[str, ...]:
    """Work one batch through; return its row."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = f"sqlite+aiosqlite:///{folder}/store.db"
        asyncio.run(fill(url, params, cases))
        peak, started = Peak(), time.perf_counter()
        peak.start()
        shown = MlflowBatch(None, folder / "mlflow")
        way.run(Job(url, params, root, folder, shown.begin()), way.workers)
        shown.end(len(cases))
        wall, mib = time.perf_counter() - started, peak.end()
        diagnosed, seconds = asyncio.run(look_back(url, params))
    rates = (60 * diagnosed / wall, 60 * (diagnosed - 1) / seconds)
    return (str(len(cases)), way.name, str(diagnosed), f"{wall:.0f}", *(f"{rate:.1f}" for rate in rates), f"{mib:.0f}")


def main() -> None:
    """Print one row for each count and way."""
    counts = sorted(map(int, sys.argv[1:]))
    params = read_params(paths.PARAMS)
    params = params.model_copy(update={"store": params.store.model_copy(update={"storm_budget": counts[-1]})})
    root = paths.BENCH / "batch"
    home = root / TENANT
    if not home.is_dir() or len(list(home.iterdir())) < counts[-1]:
        write_cases(home, counts[-1], SEED, params.simulate, lambda said: sys.stderr.write(f"{said}\n"))
    table = Table("incidents", "way", "diagnosed", "wall s", "a minute, all", "a minute, between", "peak MiB")
    for count in counts:
        for way in WAYS:
            row = measure(way, sorted(home.iterdir())[:count], params, root)
            sys.stderr.write(f"{' | '.join(row)}\n")
            table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 110).print(table)


if __name__ == "__main__":
    main()
