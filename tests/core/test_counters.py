"""What counts since a start is read as a rate; what fills up keeps its level."""

import numpy as np
import pandas as pd
import pytest

from mimir_core.analysis.counters import find_counters, rates_of

ROWS = 40
GROWING = np.arange(ROWS) * 600.0
FAMILIES = {"requests": "traffic", "requests_total": "traffic", "errors": "errors", "errors_total": "errors"}


def family(metric: str) -> str | None:
    return {**FAMILIES, "disk_used_bytes": "disk", "restarts_total": "restarts", "heap_total": "memory"}.get(metric)


def rates(metric: str, values: np.ndarray) -> np.ndarray:
    columns = pd.MultiIndex.from_tuples([("web", metric)])
    table = pd.DataFrame({("web", metric): values}, pd.date_range("2026-03-01", periods=len(values), freq="min"), columns)
    found = rates_of(table, set(find_counters(table, family, falls=0.2)))
    assert found.index.equals(table.index)
    assert found.columns.equals(columns)
    assert table["web", metric].equals(pd.Series(values, table.index))  # the recording itself stays as it was
    return found["web", metric].to_numpy()


@pytest.mark.parametrize("metric", FAMILIES)
def test_a_counter_of_requests_or_of_errors_becomes_a_rate(metric: str) -> None:
    found = rates(metric, GROWING)
    assert np.isnan(found[0])
    assert found[1:] == pytest.approx(10.0)


@pytest.mark.parametrize("metric", ["disk_used_bytes", "restarts_total", "heap_total", "weather"])
def test_what_fills_up_keeps_its_level(metric: str) -> None:
    assert rates(metric, GROWING).tolist() == GROWING.tolist()


def test_after_a_restart_what_a_counter_shows_has_grown_since() -> None:
    values = GROWING.copy()
    values[20:] -= values[20] - 120
    found = rates("requests", values)
    assert found[20] == pytest.approx(2.0)
    assert np.delete(found, [0, 20]) == pytest.approx(10.0)


def test_a_counter_is_known_by_its_name_where_it_hardly_moves() -> None:
    values = np.where(np.arange(ROWS) < 30, 5.0, 65.0)
    found = rates("errors_total", values)
    assert found[30] == pytest.approx(1.0)
    assert set(np.delete(found, [0, 30])) == {0.0}
    assert rates("errors", values).tolist() == values.tolist()
    assert set(rates("errors_total", np.full(ROWS, 5.0))[1:]) == {0.0}


@pytest.mark.parametrize("metric", ["requests", "requests_total"])
def test_what_goes_up_and_down_is_no_counter_whatever_it_is_called(metric: str) -> None:
    values = 50 + 10 * np.sin(np.arange(ROWS))
    assert rates(metric, values).tolist() == values.tolist()


def test_a_lost_sample_is_no_growth_and_no_restart() -> None:
    values = GROWING.copy()
    values[[0, 7, 8]] = np.nan
    found = rates("requests", values)
    assert np.flatnonzero(np.isnan(found)).tolist() == [0, 1, 7, 8]  # the first value that is there has none before it
    assert found[~np.isnan(found)] == pytest.approx(10.0)


@pytest.mark.parametrize("values", [np.full(3, np.nan), np.array([np.nan, 4.0, np.nan]), np.array([])])
def test_a_series_with_hardly_a_value_has_no_rate(values: np.ndarray) -> None:
    assert np.isnan(rates("requests_total", values)).all()


def test_a_rate_that_rises_is_no_counter() -> None:
    name = "errors_per_second"
    table = pd.DataFrame({("web", name): np.arange(ROWS) / 2}, pd.date_range("2026-03-01", periods=ROWS, freq="min"))
    table.columns = pd.MultiIndex.from_tuples([("web", name)])
    assert list(find_counters(table, lambda _: "errors", falls=0.2)) == []
