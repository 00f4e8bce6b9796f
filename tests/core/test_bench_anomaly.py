"""Figures about flags say what they say; a file that is no series is named with its line."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from deployment.cli import main
from mimir_core.errors import InputError
from mimir_core.evaluation.anomaly import baselines, count, f1, summarize
from tasks.bench_anomaly import read_series

runner = CliRunner()


def flags(text: str) -> np.ndarray:
    return np.array([sign == "x" for sign in text])


def write_series(path: Path, labelled: bool = True) -> None:
    values = 100 + np.random.default_rng(8).normal(0, 1, 400)
    values[300] = 200
    lines = [f"{1.7e9 + at * 3600:.0f},{value}" + (f",{int(at == 300)}" if labelled else "") for at, value in enumerate(values)]
    text = "\n".join(["time,value,label" if labelled else "time,value", *lines])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


def test_a_segment_counts_once_however_often_it_is_hit() -> None:
    found = count(flags("x.x....x"), flags("xxxx.xx."))
    assert (found.hit_segments, found.missed_segments, found.false_segments) == (1, 1, 1)
    assert (found.true_points, found.false_points, found.missed_points) == (2, 1, 4)


def test_a_flagged_segment_that_touches_a_label_is_not_false() -> None:
    assert count(flags(".xxx"), flags("...x")).false_segments == 0


def test_figures_add_up_over_series_and_the_interval_holds_them() -> None:
    rows = [count(flags("xx.."), flags("x...")), count(flags("...."), flags("..xx")), count(flags("x..."), flags("x..."))]
    figures = summarize(rows, days=2)
    assert figures["point_f1"] == round(f1(2, 1, 2), 4)
    assert figures["segment_f1"] == round(f1(2, 0, 1), 4)
    assert figures["false_points_per_day"] == 0.5
    low, high = figures["point_f1_interval"]
    assert low <= figures["point_f1"] <= high
    assert low < high


def test_flagging_nothing_scores_nothing_and_has_no_precision() -> None:
    figures = summarize([count(flags("...."), flags("..xx"))], days=1)
    assert (figures["point_f1"], figures["segment_f1"], figures["point_precision"]) == (0, 0, None)


def test_the_baselines_are_what_they_are_called() -> None:
    values = np.arange(1000.0)
    found = {name: guess(values) for name, guess in baselines(0.1).items()}
    assert not found["nothing"].any()
    assert found["everything"].all()
    assert 50 < found["random"].sum() < 150
    assert found["static"].sum() == 503


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\x89PNG\x00\xff\xfe", "is no csv"),
        (b"", "is no csv"),
        (b"time,value\n", "holds no point"),
        (b"time,level\n1,2\n", "line 1: has no column 'value'"),
        (b"time,value\n1,2\n2,high\n", "line 3: is no number: 'high'"),
        (b"time,value\n1,2\n\n3,4\n", "line 3: is no time"),
        (b"time,value\n1,inf\n", "line 2: is no number: 'inf'"),
        (b"time,value\n1,2\nsoon,3\n", "line 3: is no time: 'soon'"),
        (b"time,value\n1,2\n5,2\n4,3\n", "line 4: the times go back: '4'"),
        (b"time,value,label\n1,2,0\n2,2,yes\n", "line 3: is no number: 'yes'"),
    ],
)
def test_a_file_that_is_no_series_is_named_with_its_line(content: bytes, says: str, tmp_path: Path) -> None:
    file = tmp_path / "load.csv"
    file.write_bytes(content)
    with pytest.raises(InputError, match=rf"load\.csv: {says}"):
        read_series(file)


def test_a_broken_archive_is_no_series(tmp_path: Path) -> None:
    file = tmp_path / "load.csv.gz"
    file.write_bytes(gzip.compress(b"time,value\n" + b"1,2\n" * 999)[:30])
    with pytest.raises(InputError, match="is no csv"):
        read_series(file)


def test_dates_are_times_and_an_empty_cell_is_a_missing_value(tmp_path: Path) -> None:
    file = tmp_path / "load.csv"
    file.write_text("time,value\n2026-03-01T00:00:00Z,1\n2026-03-01T00:01:00Z,\n2026-03-01T00:01:00Z,3\n")
    found = read_series(file)
    assert found.name == "load"
    assert np.diff(found.times).tolist() == [60, 0]
    assert np.isnan(found.values).tolist() == [False, True, False]
    assert found.labels is None


def test_the_command_scores_what_is_labelled_and_flags_the_rest(tmp_path: Path) -> None:
    write_series(tmp_path / "data" / "shop" / "orders.csv.gz")
    write_series(tmp_path / "data" / "other" / "load.csv", labelled=False)
    done = runner.invoke(main.app, ["bench", "anomaly", str(tmp_path / "data"), "--json", str(tmp_path / "out.json")])
    assert done.exit_code == 0, done.output
    assert "1 series scored, 1 without labels" in done.stdout
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["datasets"]["shop"]["combined"]["hit_segments"] == 1
    assert report["datasets"]["shop"]["nothing"]["missed_segments"] == 1
    assert report["datasets"]["other"]["combined"] == {"series": 0}
    by_name = {row["series"]: row for row in report["series"]}
    assert by_name["load"]["unscored"]
    for row in by_name.values():
        assert 300 in row["flagged"]
        assert len(row["flagged"]) == len(row["flagged_times"])


def test_a_folder_is_a_data_set_by_itself(tmp_path: Path) -> None:
    write_series(tmp_path / "orders.csv")
    done = runner.invoke(main.app, ["bench", "anomaly", str(tmp_path)])
    assert done.exit_code == 0
    assert tmp_path.name in done.stdout


def test_a_folder_without_series_is_an_error(tmp_path: Path) -> None:
    done = runner.invoke(main.app, ["bench", "anomaly", str(tmp_path)])
    assert isinstance(done.exception, InputError)
    assert "holds no *.csv" in str(done.exception)
