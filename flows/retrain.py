"""Run the pipeline from documents to model, and let the model answer if the gate says so: weekly, and on demand.

Comes in: dvc.yaml, read by DVC. Goes out: what the stages write, one row a stage and the gate's decision as artifacts, and maybe
another champion. Surprises: the stages and their order are nowhere but in dvc.yaml; a stage whose input did not change ends as
``Cached``; the first one that fails ends the flow, with its class and the place where it failed, and those after it are not run.
"""

import time
from collections.abc import Sequence
from typing import NamedTuple

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed

from flows.stages import RETRIES, RETRY_DELAY_SECONDS, is_worth_a_retry, run_stage
from mimir_core.config import read_params
from mimir_core.safety import escape
from tasks import paths
from tasks.loop import read_stages
from tasks.models import promote, read_verdict

GATE = "gate"
"""The stage after which a model may be promoted."""


class Ended(NamedTuple):
    """One stage that was run."""

    stage: str
    state: str
    """As Prefect shows it: ``Completed``, ``Cached``, ``Failed``."""
    seconds: float
    """Retries and the waits between them included."""


@task(retries=RETRIES, retry_delay_seconds=RETRY_DELAY_SECONDS, retry_condition_fn=is_worth_a_retry, cache_policy=NO_CACHE)
def heed_gate() -> str:
    """Promote the challenger if, and only if, the gate says so; show and return who answers now, and why."""
    verdict = read_verdict()
    answers = verdict.champion
    if verdict.decision == "promote":
        answers = f"version {promote(read_params(paths.PARAMS), None, 'retrain')}"
    said = f"champion: {answers}; {verdict.reason}"
    create_markdown_artifact(f"{escape.markdown(said)}\n", key="champion", description="Who answers, and what the gate said")
    return said


@flow(name="retrain")
def retrain(target: str | None = None) -> list[Ended]:
    """Run the stages that ``target`` needs, and itself, in DVC's order; every stage without a target; then heed the gate."""
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
    said = f"; {heed_gate()}" if GATE in stages else ""
    cached = sum(stage.state == "Cached" for stage in ended)
    return Completed(message=f"{len(ended)} stages, {cached} cached{said}", data=ended)  # type: ignore[return-value]  # Prefect hands the data on


def publish_summary(stages: Sequence[str], ended: Sequence[Ended]) -> None:
    """Show in the Prefect UI what became of each stage."""
    rows = [{"stage": stage.stage, "state": stage.state, "seconds": f"{stage.seconds:.1f}"} for stage in ended]
    rows += [{"stage": name, "state": "not run", "seconds": ""} for name in stages[len(ended) :]]
    create_table_artifact(rows, key="retrain", description="One row a stage")
