"""Check each night of diagnoses: the rules that must hold of every one, and the drift against the weeks before.

Comes in: the store. Goes out: ``var/monitor/DATE``, two artifacts and a :class:`NightCheck`. Surprise: a broken rule is a defect
in the data and fails the flow; drift is a warning: the world may have changed, and Mimir with it.
"""

from datetime import UTC, datetime

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed

from flows.stages import RETRIES, RETRY_DELAY_SECONDS, is_worth_a_retry
from mimir_core.config import Params, read_params
from mimir_core.evaluation.nights import NightCheck
from mimir_core.safety import escape
from tasks import paths
from tasks.monitor import monitor as check_night


@task(retries=RETRIES, retry_delay_seconds=RETRY_DELAY_SECONDS, retry_condition_fn=is_worth_a_retry, cache_policy=NO_CACHE)
def check(params: Params) -> NightCheck:
    """Check the night that ends now and write its report."""
    return check_night(params, datetime.now(UTC))


@flow(name="monitor")
def monitor() -> NightCheck:
    """Check the last night, show what was found, and fail when a rule is broken."""
    found = check(read_params(paths.PARAMS))
    publish_artifacts(found)
    found.stop_if_broken()
    return Completed(message=found.headline, data=found)  # type: ignore[return-value]  # Prefect hands the data on


def publish_artifacts(found: NightCheck) -> None:
    """Show the night in the Prefect UI: the answer with the broken rules, and one row a column."""
    parts = [f"{escape.markdown(found.headline)}."]
    if found.broken:
        parts.append(escape.code_block(found.defects))
    if found.page:
        parts.append(f"Report: {escape.code(str(found.page))}")
        rows = [
            {"column": column.column, "method": column.method, "chance": f"{column.chance:.2g}", "drifted": column.has_drifted}
            for column in found.drift
        ]
        create_table_artifact(rows, key="monitor-drift", description="How far each column is from the weeks before")
    create_markdown_artifact("\n\n".join(parts) + "\n", key="monitor", description="Rules and drift of the night")
