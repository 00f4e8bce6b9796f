"""Diagnose whatever is open in the store: every minute, and on trigger.

Comes in: the store. Goes out: how many incidents were diagnosed; the diagnoses are in the store. Surprises: there is no list of
work: each worker claims the most urgent incident until nothing is due, so that a run more or a run less changes nothing, and what
a killed run had claimed is due again when its lease is over.
"""

import os
import socket

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed
from prefect.task_runners import ThreadPoolTaskRunner

from mimir_core.config import read_params
from tasks import paths, wiring
from tasks.work import Worker, work


@task(task_run_name="{worker.name}", cache_policy=NO_CACHE)
def work_one(url: str, worker: Worker) -> int:
    """Be one worker until nothing is due."""
    return work(url, worker)


@flow(name="serve")
def serve() -> int:
    """Let ``diagnose.concurrency`` workers diagnose until nothing is due."""
    params = read_params(paths.PARAMS)
    batch = wiring.batch_from(params)
    names = [f"{socket.gethostname()}:{os.getpid()}:{number}" for number in range(params.diagnose.concurrency)]
    with ThreadPoolTaskRunner[int](max_workers=len(names)) as runner:
        series = wiring.series_from(params)
        workers = [Worker(name, params, paths.CASES, paths.DIAGNOSES, batch, series) for name in names]
        futures = [runner.submit(work_one, {"url": wiring.store_url(), "worker": worker}) for worker in workers]
        done = sum(future.result() for future in futures)
    if batch:
        batch.end(done)
    return Completed(message=f"{done} diagnosed", data=done)  # type: ignore[return-value]  # Prefect hands the data on
