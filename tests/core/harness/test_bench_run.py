"""Every case is answered, nobody is credited with another's answer, and a key stands nowhere."""

import json
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
from bench_cases import KEY, Run, blames_the_first
from model_server import ModelServer, Visit, answers, breaks_off, drips, floods, hangs, says
from typer.testing import CliRunner

from deployment.cli import main
from mimir_core.errors import InputError, ParamsError
from mimir_core.harness.report import BenchReport
from tasks import paths
from tasks.files import read_document

runner = CliRunner()


def test_the_built_in_reasoner_needs_nobody_and_costs_nothing(run: Run) -> None:
    report = run()
    first, unknown, _ = report.cases
    assert [case.case for case in report.cases] == ["blue-fox", "green-elk", "red-owl.json"]
    assert list(first.stages) == ["correlation", "rca", "remediation", "executor"]
    assert (first.figures["rca.root_cause"], unknown.figures["rca.root_cause"]) == (True, None)
    assert (first.figures["rca.cost_per_1000"], report.summary["cost"]["total"], report.prompt_version) == (0, 0, None)
    assert set(report.summary["beside"]["all"]) == {"alerting_service"}


def test_a_model_is_scored_beside_others_and_its_tokens_are_paid(model: Run, model_server: ModelServer) -> None:
    model_server.script = [blames_the_first]
    report = model(price_per_million={"input": 1000, "output": 10_000})
    first, *_, empty = report.cases
    assert (first.figures["rca.root_cause"], first.figures["rca.verdict"], first.figures["rca.degraded"]) == (
        True,
        True,
        False,
    )
    assert (empty.figures["rca.verdict"], empty.figures["rca.category"], empty.figures["rca.invented_cause"]) == (
        False,
        False,
        False,
    )
    asked = len(model_server.bodies)
    assert report.summary["cost"] == {"input_tokens": 30 * asked, "output_tokens": 4 * asked, "total": round(asked * 0.07, 6)}
    assert list(first.stages["rca"].beside) == ["with_fallback", "builtin", "alerting_service"]
    assert model(name="free").summary["cost"]["total"] is None


@pytest.mark.parametrize(
    "deed",
    [
        *(says(500), says(401), says(429, Retry_After="60"), says(200, b"<html>"), says(200, b""), answers("no JSON")),
        *(hangs, drips, floods, breaks_off),
    ],
    ids=["500", "401", "429", "html", "nothing", "no steps", "hangs", "drips", "floods", "breaks off"],
)
def test_an_endpoint_that_fails_leaves_every_case_answered_and_gets_no_credit(
    model: Run, model_server: ModelServer, deed: Callable[[Visit], None]
) -> None:
    model_server.script = [deed]
    report = model(timeout_seconds=0.3, concurrency=3)
    first = report.cases[0]
    assert len(report.cases) == 3
    assert sum(report.summary["degraded"].values()) == 3
    assert all("no answer of the model can stand" in reason for reason in report.summary["degraded"])
    assert (first.figures["rca.root_cause"], first.figures["remediation.right_action"]) == (False, False)
    assert first.figures["executor.executable"] is None
    assert first.stages["rca"].beside["with_fallback"]["root_cause"] is True
    assert first.stages["rca"].result["causes"] == [["web", "disk"]]


def test_the_key_is_sent_and_stands_in_no_output(
    model: Run, model_server: ModelServer, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    model_server.script = [blames_the_first, says(401, f'{{"error": "wrong key {KEY}"}}'.encode()), blames_the_first]
    report = model(track=True)
    assert f"Bearer {KEY}" in {headers.get("Authorization", headers.get("authorization")) for headers in model_server.headers}
    kept = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert {"report.json", "talks.jsonl", "diagnoses.jsonl", "mlflow.db"} <= {file.name for file in kept}
    assert not [file for file in kept if KEY.encode() in file.read_bytes()]
    assert KEY not in report.model_dump_json() + caplog.text + "".join(capfd.readouterr())
    assert "my key is ***" in (paths.BENCH_RUNS / "mine" / "talks.jsonl").read_text()


def test_what_was_asked_and_answered_is_kept(model: Run, model_server: ModelServer) -> None:
    model_server.script = [blames_the_first, says(500)]
    report = model()
    talks = [json.loads(line) for line in (paths.BENCH_RUNS / "mine" / "talks.jsonl").read_text().splitlines()]
    assert {talk["prompt_version"] for talk in talks} == {report.prompt_version}
    assert [message["role"] for message in talks[0]["messages"]] == ["system", "user"]
    assert '"cause_found"' in talks[0]["text"]
    assert any(talk["failed"] and "500" in talk["failed"] for talk in talks)
    assert read_document(paths.BENCH_RUNS / "mine" / "report.json", BenchReport) == report


def test_mlflow_shows_parameters_prompts_outputs_and_figures(model: Run, model_server: ModelServer) -> None:
    model_server.script = [blames_the_first]
    report = model(track=True)
    client = mlflow.MlflowClient(f"sqlite:///{paths.MLFLOW / 'mlflow.db'}")
    [experiment] = client.search_experiments(filter_string="name = 'bench'")
    [shown] = client.search_runs([experiment.experiment_id])
    assert (shown.info.run_name, shown.info.status) == ("mine", "FINISHED")
    assert shown.data.params["provider"] == "openai-compatible"
    assert shown.data.params["prompt_version"] == report.prompt_version
    assert {item.path for item in client.list_artifacts(shown.info.run_id)} == {"report.json", "talks.jsonl", "diagnoses.jsonl"}
    figures = shown.data.metrics
    assert (figures["rca.root_cause"], figures["rca.root_cause.builtin"]) == (1.0, 1.0)
    assert {"rca.seconds_p50", "rca.seconds_p95", "mttd_median_seconds", "total_input_tokens"} <= set(figures)
    assert "total_total" not in figures


def test_an_mlflow_that_is_away_costs_a_warning(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert len(run(track=True).cases) == 3
    assert "mlflow: mine is not shown" in caplog.text


def test_fewer_stages_are_fewer_questions(model: Run, model_server: ModelServer) -> None:
    report = model(stages=["correlation"])
    assert not model_server.bodies
    assert (list(report.cases[0].stages), report.summary["times"], report.prompt_version) == (["correlation"], {}, None)


def test_a_case_that_cannot_be_read_costs_that_case(run: Run, folder: Path) -> None:
    (folder / "white-eel").mkdir()
    (folder / "white-eel" / "alert.json").write_text("{broken")
    report = run()
    assert len(report.cases) == 3
    assert "alert.json" in report.unread["white-eel"]


@pytest.mark.parametrize(
    "truth",
    ["verdict: perhaps\n", "causes: [{component: web}]\n", "actions: [sudo_rm]\n", "resolved_at: soon\n", "- a\n", "a: ]\n"],
)
def test_a_truth_that_makes_no_sense_is_named_before_anybody_is_asked(
    model: Run, model_server: ModelServer, folder: Path, truth: str
) -> None:
    (folder / "green-elk" / "expected.yaml").write_text(truth)
    with pytest.raises(InputError, match="green-elk"):
        model()
    assert not model_server.bodies


def test_a_key_that_is_not_in_the_environment_is_missed_at_once(model: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("THE_KEY")
    with pytest.raises(ParamsError, match="mine: key_env: the environment has no variable of this name"):
        model()


def test_a_folder_without_cases_is_named(run: Run) -> None:
    with pytest.raises(InputError, match="no-such-folder: holds no case folder"):
        run(data="no-such-folder")


def test_the_commands_print_tables_and_write_json(folder: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(f"provider: builtin\ndata: {folder}\ntrack: false\n")
    one, both = tmp_path / "one.json", tmp_path / "both.json"
    done = runner.invoke(main.app, ["bench", "run", str(tmp_path / "one.yaml"), "--json", str(one)])
    assert done.exit_code == 0, done.output
    assert "root cause named first" in done.output
    done = runner.invoke(main.app, ["bench", "compare", str(one), str(tmp_path / "two.yaml"), "--json", str(both)])
    assert done.exit_code == 0, done.output
    assert "not told apart" in done.output
    assert json.loads(both.read_text())["differences"]["two"]["rca.root_cause"] == {
        "difference": 0.0,
        "interval": [0.0, 0.0],
        "cases": 1,
    }
    assert runner.invoke(main.app, ["bench", "compare", str(one)]).exit_code == 2
