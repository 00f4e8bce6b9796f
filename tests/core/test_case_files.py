"""A case folder says how it is to be read, and nothing of its truth."""

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mimir_core.errors import InputError
from mimir_core.telemetry.files import read_case
from mimir_core.telemetry.times import parse_time

START = 1_780_000_000
SPANS = {
    "trace_id": ["t1", "t1"],
    "span_id": ["a", "b"],
    "parent_id": ["", "a"],
    "service": ["web", "cart"],
    "operation": ["GET /", "show"],
    "start_us": [START * 1_000_000, START * 1_000_000 + 5],
    "duration_us": [900, 300],
}


def write(folder: Path, case: object = None, **files: Any) -> Path:
    """A case with the series of two components; `traces__parquet` is a table, any other file a text."""
    folder.mkdir(parents=True)
    series = {"time": START + 60 * np.arange(4), "web_cpu_percent": [1.0, 2, 3, 4], "cart_cpu_percent": [5.0, 6, 7, 8]}
    tables = {"metrics__parquet": series} | {name: said for name, said in files.items() if name.endswith("__parquet")}
    for name, table in tables.items():
        if table is not None:
            pd.DataFrame(table).to_parquet(folder / name.replace("__", "."))
    for name in files.keys() - tables.keys():
        (folder / name.replace("__", ".")).write_text(files[name])
    (folder / "case.json").write_text(json.dumps({"services": ["web", "cart"]} if case is None else case))
    return folder


def test_truth_in_a_case_is_not_read(tmp_path: Path) -> None:
    known = {"services": ["web", "cart"], "alert": {"title": "slow", "starts_at": START + 120}}
    truth = {"root_cause_service": "cart", "root_cause_metric": "cpu", "inject_time": START + 60, "fault_type": "cpu_load"}
    blind = read_case(write(tmp_path / "one" / "c0", known))
    seeing = read_case(write(tmp_path / "two" / "c0", known | truth))
    assert seeing.metrics.equals(blind.metrics)
    assert (seeing.incident, seeing.statements, seeing.earlier_faults) == (blind.incident, [], ())
    assert "cart" not in str(seeing.incident)


def test_columns_are_told_by_the_case_or_by_the_longest_service_or_by_a_colon(tmp_path: Path) -> None:
    series = {"time": [START], "cart_cache_size": [1.0], "cart_size": [2.0], "x1": [3.0], "db:1:size": [4.0], "odd": [5.0]}
    case = {"services": ["cart", "cart_cache"], "columns": {"x1": ["mail", "queue"]}}
    row = read_case(write(tmp_path / "a", case, metrics__parquet=series)).metrics.iloc[0]
    assert row.to_dict() == {
        ("cart_cache", "size"): 1,
        ("cart", "size"): 2,
        ("mail", "queue"): 3,
        ("db:1", "size"): 4,
        ("unknown", "odd"): 5,
    }


@pytest.mark.parametrize(
    "columns",
    [{"m_q": "m"}, {"m_q": ["m", "q"]}, {"m_q": {"service": "m", "metric": "q"}}, [["m_q", "m"]], "columns.json"],
)
def test_a_column_is_told_in_several_notations(tmp_path: Path, columns: object) -> None:
    series = {"time": [START], "m_q": [1.0]}
    case = write(tmp_path / "a", {"columns": columns}, metrics__parquet=series, columns__json='{"m_q": "m"}')
    assert list(read_case(case).metrics.columns) == [("m", "q")]


def test_pods_of_one_workload_are_one_component(tmp_path: Path) -> None:
    series = {"time": [START], "web-7d9f8b6c54-x2k4p:cpu": [1.0], "web-7d9f8b6c54-b7w9c:cpu": [3.0], "s3-0:cpu": [5.0]}
    found = read_case(write(tmp_path / "a", metrics__parquet=series)).metrics
    assert {column: found[column].tolist() for column in found.columns} == {("web", "cpu"): [2.0], ("s3-0", "cpu"): [5.0]}


def test_a_baseline_lies_beside_the_cases(tmp_path: Path) -> None:
    write(tmp_path / "cases" / "usual", traces__parquet=SPANS)
    baseline = {"metrics.parquet": "../usual/metrics.parquet", "traces.parquet": "../usual/traces.parquet"}
    found = read_case(write(tmp_path / "cases" / "a", {"services": ["web", "cart"], "baseline": baseline}))
    assert found.reference.metrics.equals(found.metrics)
    assert (len(found.spans), len(found.reference.spans)) == (0, 2)


def test_a_baseline_inside_the_case_is_read_once_and_is_no_part_of_the_incident(tmp_path: Path) -> None:
    case = write(tmp_path / "a", {"baseline": {"logs.jsonl.gz": "baseline/logs.jsonl.gz"}})
    (case / "baseline").mkdir()
    (case / "baseline" / "logs.jsonl.gz").write_bytes(gzip.compress(b'{"component": "web", "message": "hello"}\n'))
    (case / "baseline" / "web.log").write_text("2026-01-01T00:00:00Z ERROR boom\n")
    found = read_case(case)
    assert ([said.text for said in found.reference.statements], found.statements) == (["hello"], [])
    assert found.dropped["file of unknown kind: .log"] == 1


@pytest.mark.parametrize("key", ["baseline", "graph", "columns"])
@pytest.mark.parametrize("named", ["../../elsewhere.json", "/etc/hostname"])
def test_a_file_outside_the_cases_folder_is_refused(tmp_path: Path, key: str, named: str) -> None:
    with pytest.raises(InputError, match=r"case.json: '.*' lies outside of the cases' folder"):
        read_case(write(tmp_path / "cases" / "a", {key: named}))


@pytest.mark.parametrize(
    ("case", "complaint"),
    [
        ([], "case.json: expected an object, got list"),
        ({"baseline": ["x"]}, r"case.json: baseline: expected a path or an object of paths, got \['x'\]"),
        ({"services": "web"}, "case.json: services: expected a list, got 'web'"),
        ({"earlier_faults_in_metrics_window": ["noon"]}, "case.json: earlier_faults_in_metrics_window: 'noon' is no time"),
        ({"graph": "lost.json"}, "lost.json: cannot be read as JSON"),
        ({"baseline": "lost.parquet"}, "baseline/metrics.parquet: is no readable parquet table"),
    ],
)
def test_a_bad_case_is_named(tmp_path: Path, case: object, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        read_case(write(tmp_path / "a", case))


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({"metrics__parquet": None, "metrics__csv": ""}, "metrics.csv: is no readable csv table"),
        ({"metrics__parquet": {"cpu": [1.0]}}, "metrics.parquet: line 1: no column `time`; the columns are cpu"),
        ({"metrics__parquet": {"time": [START]}}, "metrics.parquet: line 1: no series beside `time`"),
        ({"metrics__parquet": {"time": [START, 7], "a": [1, 2]}}, "metrics.parquet: row 2: column `time` holds no time: 7"),
        ({"metrics__csv": "time,a\n2026-01-01,1\nnoon,2\n"}, "metrics.csv: line 3: column `time` holds no time: 'noon'"),
        (
            {"traces__parquet": {"trace_id": ["t"], "x": [1]}},
            "traces.parquet: no column span, parent, .*; the columns are trace, x",
        ),
    ],
)
def test_a_bad_table_is_named(tmp_path: Path, files: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        read_case(write(tmp_path / "a", **files))


def test_what_only_calls_itself_parquet_is_named(tmp_path: Path) -> None:
    case = write(tmp_path / "a")
    (case / "traces.parquet").write_text("not at all")
    with pytest.raises(InputError, match=r"traces\.parquet: is no readable parquet table"):
        read_case(case)


def test_spans_without_a_number_or_a_name_are_dropped_and_counted(tmp_path: Path) -> None:
    told = SPANS | {"service": ["web", None], "error": [True, False]}
    assert (
        read_case(write(tmp_path / "a", traces__parquet=told)).dropped["spans without service, operation, start or duration"] == 1
    )
    told = SPANS | {"duration_us": ["900", "long"]}
    found = read_case(write(tmp_path / "b", traces__parquet=told))
    assert found.spans[["component", "duration_us", "is_error"]].to_numpy().tolist() == [["web", 900, False]]


def test_cells_rows_and_columns_that_say_nothing_new_are_counted(tmp_path: Path) -> None:
    table = "time,web_cpu,cart_cpu,cart:cpu\n2026-01-01,1,n/a,3\n2026-01-01,2,?,3\n2026-01-02,inf,5,3\n"
    found = read_case(write(tmp_path / "a", metrics__parquet=None, metrics__csv=table))
    assert dict(+found.dropped) == {
        "metrics.csv: cells that are no number": 1,  # `n/a` is how a missing value is written
        "metrics.csv: rows with a time that was there before": 1,
        "metrics.csv: series that were there before": 1,
    }
    assert found.metrics.isna().to_numpy().tolist() == [[False, True], [True, False]]


def test_earlier_faults_are_times(tmp_path: Path) -> None:
    found = read_case(write(tmp_path / "a", {"earlier_faults_in_metrics_window": [START, "2026-06-01T00:00:00Z"]}))
    assert found.earlier_faults == (datetime.fromtimestamp(START, UTC), datetime(2026, 6, 1, tzinfo=UTC))


def test_a_table_may_hold_times_as_times(tmp_path: Path) -> None:
    times = pd.date_range("2026-03-01 03:00", periods=2, freq="min", tz="Europe/Berlin")
    found = read_case(write(tmp_path / "a", metrics__parquet={"time": times, "web_cpu": [1.0, 2.0]}))
    assert found.metrics.index[0] == pd.Timestamp("2026-03-01T02:00:00Z")


@pytest.mark.parametrize("value", [None, True, [], {}, 12, "12:30:01", "now", "nan", "inf", 10**400, pd.NaT])
def test_what_is_no_time_is_none(value: object) -> None:
    assert parse_time(value) is None


@pytest.mark.parametrize(
    "value",
    [1772331240, "1772331240", 1772331240e3, 1772331240e9, np.int64(1772331240), "2026-03-01 02:14", "2026-03-01T03:14+01:00"],
)
def test_what_is_a_time_is_the_same_in_every_notation(value: object) -> None:
    assert parse_time(value) == parse_time(datetime(2026, 3, 1, 2, 14)) == datetime(2026, 3, 1, 2, 14, tzinfo=UTC)  # noqa: DTZ001
