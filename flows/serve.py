"""Diagnose whatever is open in the store: every minute, and on trigger.

Comes in: the store. Goes out: how many incidents were diagnosed; the diagnoses are in the store. Surprises: there is no list of
work: each worker claims the most urgent incident until nothing is due, so that a run more or a run less changes nothing, and what
a killed run had claimed is due again when its lease is over. Workers are processes of this machine, or of the Dask cluster that
``MIMIR_DASK_ADDRESS`` names; each finds the store by the environment of its own machine.
"""

import logging
import os
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner
from prefect_dask.task_runners import DaskTaskRunner

from mimir_core.backends.mlflow_runs import MlflowBatch
from mimir_core.config import Params, read_params
from mimir_core.errors import BackendError
from tasks import paths, wiring
from tasks.work import count_due, this_worker, work

logger = logging.getLogger(__name__)


@task(task_run_name="worker-{number}", cache_policy=NO_CACHE)
def work_one(number: int, params: Params, batch: str | None) -> int:  # noqa: ARG001  # the number is for people
    """Be one worker until nothing is due; ``batch`` is the MLflow run to show it in."""
    return work(wiring.store_url(), this_worker(params, wiring.batch_from(params, batch) if batch else None))


@flow(name="serve")
def serve() -> int:
    """Let ``diagnose.concurrency`` workers, or as many as there are incidents, diagnose until nothing is due."""
    params = read_params(paths.PARAMS)
    due = count_due(wiring.store_url(), params.store)
    if not due:
        return Completed(message="nothing is due", data=0)  # type: ignore[return-value]  # Prefect hands the data on
    shown = wiring.batch_from(params)
    batch = _begin(shown) if shown else None
    workers = min(params.diagnose.concurrency, due)
    with runner(workers) as hands:
        futures = [hands.submit(work_one, {"number": one, "params": params, "batch": batch}) for one in range(workers)]
        done = sum(future.result() for future in futures)
    if shown and batch:
        shown.end(done)
    return Completed(message=f"{done} diagnosed", data=done)  # type: ignore[return-value]  # likewise


def runner(workers: int) -> TaskRunner[Any]:
    """Return what runs the workers."""
    address = os.environ.get("MIMIR_DASK_ADDRESS")
    return DaskTaskRunner(address=address) if address else ProcessPoolTaskRunner(max_workers=workers)


def _begin(shown: MlflowBatch) -> str | None:
    """Let MLflow show the batch; where it is away, the batch goes on unseen."""
    try:
        return shown.begin()
    except BackendError as error:
        logger.warning("%s", error)
        return None
