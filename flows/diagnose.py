"""Diagnose every case of a folder: nightly, and on trigger.

Comes in: a folder of cases. Goes out: one report a case and a summary page in ``var/diagnoses``, and a :class:`Night`.
Surprises: a case that fails is a row of the night and stops nobody; the flow fails only when every case did.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact, create_progress_artifact, create_table_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.futures import as_completed
from prefect.states import Completed
from prefect.task_runners import ThreadPoolTaskRunner

from flows.stages import is_worth_a_retry
from mimir_core.config import Params, read_params
from mimir_core.records import Severity
from mimir_core.safety import escape
from tasks import paths
from tasks.diagnose import Diagnosed, diagnose_case, find_cases, write_night


class Night(NamedTuple):
    """One batch."""

    diagnosed: list[Diagnosed]
    """In the order of the folder."""
    failed: dict[str, str]
    """Case to class and message of its error."""
    page: Path
    """The HTML summary."""


@task(task_run_name="{case.name}", retry_condition_fn=is_worth_a_retry, cache_policy=NO_CACHE)
def diagnose_one(case: Path, params: Params) -> Diagnosed:
    """Diagnose one case and write its report."""
    return diagnose_case(case, params, paths.DIAGNOSES)


@flow(name="diagnose")
def diagnose(folder: str = "data/incidents") -> Night:
    """Diagnose each case of ``folder`` (relative to the project), some at a time, and sum the night up."""
    params = read_params(paths.PARAMS)
    settings = params.diagnose
    cases = find_cases(paths.ROOT / folder)
    patient = diagnose_one.with_options(retries=settings.retries, retry_delay_seconds=settings.retry_delay_seconds)
    progress = create_progress_artifact(0.0, key="diagnose-progress", description=f"{len(cases)} cases of {folder}")
    with ThreadPoolTaskRunner[Diagnosed](max_workers=settings.concurrency) as runner:
        futures = [runner.submit(patient, {"case": case, "params": params}) for case in cases]
        for ended, _ in enumerate(as_completed(list(futures)), start=1):
            update_progress_artifact(progress, 100 * ended / len(cases))  # type: ignore[arg-type]  # no coroutine here
    # A failed task's result is its error, whatever its type says.
    results: list[object] = [future.result(raise_on_failure=False) for future in futures]
    diagnosed = [result for result in results if isinstance(result, Diagnosed)]
    errors = {case.name: result for case, result in zip(cases, results, strict=True) if isinstance(result, Exception)}
    if not diagnosed:
        first = next(iter(errors.values()))
        first.add_note(f"none of the {len(cases)} cases of {folder} could be diagnosed")
        raise first
    failed = {name: f"{type(error).__name__}: {error}" for name, error in errors.items()}
    night = Night(diagnosed, failed, write_night(diagnosed, failed, paths.DIAGNOSES))
    publish_artifacts(night)
    message = f"{len(diagnosed)} diagnosed, {len(failed)} failed"
    return Completed(message=message, data=night)  # type: ignore[return-value]  # Prefect hands the data on


def worst(night: Sequence[Diagnosed]) -> Diagnosed:
    """Return the incident to look at first: by severity, then by how sure the diagnosis is."""
    order = list(Severity)
    return min(night, key=lambda done: (order.index(done.pack.incident.severity), -done.diagnosis.confidence))


def publish_artifacts(night: Night) -> None:
    """Show the night in the Prefect UI: one row a case, and the worst incident's answer."""
    rows = [
        {
            "case": escape.code(done.name),
            "verdict": done.diagnosis.verdict.value,
            "answer": escape.code(done.diagnosis.headline),
            "confidence": f"{done.diagnosis.confidence:.2f}",
            "seconds": f"{done.run.latency_ms / 1000:.1f}",
        }
        for done in night.diagnosed
    ] + [
        {"case": escape.code(name), "verdict": "failed", "answer": escape.code(error), "confidence": "", "seconds": ""}
        for name, error in night.failed.items()
    ]
    create_table_artifact(rows, key="diagnoses", description="One row a case")
    first = worst(night.diagnosed)
    answer = escape.code_block(f"{first.name}\n{first.diagnosis.headline}\n{first.diagnosis.reason}")
    text = f"{len(night.diagnosed)} diagnosed, {len(night.failed)} failed. Look first at:\n\n{answer}\n"
    create_markdown_artifact(text, key="night", description="The worst incident")
