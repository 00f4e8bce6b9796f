"""``mimir bench rca`` on small systems in which one component fails."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from deployment.cli import main
from mimir_core.config import read_params
from mimir_core.errors import InputError
from tasks import paths
from tasks.bench_rca import RcaOptions, bench_rca
from tasks.rca_checks import Checks, sum_up

START, STEP, ROWS = 1_780_000_000, 60, 40
COMPONENTS = ("gate", "cart", "stock", "mail")
PARAMS = read_params(paths.PARAMS)
runner = CliRunner()


def write_case(
    folder: Path,
    name: str = "c0",
    broken: str = "stock",
    failed_row: int = 30,
    **keys: Any,
) -> Path:
    """One component gets slow and busy; its callers get a little slower."""
    case = folder / name
    case.mkdir(parents=True)
    noise = np.random.default_rng(int(name[1:]))
    after = np.arange(ROWS) >= failed_row
    columns: dict[str, Any] = {"time": START + STEP * np.arange(ROWS)}
    for component in COMPONENTS:
        columns[f"{component}_cpu_percent"] = 20 + noise.normal(0, 1, ROWS) + 60 * after * (component == broken)
        columns[f"{component}_latency_p95_ms"] = 50 + noise.normal(0, 1, ROWS) + after * (400 if component == broken else 0)
    pd.DataFrame(columns).to_parquet(case / "metrics.parquet")
    known = {
        "case_id": name,
        "dataset": folder.name,
        "services": COMPONENTS,
        "alert": {"title": "slow", "starts_at": START + STEP * (failed_row + 1)},
        "inject_time": START + STEP * failed_row,
        "root_cause_service": broken,
        "fault_type": "cpu_load",
    }
    (case / "case.json").write_text(json.dumps({key: value for key, value in (known | keys).items() if value is not None}))
    return case


def run(*folders: Path, **options: Any) -> dict[str, Any]:
    return bench_rca(folders, RcaOptions(**options), PARAMS, lambda _: None)


def answers(report: dict[str, Any]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key not in ("ms", "read_ms", "scored")} for row in report["cases"]]


def test_methods_are_scored_on_the_same_cases(tmp_path: Path) -> None:
    for number, broken in enumerate(("stock", "cart", "mail")):
        write_case(tmp_path / "shop", f"c{number}", broken)
    report = run(tmp_path / "shop")
    methods, facts = report["methods"]["shop"]["+0 s"], report["datasets"]["shop"]["+0 s"]
    assert {name: figures["AC@1"]["value"] for name, figures in methods.items()} == {
        "ours": 1,
        "N-sigma": 1,
        "BARO": 1,
        "prior (knows truths)": 0,
        "random": 0.25,
    }
    assert facts["first_right_by_fault_type"] == {"cpu_load": "3/3"}
    assert facts["ahead_of_best_baseline"]["AC@1"]["value"] == 0
    assert abs(facts["onset_error_seconds"]["median"]) <= STEP
    assert report["calibration"]["+0 s"]["cases"] == 3
    assert [sorted(row["ranking"]) for row in report["cases"]] == [sorted(COMPONENTS)] * 3


def test_each_lateness_is_a_run_of_its_own(tmp_path: Path) -> None:
    write_case(tmp_path / "shop")
    report = run(tmp_path / "shop", late_seconds=(0, 120))
    assert [row["told"] for row in report["cases"]] == list(report["methods"]["shop"]) == ["+0 s", "+120 s"]


def test_without_a_time_told_the_failure_time_changes_no_answer(tmp_path: Path) -> None:
    write_case(tmp_path / "with" / "shop")
    write_case(tmp_path / "without" / "shop", inject_time=None)
    told, untold = (run(tmp_path / name / "shop", tells_time=False) for name in ("with", "without"))
    assert answers(told) == answers(untold)
    assert untold["cases"][0]["onset"] is not None


def test_a_wrong_truth_changes_figures_and_no_answer(tmp_path: Path) -> None:
    write_case(tmp_path / "true" / "shop")
    wrong = {"root_cause_metric": "mail_cpu_percent", "root_cause_pod": "mail-0", "explanation": "it was mail"}
    write_case(tmp_path / "false" / "shop", **wrong, root_cause_service="mail", fault_type="memory")
    true, false = (run(tmp_path / name / "shop") for name in ("true", "false"))
    assert answers(true) == answers(false)
    assert true["methods"]["shop"]["+0 s"]["ours"]["AC@1"]["value"] == 1
    assert false["methods"]["shop"]["+0 s"]["ours"]["AC@1"]["value"] == 0


def test_where_the_truth_is_a_commit_the_engine_is_told_the_time_of_the_alert(tmp_path: Path) -> None:
    case = write_case(tmp_path / "shop", root_cause_commit="c1ffee00")
    deploys = [("c0ffee00", "cart", 5), ("c1ffee00", "stock", 28), ("c2ffee00", "mail", 39)]
    changes = {
        "commits": [{"sha": sha, "timestamp": START + STEP * row, "message": "change"} for sha, _, row in deploys],
        "deploys": [{"commit_sha": sha, "service": service, "timestamp": START + STEP * row} for sha, service, row in deploys],
        "flags": [],
    }
    (case / "changes.json").write_text(json.dumps(changes))
    report = run(tmp_path / "shop")
    facts = report["datasets"]["shop"]["alert"]
    assert report["cases"][0]["told"] == "alert"
    assert facts["onset_error_seconds"] == {}
    commits = facts["commits"]
    assert (commits["cases"], commits["always none"], commits["last deploy"]) == (1, 0, 1)
    assert report["cases"][0]["commit"] in ("none", "c0ffee00", "c1ffee00")


def test_no_changes_recorded_is_no_commit_and_not_none(tmp_path: Path) -> None:
    write_case(tmp_path / "shop", root_cause_commit="c1")
    report = run(tmp_path / "shop")
    assert report["cases"][0]["commit"] is None
    assert report["datasets"]["shop"]["alert"]["commits"] == {}


def test_a_case_without_truth_is_ranked_and_unscored(tmp_path: Path) -> None:
    write_case(tmp_path / "shop", "c0")
    write_case(tmp_path / "shop", "c1", root_cause_service=None)
    write_case(tmp_path / "bare", root_cause_service=None)
    report = run(tmp_path / "shop", tmp_path / "bare")
    assert [(row["scored"], len(row["ranking"])) for row in report["cases"]] == [(True, 4), (False, 4), (False, 4)]
    assert [report["datasets"][name]["+0 s"]["unscored"] for name in ("shop", "bare")] == [1, 1]
    assert report["calibration"]["+0 s"]["cases"] == 1
    assert report["methods"]["bare"]["+0 s"] == {}


def test_a_truth_that_was_never_seen_is_a_miss_and_said(tmp_path: Path) -> None:
    write_case(tmp_path / "shop", root_cause_service="elsewhere")
    report = run(tmp_path / "shop")
    assert report["datasets"]["shop"]["+0 s"]["truth_never_seen"] == 1
    assert all(figures["AC@5"]["value"] == 0 for figures in report["methods"]["shop"]["+0 s"].values())


def write_expected(case: Path, **truth: Any) -> None:
    known = json.loads((case / "case.json").read_text())
    kept = {key: known[key] for key in ("services", "alert")}
    (case / "case.json").write_text(json.dumps(kept))
    (case / "expected.yaml").write_text(yaml.safe_dump(truth))


def test_of_two_faults_either_counts(tmp_path: Path) -> None:
    causes = [{"component": "mail", "fault_kind": "disk"}, {"component": "stock", "fault_kind": "cpu"}]
    write_expected(write_case(tmp_path / "drawn"), verdict="cause_found", causes=causes, onset=None, change=None)
    report = run(tmp_path / "drawn")
    assert report["cases"][0]["ranking"][0] == "stock"
    assert report["methods"]["drawn"]["alert"]["ours"]["AC@1"]["value"] == 1


def test_a_healthy_case_is_asked_for_false_alarms_and_not_scored(tmp_path: Path) -> None:
    write_expected(write_case(tmp_path / "drawn", failed_row=ROWS), verdict="healthy", causes=[], onset=None, change=None)
    facts = run(tmp_path / "drawn")["datasets"]["drawn"]["alert"]
    assert (facts["unscored"], facts["healthy"]["cases"]) == (1, 1)


@pytest.mark.parametrize(("failed_row", "asked"), [(19, 0), (20, 1)])
def test_the_time_before_a_failure_is_asked_for_false_alarms_where_it_is_long_enough(
    tmp_path: Path, failed_row: int, asked: int
) -> None:
    write_case(tmp_path / "shop", failed_row=failed_row)
    assert run(tmp_path / "shop")["checks"]["shop"]["quiet_times"]["cases"] == asked


def test_other_names_and_constants_are_tried_on_request(tmp_path: Path) -> None:
    write_case(tmp_path / "shop")
    checks = run(tmp_path / "shop", rename_seed=3, perturbations=2)["checks"]["shop"]
    assert checks["same_when_renamed"] == {"cases": 1, "same": 1}
    assert checks["ac@1_when_perturbed"] == {"mean": 1, "min": 1}


def test_constants_are_also_taken_from_where_they_are_not_tested() -> None:
    first_is_best = Checks(raises_false_alarm=None, is_same_renamed=None, right_when_perturbed=[True, False])
    second_is_best = Checks(raises_false_alarm=None, is_same_renamed=None, right_when_perturbed=[False, True])
    figures = sum_up({"shop": [first_is_best], "bank": [second_is_best, first_is_best, second_is_best]})
    assert figures["shop"]["ac@1_with_constants_best_elsewhere"] == 0
    assert figures["bank"]["ac@1_with_constants_best_elsewhere"] == pytest.approx(1 / 3, abs=1e-4)


def test_a_folder_without_cases_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty" / "notes").mkdir(parents=True)
    with pytest.raises(InputError, match="empty: holds no case folder"):
        run(tmp_path / "empty")


def test_the_same_case_twice_is_an_error(tmp_path: Path) -> None:
    write_case(tmp_path / "shop")
    with pytest.raises(InputError, match="is case 'c0' of 'shop', too"):
        run(tmp_path / "shop", tmp_path / "shop")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("metrics.parquet", "no table"),
        ("case.json", "{"),
        ("expected.yaml", "causes: [{component: mail, fault_kind: gremlins}]"),
        ("expected.yaml", "[]"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, file: str, content: str) -> None:
    (write_case(tmp_path / "shop") / file).write_text(content)
    with pytest.raises(InputError, match=rf"c0.*{file}"):
        run(tmp_path / "shop")


def test_the_command_prints_a_table_and_writes_the_rankings(tmp_path: Path) -> None:
    write_case(tmp_path / "shop")
    shown = runner.invoke(main.app, ["bench", "rca", str(tmp_path / "shop"), "--json", str(tmp_path / "report.json")])
    assert shown.exit_code == 0
    assert "shop, told: +0 s" in shown.stdout
    assert {"case_id", "dataset", "ranking", "confidence", "fault_kind", "commit", "ms", "onset"} <= set(
        json.loads((tmp_path / "report.json").read_text())["cases"][0]
    )


def test_a_lateness_that_is_no_number_is_wrong_usage(tmp_path: Path) -> None:
    write_case(tmp_path / "shop")
    assert runner.invoke(main.app, ["bench", "rca", str(tmp_path / "shop"), "--late", "soon"]).exit_code == 2
