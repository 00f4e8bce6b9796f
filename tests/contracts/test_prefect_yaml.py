"""deployment/prefect.yaml and the flows agree."""

import inspect
from importlib import import_module
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import yaml
from prefect import Flow
from prefect.client.schemas.schedules import CronSchedule

ROOT = Path(__file__).parents[2]
CONTENT = yaml.safe_load((ROOT / "deployment" / "prefect.yaml").read_text())
DEPLOYMENTS = CONTENT["deployments"]


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: deployment["name"])
def test_a_deployment_names_a_flow_and_its_parameters(deployment: dict[str, object]) -> None:
    path, _, name = str(deployment["entrypoint"]).partition(":")
    flow = getattr(import_module(path.removesuffix(".py").replace("/", ".")), name)
    assert isinstance(flow, Flow)
    inspect.signature(flow.fn).bind(**deployment["parameters"])  # type: ignore[arg-type]


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: deployment["name"])
def test_a_run_is_never_stacked_upon_and_its_hour_has_a_time_zone(deployment: dict[str, object]) -> None:
    assert deployment["concurrency_limit"] == {"limit": 1, "collision_strategy": "CANCEL_NEW"}
    for schedule in deployment["schedules"]:  # type: ignore[attr-defined]
        assert ZoneInfo(schedule["timezone"])
        assert CronSchedule(cron=schedule["cron"], timezone=schedule["timezone"])


def test_the_file_holds_no_path_of_a_machine() -> None:
    assert CONTENT["pull"] == [{"prefect.deployments.steps.set_working_directory": {"directory": "{{ $MIMIR_ROOT }}"}}]


def test_the_file_is_for_the_locked_prefect() -> None:
    assert f"prefect=={CONTENT['prefect-version']}\n" in (ROOT / "requirements" / "core.txt").read_text()
