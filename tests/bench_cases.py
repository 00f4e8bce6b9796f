"""A folder of cases, a bench that runs on it, and a place of its own for all that it writes."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from model_server import ModelServer, Visit, answers
from scripted_model import written

from mimir_core.config import Params
from mimir_core.harness.report import BenchReport
from tasks import paths
from tasks.bench_run import bench_run

Run = Callable[..., BenchReport]
KEY = "open-sesame-4711"


@pytest.fixture(autouse=True)
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "BENCH_RUNS", tmp_path / "runs")
    monkeypatch.setattr(paths, "MLFLOW", tmp_path / "mlflow")
    monkeypatch.setattr(paths, "KNOWLEDGE", tmp_path / "knowledge")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("THE_KEY", KEY)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A full disk, one that nobody knows the truth of, and a case without any evidence, where nothing can be told."""
    cases = tmp_path / "cases"
    for name, truth in (("blue-fox", "verdict: cause_found\ncauses: [{component: web, fault_kind: disk}]\n"), ("green-elk", "")):
        (cases / name).mkdir(parents=True)
        (cases / name / "web.log").write_text("2026-01-01T00:00:00Z ERROR write failed: no space left on device\n")
        if truth:
            (cases / name / "expected.yaml").write_text(truth)
    (cases / "red-owl.json").write_text(
        json.dumps({"question": "why is web slow?", "evidence": [], "kind": "healthy", "expected_category": "healthy"})
    )
    return cases


@pytest.fixture
def run(folder: Path, tmp_path: Path, params: Params) -> Run:
    """Run the bench with a file of these settings; MLflow is left out unless a test wants it."""

    def running(name: str = "mine", **settings: object) -> BenchReport:
        file = tmp_path / f"{name}.yaml"
        file.write_text(yaml.safe_dump({"provider": "builtin", "data": str(folder), "track": False, **settings}))
        return bench_run(file, params, lambda _: None)

    return running


@pytest.fixture
def model(run: Run, model_server: ModelServer) -> Run:
    """The same, with the scripted endpoint for a provider."""

    def running(name: str = "mine", **settings: object) -> BenchReport:
        told = {"provider": "openai-compatible", "url": model_server.url, "model": "m", "key_env": "THE_KEY"}
        return run(name, **{**told, "retries": 0, "timeout_seconds": 5, **settings})

    return running


def blames_the_first(visit: Visit) -> None:
    """Answer that a full disk of the first suspect is the cause, where there is one, and say the caller's key aloud."""
    said = [f"my key is {KEY}"]
    if "Suspects:\nc1" not in visit.server.bodies[-1]["messages"][1]["content"]:
        answers(written(missing=said))(visit)
        return
    cause = {"suspect": "c1", "fault_kind": "disk"}
    because = {**cause, "because": said[0], "supporting": ["e1"], "contradicting": []}
    actions = ["clean_disk", "restart_workload"]
    answers(written(verdict="cause_found", symptoms=["e1"], hypotheses=[because], causes=[cause], actions=actions))(visit)
