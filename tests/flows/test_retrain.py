"""`retrain` and `mimir loop` with a real Prefect server and a real DVC, in a small project whose stages are a few lines."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.sorting import ArtifactSort

import flows.retrain
from deployment.cli.loop import print_measured
from flows.retrain import retrain
from flows.stages import show_curve
from mimir_core.errors import BackendError, InputError
from mimir_core.learning.gate import Verdict
from tasks import paths
from tasks.files import write_report
from tasks.loop import read_stages, run_loop

STAGE = """
import sys
from importlib import import_module
from pathlib import Path
from tasks.status import recorded
with recorded(sys.argv[1], Path("var/status")):
    import_module(sys.argv[1])
"""
# The last one stands first: the order is DVC's, not that of the file.
PIPELINE = """
stages:
  shrink:
    cmd: {python} stage.py shrink
    deps: [shrink.py, taught]
    outs: [small]
  teach:
    cmd: {python} stage.py teach
    deps: [teach.py, read]
    outs: [taught, reports/teach-loss.csv: {{cache: false}}]
    metrics: [reports/teach.json: {{cache: false}}]
  read:
    cmd: {python} stage.py read
    deps: [read.py]
    outs: [read]
"""
READ = "from pathlib import Path\nPath('read').write_text('x' * 3 * 2**20)"
TEACH = """
from pathlib import Path
import time
held = bytearray(150 * 2**20)
time.sleep(1)
Path("taught").write_text("a | b")
Path("reports/teach.json").write_text('{"loss": 1.5, "by": {"a|b": {"mib": 2}, "c": {"mib": 3}}}')
Path("reports/teach-loss.csv").write_text("step,train,dev\\n2,8.0,nan\\n4,3.0,4.5\\n")
"""
FAIL = "from mimir_core.errors import InputError\nraise InputError('line 7 is no chat')"
SHRINK = "from pathlib import Path\nPath('small').write_text('x')"

Write = Callable[[str, str], None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """A project with three stages; what it returns changes what a stage does."""
    (tmp_path / "stage.py").write_text(STAGE)
    (tmp_path / "dvc.yaml").write_text(PIPELINE.format(python=sys.executable))
    (tmp_path / "reports").mkdir()
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "--quiet"], cwd=tmp_path, check=True)
    with (tmp_path / ".dvc" / "config").open("a") as config:  # as in the project: else DVC's helpers count as the stage's
        config.write("    analytics = false\n    check_update = false\n")
    for name, folder in {"ROOT": "", "VAR": "var", "STATUS": "var/status", "REPORTS": "reports"}.items():
        monkeypatch.setattr(paths, name, tmp_path / folder)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")

    def body(stage: str, code: str) -> None:
        (tmp_path / f"{stage}.py").write_text(code)

    for stage, code in {"read": READ, "teach": TEACH, "shrink": SHRINK}.items():
        body(stage, code)
    return body


def shown(key: str) -> str:
    with get_client(sync_client=True) as client:
        keys = ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
        return str(client.read_artifacts(artifact_filter=keys, sort=ArtifactSort.CREATED_DESC)[0].data)


@pytest.mark.usefixtures("prefect_server", "write")
def test_the_stages_run_in_the_order_of_dvc_and_show_what_they_report() -> None:
    ended = retrain()
    assert [(stage.stage, stage.state) for stage in ended] == [(name, "Completed") for name in ("read", "teach", "shrink")]
    assert "| loss | 1.5 |" in shown("stage-teach")
    assert "| by | mib |\n| --- | --- |\n| a\\|b | 2 |\n| c | 3 |" in shown("stage-teach")
    assert "| train | 8.0 | 3.0 | 3.0 | █▁ |\n| dev | 4.5 | 4.5 | 4.5 | ▁ |" in shown("stage-teach-loss")
    assert "| 2 | 8.0 |  |\n| 4 | 3.0 | 4.5 |" in shown("stage-teach-loss")
    rows = json.loads(shown("retrain"))
    assert [(row["stage"], row["state"]) for row in rows] == [(stage.stage, stage.state) for stage in ended]
    assert float(rows[1]["seconds"]) >= 1


@pytest.mark.usefixtures("prefect_server")
def test_a_failure_ends_the_flow_with_its_class_and_place_and_nothing_after_it_is_run(write: Write) -> None:
    assert [stage.stage for stage in retrain("read")] == ["read"]
    write("teach", FAIL)
    state = retrain(return_state=True)
    assert state.is_failed()
    error = state.result(raise_on_failure=False)
    assert type(error) is InputError
    assert str(error) == "line 7 is no chat (teach.py:2)"
    rows = json.loads(shown("retrain"))
    assert [(row["stage"], row["state"]) for row in rows] == [("read", "Cached"), ("teach", "Failed"), ("shrink", "not run")]
    assert not (paths.ROOT / "small").exists()


@pytest.mark.usefixtures("write")
def test_a_target_takes_what_it_needs_with_it_and_an_unknown_one_is_an_error_that_names_the_others() -> None:
    assert [stage.name for stage in read_stages("teach")] == ["read", "teach"]
    with pytest.raises(InputError, match=r"dvc.yaml: no stage 'learn': there are shrink, teach, read"):
        read_stages("learn")


def test_the_loop_measures_each_stage_and_stops_at_the_first_that_fails(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []
    read, teach = run_loop("teach", said.append)
    assert (read.state, teach.state) == ("done", "done")
    assert read.outs_mib == 3.0
    assert 150 < teach.peak_mib < 600
    assert teach.seconds >= 1
    assert "".join(said).splitlines()[1] == f"2/2 teach ... {teach.seconds:.1f} s, done"

    write("teach", FAIL)
    read, teach = run_loop(None, said.append)
    assert (read.state, read.peak_mib) == ("cached", 0)
    assert teach.state == "failed"
    assert type(teach.error) is InputError
    assert json.loads((paths.VAR / "loop.json").read_text())[-1]["error"] == "line 7 is no chat (teach.py:2)"
    assert "line 7 is no chat" in (paths.VAR / "loop" / "teach.log").read_text()
    print_measured([read, teach])
    assert [line.split("│")[1].strip() for line in capsys.readouterr().out.splitlines() if "│" in line] == ["read", "teach"]


def test_a_long_curve_is_thinned_and_keeps_its_end_and_one_without_rows_is_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "curve.csv"
    file.write_text("step,train\n" + "".join(f"{step},{1000 - step}\n" for step in range(1000)))
    lines = show_curve(file).splitlines()
    assert len(lines) < 50
    assert lines[-1] == "| 999 | 1 |"
    file.write_text("step,train\n")
    assert show_curve(file) == ""


class ScriptedPromotion:
    """Stands for `tasks.models.promote`: does not answer so many times, then promotes version 3."""

    def __init__(self, failures: int) -> None:
        self.failures, self.asked = failures, 0

    def __call__(self, *_: object) -> int:
        self.asked += 1
        if self.asked <= self.failures:
            raise BackendError("mlflow: the model registry did not answer")
        return 3


@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize(
    ("decision", "failures", "champion"), [("promote", 0, "version 3"), ("promote", 1, "version 3"), ("refuse", 0, "builtin")]
)
def test_a_model_is_promoted_when_the_gate_says_so_and_only_then(
    write: Write, monkeypatch: pytest.MonkeyPatch, decision: str, failures: int, champion: str
) -> None:
    with (paths.ROOT / "dvc.yaml").open("a") as pipeline:
        pipeline.write(f"  gate: {{cmd: {sys.executable} stage.py gate, deps: [gate.py, small]}}\n")
    write("gate", "")
    told = {"decision": decision, "reason": "it said so", "challenger": "tuned", "champion": "builtin", "profile": "nano"}
    verdict = Verdict.model_validate({**told, "weights": "0" * 64, "cases_hash": "c0", "metric": "root_cause_top1", "rules": {}})
    write_report(paths.REPORTS / "gate.json", verdict.model_dump(mode="json"))
    promotion = ScriptedPromotion(failures)
    monkeypatch.setattr(flows.retrain, "promote", promotion)
    monkeypatch.setattr(flows.retrain, "heed_gate", flows.retrain.heed_gate.with_options(retry_delay_seconds=0))
    state = retrain(return_state=True)
    assert state.message == f"4 stages, 0 cached; champion: {champion}; it said so"
    assert shown("champion") == f"champion: {champion}; it said so\n"
    retrain("shrink")
    assert promotion.asked == (failures + 1 if decision == "promote" else 0)
