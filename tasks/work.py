"""What a worker does: whatever is due in the store is diagnosed, one incident after the other.

Comes in: an open store. Goes out: diagnoses in the store, then reports in files, then runs in MLflow. Surprises: a worker may be
killed at any point: its claim runs out and another worker begins anew; once the diagnosis is in the store the incident is done,
and a report or an MLflow run that is missing then stays missing. A diagnosis that fails is tried again later, and stops nobody.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import pandas as pd
from structlog.contextvars import bound_contextvars

from mimir_core.config import Params, StoreSettings
from mimir_core.errors import BackendError
from mimir_core.records import Diagnosis, EvidencePack, Outcome, Run
from mimir_core.store.cases import Case, read_stored_case
from mimir_core.store.claims import Claim, LostClaimError, claim, finish, give_back, heartbeat, note_mlflow_run
from mimir_core.store.database import Database, open_database
from mimir_core.store.jobs import find_suppressed_tenants, release_suppressed
from mimir_core.store.views import read_queue
from mimir_core.telemetry.signals import Signals
from mimir_core.telemetry.stored import read_stored
from tasks import paths, wiring
from tasks.diagnose import Investigation, investigate, write_report

logger = logging.getLogger(__name__)

_LIVE = "Prometheus"
_BEATS = 3
"""Heartbeats within a lease: two may be lost."""


class Runs(Protocol):
    """Shows investigations to people."""

    def record(self, pack: EvidencePack, diagnosis: Diagnosis, run: Run, report: Path) -> str:
        """Return the id under which the investigation is shown."""
        ...


class Series(Protocol):
    """A monitoring system that is asked when an incident brings no series of its own."""

    def read_series(self, labels: Mapping[str, str], end: datetime) -> pd.DataFrame:
        """Return what was measured around an alert with these labels."""
        ...


@dataclass(frozen=True)
class Worker:
    """Somebody who diagnoses."""

    name: str
    params: Params
    cases: Path
    """Where recorded cases lie, a folder a tenant."""
    out: Path
    """Receives a report an incident."""
    runs: Runs | None = None
    series: Series | None = None

    async def work(self, database: Database) -> int:
        """Diagnose until nothing is due; return how many incidents that were.

        Raises:
            BackendError: The store is away; what was claimed comes back by itself.
        """
        done = 0
        while held := await self._claim(database):
            with bound_contextvars(incident=held.incident_id, worker=self.name):
                try:
                    done += await self._work_on(database, held)
                except LostClaimError as error:
                    logger.warning("%s", error)
        return done

    async def _claim(self, database: Database) -> Claim | None:
        for tenant in await find_suppressed_tenants(database):
            await release_suppressed(database, tenant, self.params.store, await database.now())
        return await claim(database, self.name, self.params.store, await database.now())

    async def _work_on(self, database: Database, held: Claim) -> bool:
        """Diagnose one incident; return whether that came to an end."""
        try:
            case = await read_stored_case(database, held.incident_id)
            found = await self._investigate(database, held, lambda: self._read(case))
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            state = await give_back(database, held, reason, self.params.store, await database.now())
            logger.warning("%s: try %d failed, now %s: %s", held.incident_id, held.tries, state, reason, exc_info=True)
            return False
        await finish(database, held, *found, self.params.store, await database.now())
        logger.info("%s: %s: %s", held.incident_id, found.diagnosis.verdict, found.diagnosis.headline)
        try:
            await self._show(database, held, found)
        except (BackendError, OSError) as error:
            logger.warning("%s: diagnosed, but not shown everywhere: %s", held.incident_id, error)
        return True

    def _read(self, case: Case) -> Signals:
        """Read what came with an incident, else ask for live series; a monitoring system that is away is a source that failed."""
        signals = read_stored(case.incident, case.snapshot, self.cases)
        if self.series and signals.metrics.empty:
            labels = case.incident.alerts[0].labels if case.incident.alerts else {}
            try:
                signals.metrics = self.series.read_series(labels, _now())
                signals.metrics_origin = _LIVE
                signals.sources[_LIVE] = Outcome.NO_DATA if signals.metrics.empty else Outcome.DATA
            except BackendError as error:
                logger.warning("%s: diagnosed without live series: %s", case.incident.id, error)
                signals.sources[_LIVE] = Outcome.ERROR
            signals.find_affected()
        return signals

    async def _investigate(self, database: Database, held: Claim, read: Callable[[], Signals]) -> Investigation:
        """Think in a thread, and keep the claim meanwhile."""
        thinking = asyncio.create_task(asyncio.to_thread(investigate, read, self.params))
        while not (await asyncio.wait({thinking}, timeout=self.params.store.lease_seconds / _BEATS))[0]:
            with suppress(BackendError, LostClaimError):  # the end is time enough to find out
                await heartbeat(database, held, self.params.store, await database.now())
        return thinking.result()

    async def _show(self, database: Database, held: Claim, found: Investigation) -> None:
        report = await asyncio.to_thread(write_report, found, self.out / held.incident_id)
        if self.runs:
            shown = await asyncio.to_thread(self.runs.record, *found, report.parent)
            await note_mlflow_run(database, held, shown)


def this_worker(params: Params, runs: Runs | None) -> Worker:
    """Return the worker that this process is, with the folders and the monitoring system of its machine."""
    name = f"{socket.gethostname()}:{os.getpid()}"
    return Worker(name, params, paths.CASES, paths.DIAGNOSES, runs, wiring.series_from(params))


def count_due(url: str, settings: StoreSettings) -> int:
    """Open the store and return how many incidents wait for a worker.

    Raises:
        BackendError: The store is away.
        ParamsError: The URL is of no known kind.
    """

    async def run() -> int:
        async with open_database(url, settings) as database:
            queue = await read_queue(database, settings, await database.now())
            return queue.due + len(await find_suppressed_tenants(database))

    return asyncio.run(run())


def work(url: str, worker: Worker) -> int:
    """Open the store and work; all that a worker's process does.

    Raises:
        BackendError: The store is away.
        ParamsError: The URL is of no known kind.
    """

    async def run() -> int:
        async with open_database(url, worker.params.store) as database:
            return await worker.work(database)

    return asyncio.run(run())


def _now() -> datetime:
    return datetime.now(UTC)
