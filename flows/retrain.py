"""Run the pipeline from documents to model: weekly, and on demand.

Comes in: dvc.yaml, read by DVC. Goes out: what the stages write, and one row a stage as an artifact. Surprises: the stages and
their order are nowhere but in dvc.yaml; a stage whose input did not change ends as ``Cached``; the first one that fails ends the
flow, with its class and the place where it failed, and those after it are not run.
"""

import time
from collections.abc import Sequence
from typing import NamedTuple

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.states import Completed

from flows.stages import run_stage
from tasks.loop import read_stages


class Ended(NamedTuple):
    """One stage that was run."""

    stage: str
    state: str
    """As Prefect shows it: ``Completed``, ``Cached``, ``Failed``."""
    seconds: float
    """Retries and the waits between them included."""


@flow(name="retrain")
def retrain(target: str | None = None) -> list[Ended]:
    """Run the stages that ``target`` needs, and itself, in DVC's order; every stage without a target."""
    stages = [stage.name for stage in read_stages(target)]
    ended: list[Ended] = []
    try:
        for stage in stages:
            began = time.monotonic()
            state = run_stage(stage, return_state=True)
            ended.append(Ended(stage, str(state.name), round(time.monotonic() - began, 1)))
            if not state.is_completed():
                state.result()  # raises what the stage raised
    finally:
        publish_summary(stages, ended)
    cached = sum(stage.state == "Cached" for stage in ended)
    return Completed(message=f"{len(ended)} stages, {cached} cached", data=ended)  # type: ignore[return-value]  # Prefect hands the data on


def publish_summary(stages: Sequence[str], ended: Sequence[Ended]) -> None:
    """Show in the Prefect UI what became of each stage."""
    rows = [{"stage": stage.stage, "state": stage.state, "seconds": f"{stage.seconds:.1f}"} for stage in ended]
    rows += [{"stage": name, "state": "not run", "seconds": ""} for name in stages[len(ended) :]]
    create_table_artifact(rows, key="retrain", description="One row a stage")
