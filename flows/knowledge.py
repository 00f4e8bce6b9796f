"""Refresh the knowledge: weekly, and on demand.

Comes in: the documents named in params.yaml. Goes out: a published index version, which searches use from then on.
Surprises: a stage that fails stops the flow before anything is published; the version in use stays.
"""

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.stages import RETRIES, RETRY_DELAY_SECONDS, is_worth_a_retry, run_stage
from mimir_core.config import read_params
from tasks import paths
from tasks.publish import publish


@task(retries=RETRIES, retry_delay_seconds=RETRY_DELAY_SECONDS, retry_condition_fn=is_worth_a_retry, cache_policy=NO_CACHE)
def publish_index() -> str:
    """Make the new index the one that is searched; return its version."""
    return publish(read_params(paths.PARAMS))


@flow(name="knowledge")
def knowledge() -> str:
    """Ingest the documents, index them, publish; return the version."""
    for stage in ("ingest", "index"):
        run_stage(stage)
    return publish_index()
