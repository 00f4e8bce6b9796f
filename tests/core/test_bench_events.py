"""``mimir bench events`` on a small system whose instances fail in turn."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from deployment.cli import main
from mimir_core.config import EventSettings
from mimir_core.errors import InputError
from tasks.bench_events import bench_events

SETTINGS = EventSettings(pseudo_count=0.5, norm=2.0, log_weight=2.0)
INSTANCES = ["gate-0", "cart-0", "stock-0", "mail-0"]


def case(number: int) -> dict[str, Any]:
    """The gate always complains most; the instance at fault shows what only it shows."""
    broken = INSTANCES[number % len(INSTANCES)]
    always = [["gate-0", name, "up"] for name in ("p50", "p90", "errors", "sessions")]
    return {
        "case_id": f"case-{number}",
        "nodes": INSTANCES,
        "edges": [["gate-0", name] for name in INSTANCES[1:]],
        "events": {
            "metrics": [*always, [broken, "cpu_usage", "up"]],
            "traces": [["gate-0", broken, "GET", "500"]],
            "logs": [*(["gate-0", number] for number in range(4)), [broken, f"{broken}-7"]],
        },
        "root_cause_instance": broken,
    }


def write(path: Path, cases: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(entry) + "\n" for entry in cases))
    return path


def run(*files: Path, rename: int | None = None) -> dict[str, Any]:
    return bench_events(files, SETTINGS, rename, lambda _: None)


def test_the_rare_events_find_what_the_many_events_miss(tmp_path: Path) -> None:
    report = run(write(tmp_path / "shop.jsonl", [case(number) for number in range(24)]))
    methods, system = report["methods"]["shop"], report["systems"]["shop"]
    assert methods["surprise"]["AC@1"]["value"] == 1
    assert methods["most events"]["AC@1"]["value"] == methods["random"]["AC@1"]["value"] == 0.25
    assert methods["prior (knows truths)"]["AC@1"]["value"] == 0
    best = methods[system["best_baseline"]]["AC@1"]["value"]
    assert system["ahead_of_best_baseline"]["AC@1"]["value"] == pytest.approx(1 - best)
    assert system["history"] == {"0": 0.25, "5": 1, "10": 1, "20": 1, "all": 1}
    assert system["sensitivity"]["min"] == 1
    assert report["cases"][1]["fault_kind"] == "cpu"


def test_the_truth_changes_figures_and_no_answer(tmp_path: Path) -> None:
    cases = [case(number) for number in range(8)]
    told = run(write(tmp_path / "shop.jsonl", cases))
    untold = run(write(tmp_path / "shop.jsonl", [{**entry, "root_cause_instance": None} for entry in cases]))
    answers = [[{**row, "ms": 0} for row in report["cases"]] for report in (told, untold)]
    assert answers[0] == answers[1]
    assert (untold["systems"]["shop"]["unscored"], untold["methods"]) == (8, {})


def test_a_case_without_truth_is_ranked_and_unscored(tmp_path: Path) -> None:
    cases = [case(number) for number in range(8)]
    del cases[0]["root_cause_instance"]
    report = run(write(tmp_path / "shop.jsonl", cases))
    assert len(report["cases"]) == 8
    assert sorted(report["cases"][0]["ranking"]) == sorted(INSTANCES)
    assert (report["systems"]["shop"]["unscored"], report["systems"]["shop"]["calibration"]["cases"]) == (1, 7)


def test_other_names_give_the_same_ranking(tmp_path: Path) -> None:
    file = write(tmp_path / "shop.jsonl", [case(number) for number in range(8)])
    plain, renamed = run(file), run(file, rename=7)
    assert renamed["systems"]["shop"]["same_when_renamed"] == 8
    assert [row["ranking"] for row in renamed["cases"]] == [row["ranking"] for row in plain["cases"]]


def test_incidents_of_one_system_are_no_history_of_another(tmp_path: Path) -> None:
    cases = [case(number) for number in range(8)]
    shop = write(tmp_path / "shop.jsonl", cases)
    alone, beside = run(shop), run(shop, write(tmp_path / "copy.jsonl", cases))
    assert [row["confidence"] for row in alone["cases"]] == [row["confidence"] for row in beside["cases"][:8]]


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "shop.jsonl", [case(0)])
    with pytest.raises(InputError, match="another file is called shop too"):
        run(file, file)


def test_a_single_incident_is_answered_without_history(tmp_path: Path) -> None:
    report = run(write(tmp_path / "shop.jsonl", [case(0)]))
    assert report["systems"]["shop"]["history"] == {"all": 1.0}


def test_the_command_prints_a_table_and_writes_every_answer(tmp_path: Path) -> None:
    file, out = write(tmp_path / "shop.jsonl", [case(number) for number in range(8)]), tmp_path / "out.json"
    done = CliRunner().invoke(main.app, ["bench", "events", str(file), "--json", str(out), "--rename", "3"])
    assert done.exit_code == 0, done.output
    assert "ahead of" in done.output
    report = json.loads(out.read_text())
    assert set(report["cases"][0]) == {"system", "case_id", "ranking", "confidence", "fault_kind", "ms"}
    assert report["methods"]["shop"]["surprise"]["AC@1"]["value"] == 1
