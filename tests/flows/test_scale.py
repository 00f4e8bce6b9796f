"""One batch, several processes: of this machine, and of a Dask cluster. In a copy of the project, as each machine has one."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL
from sqlalchemy import select

from mimir_core.config import StoreSettings
from mimir_core.records import Incident
from mimir_core.store.database import open_database
from mimir_core.store.intake import receive
from mimir_core.store.tables import jobs

ROOT = Path(__file__).parents[2]
SERVE = "from flows.serve import serve; print(serve())"
INCIDENTS = 40
START_SECONDS = 60


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("scale") / "mimir"
    for name in ("mimir_core", "tasks", "flows"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    params = (ROOT / "params.yaml").read_text()
    (copy / "params.yaml").write_text(params.replace("passages: 6", "passages: 0").replace("track: true", "track: false"))
    return copy


@contextmanager
def dask_cluster(environment: Mapping[str, str], folder: Path) -> Iterator[str]:
    """Yield the address of a scheduler with two workers on this machine."""
    found = folder / "scheduler.json"
    common = ("--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(found))
    with ExitStack() as running:
        for part in (("scheduler", "--port", "0"), ("worker", "--nthreads", "1"), ("worker", "--nthreads", "1")):
            command = [sys.executable, "-m", "dask", *part, *common]
            process = running.enter_context(
                subprocess.Popen(command, env=environment, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            )
            running.callback(process.kill)
        deadline = time.monotonic() + START_SECONDS
        while not found.is_file() and time.monotonic() < deadline:
            time.sleep(0.1)
        yield json.loads(found.read_text())["address"]


async def send(url: str, settings: StoreSettings) -> None:
    async with open_database(url, settings) as database:
        for number in range(INCIDENTS):
            await receive(database, Incident(id="i", title=f"t{number}"), "", "test", settings, datetime.now(UTC))


async def read_workers(url: str, settings: StoreSettings) -> list[str]:
    """Return who did each job that is done."""
    async with open_database(url, settings) as database, database.reading() as connection:
        return list(await connection.scalars(select(jobs.c.worker).where(jobs.c.is_open.is_(False))))


@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize("way", ["processes", "dask"])
def test_two_processes_share_a_batch(way: str, project: Path, settings: StoreSettings, tmp_path: Path) -> None:
    url, calm = f"sqlite+aiosqlite:///{tmp_path / 'store.db'}", settings.model_copy(update={"storm_budget": INCIDENTS})
    asyncio.run(send(url, calm))
    environment = {**os.environ, "PYTHONPATH": str(project), "MIMIR_STORE_URL": url, "PREFECT_API_URL": PREFECT_API_URL.value()}
    with ExitStack() as running:
        if way == "dask":
            environment["MIMIR_DASK_ADDRESS"] = running.enter_context(dask_cluster(environment, tmp_path))
        ended = subprocess.run(
            [sys.executable, "-c", SERVE], env=environment, cwd=project, check=True, capture_output=True, text=True, timeout=200
        )
    assert ended.stdout.splitlines()[-1] == str(INCIDENTS)
    workers = asyncio.run(read_workers(url, calm))
    assert len(workers) == INCIDENTS
    assert len(set(workers)) == 2
