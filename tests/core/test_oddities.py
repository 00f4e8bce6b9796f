"""Without a failure time, what is odd is found, told once, and the oddest comes first."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from deployment.cli import main
from deployment.cli.detect import Method
from mimir_core.analysis.anomaly import METHODS
from mimir_core.analysis.oddities import EVERYTHING, Oddity, OddityKind, find_oddities
from mimir_core.analysis.signs import read_signs
from mimir_core.config import read_params

ANOMALY = read_params(Path(__file__).parents[2] / "params.yaml").anomaly
START = 1_772_323_200
ROWS = 200
runner = CliRunner()


def noise(level: float = 10, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(level, 1, ROWS)


def spiked(first: int = 150, stop: int = 160, seed: int = 1) -> np.ndarray:
    values = noise(seed=seed)
    values[first:stop] += 50
    return values


def without(values: np.ndarray, rows: slice) -> np.ndarray:
    return np.where(np.isin(np.arange(ROWS), np.arange(ROWS)[rows]), np.nan, values)


def counting(restart: int) -> np.ndarray:
    grown = np.cumsum(np.abs(noise()))
    return np.where(np.arange(ROWS) < restart, grown, grown - grown[restart - 1])


def table(series: dict[tuple[str, str], np.ndarray]) -> pd.DataFrame:
    index = pd.date_range(pd.Timestamp(START, unit="s", tz="UTC"), periods=ROWS, freq="1min")
    return pd.DataFrame(np.column_stack(list(series.values())), index, pd.MultiIndex.from_tuples(list(series)))


def look(series: dict[tuple[str, str], np.ndarray], *, together: bool = False) -> list[Oddity]:
    return find_oddities(table(series), "combined", read_signs(), ANOMALY, together=together)


def minutes(one: Oddity) -> tuple[float, float]:
    return (one.start - START) / 60, (one.stop - START) / 60


def test_an_unusual_time_is_told_with_what_moved_even_in_a_table_shorter_than_the_window() -> None:
    [one] = look({("api", "latency_ms"): spiked()})
    assert (one.component, one.metrics, one.kind) == ("api", ("latency_ms",), OddityKind.ANOMALOUS)
    first, last = minutes(one)
    assert 149 <= first <= 150
    assert 159 <= last <= 170
    assert one.text.startswith("rose from 9.999 to 6")


def test_a_counter_is_told_by_its_rate() -> None:
    grown = np.full(ROWS, 60.0) + noise(0)
    grown[150:160] = 600
    [one] = look({("api", "requests_total"): np.cumsum(grown)})
    assert one.kind is OddityKind.ANOMALOUS
    assert one.text.endswith("to 10 a second")


def test_alarms_of_a_series_with_a_short_calm_between_them_are_one() -> None:
    values = noise()
    values[[100, 101, 104, 105, 108, 109]] += 50
    [one] = look({("api", "latency_ms"): values})
    assert minutes(one)[0] <= 100
    assert minutes(one)[1] >= 109


@pytest.mark.parametrize(
    ("values", "kind", "span"),
    [
        (without(noise(), slice(120, None)), OddityKind.VANISHED, (119, 199)),
        (without(noise(), slice(0, 100)), OddityKind.APPEARED, (0, 100)),
        (without(noise(), slice(100, 110)), OddityKind.GAP, (99, 110)),
        (counting(100), OddityKind.RESTART, (99, 100)),
        (np.where(np.arange(ROWS) < 100, noise(), 10.0), OddityKind.FLAT, (100, 199)),
    ],
    ids=lambda value: str(value) if isinstance(value, OddityKind) else "",
)
def test_each_kind_of_break_is_told_with_its_time(values: np.ndarray, kind: OddityKind, span: tuple[int, int]) -> None:
    found = look({("api", "calls_total"): values, ("db", "load"): noise(seed=2)})
    assert [(one.component, one.kind, minutes(one)) for one in found] == [("api", kind, span)]


def test_series_of_a_component_that_break_at_once_are_one_finding() -> None:
    gone = slice(120, None)
    found = look({("api", "a"): without(noise(), gone), ("db", "b"): noise(seed=2), ("api", "c"): without(noise(seed=3), gone)})
    assert [(one.component, one.metrics) for one in found] == [("api", ("a", "c"))]


def test_a_time_without_any_value_is_told_once_and_is_nobodys() -> None:
    lost = slice(100, 110)
    [one] = look({("api", "a"): without(noise(), lost), ("db", "b"): without(noise(seed=2), lost)})
    assert (one.component, one.kind, minutes(one)) == (EVERYTHING, OddityKind.GAP, (99, 110))


def test_a_limit_is_told_with_the_time_at_which_it_will_be_met() -> None:
    [one] = look({("db", "disk_used_percent"): 50 + np.arange(ROWS) * 0.1 + noise(0) / 10})
    assert one.kind is OddityKind.LIMIT
    assert one.text.startswith("moves +")
    assert minutes(one)[0] == ROWS - 1
    assert minutes(one)[1] == pytest.approx(500, rel=0.1)


def test_rows_that_do_not_fit_together_are_told_if_asked_and_only_where_nothing_else_is() -> None:
    busy = np.random.default_rng(3).choice([0.0, 10.0], ROWS)
    calls, cpu = busy + noise(seed=1) / 10, busy + noise(seed=2) / 10
    busy_rows = np.flatnonzero(busy)
    odd = int(busy_rows[busy_rows > 150][0])
    cpu[odd] -= 10
    series = {("api", "calls"): calls, ("api", "cpu"): cpu}
    assert not look(series)
    found = look(series, together=True)
    assert {(one.component, one.kind) for one in found} == {("api", OddityKind.APART)}
    assert (odd, odd) in map(minutes, found)
    alarm, *others = look({("api", "calls"): spiked(), ("api", "cpu"): noise(seed=2)}, together=True)
    assert alarm.kind is OddityKind.ANOMALOUS
    assert all(one.stop < alarm.start or alarm.stop < one.start for one in others)


def test_a_component_with_several_odd_series_comes_first_and_a_gap_last() -> None:
    found = look(
        {
            ("web", "latency_ms"): without(noise(seed=4), slice(50, 60)),
            ("db", "latency_ms"): spiked(140, 160, seed=5),
            ("api", "latency_ms"): spiked(150, 153, seed=6),
            ("api", "errors"): spiked(150, 153, seed=7),
        }
    )
    assert [one.component for one in found] == ["api", "api", "db", "web"]


def test_quiet_series_and_an_empty_table_are_not_odd() -> None:
    assert not look({("api", "latency_ms"): noise(), ("db", "load"): np.full(ROWS, 3.0)})
    assert not find_oddities(pd.DataFrame(), "combined", read_signs(), ANOMALY)


def test_the_command_knows_the_methods() -> None:
    assert {method.value for method in Method} == set(METHODS)


def write_table(path: Path, values: np.ndarray) -> Path:
    frame = table({("api", "latency_ms"): values})
    frame.columns = pd.Index(["api:latency_ms"])
    frame.rename_axis("time").to_csv(path)
    return path


def test_the_command_prints_a_table_and_writes_the_findings(tmp_path: Path) -> None:
    write_table(tmp_path / "metrics.csv", spiked())
    for case in (tmp_path, tmp_path / "metrics.csv"):
        done = runner.invoke(main.app, ["detect", str(case), "--json", str(tmp_path.parent / "found.json")])
        assert done.exit_code == 0
        assert "latency_ms" in done.stdout
        [found] = json.loads((tmp_path.parent / "found.json").read_text())
        assert found.keys() == {"component", "metric", "kind", "start", "stop", "points", "text"}
        assert found["start"] in ("2026-03-01T02:29:00Z", "2026-03-01T02:30:00Z")


def test_nothing_odd_is_one_line_and_too_little_to_tell_another(tmp_path: Path) -> None:
    quiet = runner.invoke(main.app, ["detect", str(write_table(tmp_path / "quiet.csv", noise()))])
    assert (quiet.exit_code, quiet.stdout) == (0, "nothing odd in 1 series of 200 rows\n")
    short = tmp_path / "short.csv"
    short.write_text(f"time,api:load\n{START},1\n{START + 60},2\n{START + 120},3\n")
    told = runner.invoke(main.app, ["detect", str(short)]).stdout.splitlines()
    assert told == ["nothing odd in 1 series of 3 rows", "1 series have fewer than 20 values: too few to call one unusual"]


def test_a_case_without_series_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "app.log").write_text("2026-03-01T00:00:00Z ERROR no connection\n")
    failed = runner.invoke(main.app, ["detect", str(tmp_path)])
    assert "holds no series" in str(failed.exception)
