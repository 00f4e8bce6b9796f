# ruff: noqa: INP001  # a script, not a package
"""How many incidents a minute workers get through: `benchmarks/batch.py N`.

Comes in: how many simulated incidents; they are written once into var/bench/batch. Goes out: a row for each way of working: wall
time and processor time with everything that starts, incidents a minute between the first diagnosis and the last, and the peak of
memory of all processes (each page counted once). Surprise: the first search of a process loads the embedding model, which a small
batch does not earn back.
"""

import asyncio
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple

import psutil
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
from tasks.simulate import simulate
from tasks.work import Worker, work

SEED = 11
TENANT = "default"
POLL_SECONDS = 0.2


class Way(NamedTuple):
    """How a batch is worked through."""

    name: str
    processes: int
    threads: int
    """In each process."""
    has_mlflow: bool


WAYS = (
    Way("1 process", 1, 1, has_mlflow=False),
    Way("2 processes", 2, 1, has_mlflow=False),
    Way("1 process, 2 threads", 1, 2, has_mlflow=False),
    Way("1 process, MLflow", 1, 1, has_mlflow=True),
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


def be_a_process(url: str, params: Params, root: Path, folder: Path, way: Way) -> None:
    """Work with some threads until nothing is due."""
    batch = MlflowBatch(None, folder / "mlflow") if way.has_mlflow else None
    with ThreadPoolExecutor(way.threads) as pool:
        workers = [Worker(f"worker-{number}", params, root, folder / "out", batch) for number in range(way.threads)]
        done = sum(pool.map(work, [url] * way.threads, workers))
    if batch:
        batch.end(done)


def peak_mib(processes: Sequence[BaseProcess]) -> float:
    """Wait for the processes to end; return the most memory that they held together, in MiB."""
    peak = 0.0
    watched = [psutil.Process(process.pid) for process in processes]
    while any(process.is_alive() for process in processes):
        held = 0
        for process in watched:
            try:
                held += process.memory_full_info().pss
            except (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
                continue
        peak = max(peak, held / 2**20)
        time.sleep(POLL_SECONDS)
    return peak


def spent_seconds() -> float:
    """Return the processor time of all processes that were waited for."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


async def look_back(url: str, params: Params) -> tuple[int, float]:
    """Return how many incidents were diagnosed, and the seconds between the first diagnosis and the last."""
    async with open_database(url, params.store) as database, database.reading() as connection:
        ends = sorted(await connection.scalars(select(diagnoses.c.at)))
    return len(ends), (ends[-1] - ends[0]).total_seconds()


def main() -> None:
    """Print one row a way."""
    count = int(sys.argv[1])
    params = read_params(paths.PARAMS)
    params = params.model_copy(update={"store": params.store.model_copy(update={"storm_budget": count})})
    root = paths.BENCH / "batch"
    home = root / TENANT
    if not home.is_dir() or len(list(home.iterdir())) < count:
        simulate(home, count, SEED, params.simulate, lambda said: sys.stderr.write(f"{said}\n"))
    cases = sorted(home.iterdir())[:count]
    table = Table("way", "diagnosed", "wall s", "CPU s", "incidents/min", "peak MiB")
    processes = multiprocessing.get_context("spawn")
    for way in WAYS:
        with tempfile.TemporaryDirectory() as folder:
            url = f"sqlite+aiosqlite:///{folder}/store.db"
            asyncio.run(fill(url, params, cases))
            started, spent = time.perf_counter(), spent_seconds()
            running = [
                processes.Process(target=be_a_process, args=(url, params, root, Path(folder), way)) for _ in range(way.processes)
            ]
            for process in running:
                process.start()
            peak = peak_mib(running)
            for process in running:
                process.join()
            wall, spent = time.perf_counter() - started, spent_seconds() - spent
            diagnosed, seconds = asyncio.run(look_back(url, params))
        table.add_row(
            way.name, str(diagnosed), f"{wall:.1f}", f"{spent:.1f}", f"{60 * (diagnosed - 1) / seconds:.1f}", f"{peak:.0f}"
        )
    Console(width=None if sys.stdout.isatty() else 110).print(table)


if __name__ == "__main__":
    main()
