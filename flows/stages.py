"""The one Prefect task around a DVC stage.

Comes in: the name of a stage of dvc.yaml. Goes out: what DVC writes, live logs, and the stage's report as an artifact.
Surprises: DVC decides whether there is anything to do (an unchanged stage ends as ``Cached``), and the stage is a process
of its own: its error comes back through ``var/status/NAME.json``.
"""

import os
import subprocess
import sys
from collections import deque
from pathlib import Path
from typing import Any

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.logging import get_run_logger
from prefect.states import Completed
from prefect.tasks import Task

from mimir_core.errors import BackendError, MimirError
from mimir_core.safety import escape
from tasks import paths
from tasks.status import forget_failure, read_failure

RETRIES = 2
RETRY_DELAY_SECONDS = 10
TAIL_LINES = 5
"""Lines of DVC's own output that are quoted when the stage wrote nothing down."""


def is_worth_a_retry(_task: Task[..., Any], _task_run: TaskRun, state: State[Any]) -> bool:
    """Only a BackendError is: data and settings do not get better by waiting."""
    return isinstance(state.result(raise_on_failure=False), BackendError)


@task(
    task_run_name="{name}",
    retries=RETRIES,
    retry_delay_seconds=RETRY_DELAY_SECONDS,
    retry_condition_fn=is_worth_a_retry,
    cache_policy=NO_CACHE,
)
def run_stage(name: str) -> State[None]:
    """Run ``dvc repro --single-item NAME`` and follow its output.

    Raises:
        BackendError: Something outside did not answer, or another DVC holds the lock. Retried.
        MimirError: The stage failed; the class is the one that it wrote down.
    """
    forget_failure(name, paths.STATUS)
    code, lines = _follow([sys.executable, "-m", "dvc", "repro", "--single-item", name])
    if code:
        raise read_failure(name, paths.STATUS) or _failure_of_dvc(name, lines)
    report = paths.REPORTS / f"{name}.json"
    if report.is_file():
        text = escape.code_block(report.read_text(encoding="utf-8"), "json")
        create_markdown_artifact(text, key=f"stage-{name}", description=f"Report of stage {name}")
    unchanged = any("didn't change, skipping" in line for line in lines)
    return Completed(name="Cached", message="nothing changed") if unchanged else Completed()


def _follow(command: list[str]) -> tuple[int, list[str]]:
    """Run ``command`` in the project, log each line as it comes, return the exit code and the last lines."""
    logger = get_run_logger()
    tail: deque[str] = deque(maxlen=50)
    # `dvc.yaml` says `mimir stage NAME`: the command must be found where the virtual environment is not activated.
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    with subprocess.Popen(
        command, cwd=paths.ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        for line in process.stdout or ():
            logger.info(line.rstrip())
            tail.append(line.rstrip())
    return process.returncode, list(tail)


def _failure_of_dvc(name: str, lines: list[str]) -> MimirError:
    """What to raise when the stage itself never spoke: DVC could not start it."""
    said = " / ".join(line for line in lines[-TAIL_LINES:] if line)
    busy = "Unable to acquire lock" in said or "is busy, it is being blocked" in said
    return (BackendError if busy else MimirError)(f"dvc repro --single-item {name}: {said}")
