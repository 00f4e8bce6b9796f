"""Dashboard and alert rules ask for what Mimir tells, and for nothing else."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from deployment.api.metrics import Metrics

MONITORING = Path(__file__).parents[2] / "deployment" / "monitoring"


@pytest.mark.parametrize("name", ["alerts.yml", "grafana.json"])
def test_every_metric_that_is_asked_for_is_told(name: str) -> None:
    told = {sample.name for family in Metrics().registry.collect() for sample in family.samples}
    told |= {family.name + end for family in Metrics().registry.collect() for end in ("", "_total", "_bucket")}
    asked = set(re.findall(r"\bmimir_\w+", (MONITORING / name).read_text(encoding="utf-8")))
    assert asked
    assert asked <= told


def test_the_dashboard_is_json_with_a_query_in_each_panel() -> None:
    panels = json.loads((MONITORING / "grafana.json").read_text(encoding="utf-8"))["panels"]
    assert panels
    assert all(target["expr"] for panel in panels for target in panel["targets"])


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (Debian package prometheus)")
def test_prometheus_takes_the_rules() -> None:
    subprocess.run(["promtool", "check", "rules", str(MONITORING / "alerts.yml")], check=True, capture_output=True)
