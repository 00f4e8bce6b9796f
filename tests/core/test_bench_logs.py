"""Grouping is scored by whole groups, and only where the truth is known."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from deployment.cli import main
from mimir_core.config import read_params
from mimir_core.errors import InputError
from mimir_core.evaluation.logs import score_groups
from tasks import paths
from tasks.bench_logs import bench_logs

ROWS = [
    {"content": "opened 10.0.0.1", "event_id": "E1", "event_id_corrected": "E1"},
    {"content": "opened 10.0.0.2", "event_id": "E1", "event_id_corrected": "E1"},
    {"content": "disk is full", "event_id": "E2", "event_id_corrected": "E2"},
]


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


def test_a_group_with_one_stray_line_does_not_count() -> None:
    assert score_groups([1, 1, 1, 2], ["a", "a", "b", "c"]) == {"grouping_accuracy": 0.25, "group_f1": 0.4}
    assert score_groups(["x", "x"], [7, 7]) == {"grouping_accuracy": 1.0, "group_f1": 1.0}


def test_nothing_to_score_is_an_error_not_a_zero() -> None:
    with pytest.raises(InputError, match="0 groups found for 0 lines"):
        score_groups([], [])
    with pytest.raises(InputError, match="1 groups found for 2 lines"):
        score_groups([1], ["a", "b"])


def test_every_method_is_measured_and_a_file_without_truth_is_unscored(tmp_path: Path) -> None:
    write(tmp_path / "known.jsonl", ROWS)
    (tmp_path / "unknown.jsonl.gz").write_bytes(gzip.compress(b'{"content": "opened 10.0.0.1"}\n'))
    report = bench_logs(tmp_path, read_params(paths.PARAMS), lambda _: None)
    known, unknown = report["systems"]["known"], report["systems"]["unknown"]
    assert known["methods"]["ours"]["event_id_corrected"] == {"grouping_accuracy": 1.0, "group_f1": 1.0}
    assert known["methods"]["every line its own group"]["event_id"]["grouping_accuracy"] == pytest.approx(1 / 3)
    assert set(known["methods"]) == set(report["mean"]) >= {"drain3 defaults", "first token + length"}
    assert (known["scored"], unknown["scored"]) == (True, False)
    assert unknown["methods"]["ours"]["groups"] == 1
    assert report["mean"]["ours"]["event_id"]["grouping_accuracy"] == 1.0


def test_a_truth_that_some_lines_lack_scores_nothing(tmp_path: Path) -> None:
    write(tmp_path / "half.jsonl", [*ROWS, {"content": "bye"}])
    report = bench_logs(tmp_path, read_params(paths.PARAMS), lambda _: None)
    assert not report["systems"]["half"]["scored"]
    assert report["mean"]["ours"] == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"content": "a"}\n{"message": "b"}\n', r"x\.jsonl: line 2: has no text as content"),
        ("no json\n", r"x\.jsonl: line 1: is not JSON"),
        ("[]\n", r"x\.jsonl: line 1: has no text as content"),
        ("", r"x\.jsonl: holds no line"),
    ],
)
def test_a_line_that_is_no_log_line_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        bench_logs(tmp_path, read_params(paths.PARAMS), lambda _: None)


def test_a_file_that_is_not_compressed_and_an_empty_folder_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no \*\.jsonl"):
        bench_logs(tmp_path, read_params(paths.PARAMS), lambda _: None)
    (tmp_path / "x.jsonl.gz").write_text("plain")
    with pytest.raises(InputError, match="cannot be read"):
        bench_logs(tmp_path, read_params(paths.PARAMS), lambda _: None)


def test_the_command_shows_a_row_a_system_and_writes_everything(tmp_path: Path) -> None:
    write(tmp_path / "known.jsonl", ROWS)
    out = tmp_path / "report.json"
    shown = CliRunner().invoke(main.app, ["bench", "logs", str(tmp_path), "--json", str(out)])
    assert shown.exit_code == 0, shown.output
    assert "1.000 (1.000)" in shown.stdout
    assert json.loads(out.read_text())["systems"]["known"]["lines"] == 3
