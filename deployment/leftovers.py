"""What a killed worker leaves in Prefect's records, put right before a new one starts.

Comes in: the server's address. Goes out: its records, in which nothing claims to run that does not.
Surprises: without this, a run that died with its worker holds its deployment's one slot for ever, and every later night is
cancelled as a collision.
"""

import logging

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate
from prefect.client.schemas.filters import FlowRunFilter, WorkPoolFilter, WorkPoolFilterName
from prefect.client.schemas.objects import StateType
from prefect.states import Crashed

logger = logging.getLogger(__name__)

ALIVE = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]


def clear(url: str, auth: str, pool: str) -> int:
    """Mark every run of ``pool`` that claims to be alive as crashed, free the slots, return how many runs that were.

    Call it while no worker of the pool runs.
    """
    of_pool = WorkPoolFilter(name=WorkPoolFilterName(any_=[pool]))
    alive = FlowRunFilter.model_validate({"state": {"type": {"any_": ALIVE}}})
    with SyncPrefectClient(f"{url}/api", auth_string=auth) as client:
        runs = client.read_flow_runs(flow_run_filter=alive, work_pool_filter=of_pool)
        for run in runs:
            client.set_flow_run_state(run.id, Crashed(message="its worker was stopped before it ended"), force=True)
        for deployment in client.read_deployments(work_pool_filter=of_pool):
            client.update_global_concurrency_limit(f"deployment:{deployment.id}", GlobalConcurrencyLimitUpdate(active_slots=0))
    if runs:
        logger.warning("%d runs had died with their worker: marked as crashed", len(runs))
    return len(runs)
