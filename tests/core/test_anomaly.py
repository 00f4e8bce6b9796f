"""What is unusual is flagged while it is news, and nothing else."""

from pathlib import Path

import numpy as np
import pytest

from mimir_core.analysis.anomaly import METHODS, find_anomalies
from mimir_core.config import AnomalySettings, read_params

HOUR = 3600.0


@pytest.fixture(scope="module")
def settings() -> AnomalySettings:
    return read_params(Path(__file__).parents[2] / "params.yaml").anomaly


def series(n: int = 600, step: float = HOUR, swing: float = 5.0) -> tuple[np.ndarray, np.ndarray]:
    times = 1.7e9 + np.arange(n) * step
    day = swing * np.sin(times / 86400 * 2 * np.pi)
    return times, 100 + day + np.random.default_rng(4).normal(0, 1, n)


def flags(times: np.ndarray, values: np.ndarray, settings: AnomalySettings, method: str = "combined") -> list[int]:
    return np.flatnonzero(find_anomalies(times, values, method, settings)).tolist()


@pytest.mark.parametrize("step", [1.0, 15.0, 60.0, 300.0, HOUR])
def test_a_spike_is_flagged_and_so_are_its_neighbours_and_no_more_than_a_few_others(
    step: float, settings: AnomalySettings
) -> None:
    times, values = series(3000, step)
    values[2500] += 60
    found = flags(times, values, settings)
    assert {2499, 2500, 2501} <= set(found)
    assert len(found) < 150


@pytest.mark.parametrize("step", [15.0, 60.0, 300.0, HOUR])
def test_a_quiet_series_is_left_alone(step: float, settings: AnomalySettings) -> None:
    assert len(flags(*series(3000, step), settings)) < 60


@pytest.mark.parametrize("method", METHODS)
def test_each_method_finds_a_spike(method: str, settings: AnomalySettings) -> None:
    times, values = series(600, HOUR, swing=1)
    values[500:505] += 60
    assert set(range(500, 505)) & set(flags(times, values, settings, method))


def test_a_new_level_is_news_and_then_the_new_normal(settings: AnomalySettings) -> None:
    times, values = series(3000, 300.0, swing=0)
    values[2000:] += 30
    found = np.array(flags(times, values, settings))
    assert set(range(2000, 2080)) <= set(found.tolist())
    assert not ((found > 2300) & (found < 2900)).any()


def test_a_busy_season_is_no_anomaly_but_a_missing_one_is(settings: AnomalySettings) -> None:
    times, values = series(600, HOUR, swing=30)
    assert len(flags(times, values, settings)) < 20
    noon = 500 + int(np.argmax(values[500:524]))
    values[noon] = values[500:524].min()
    assert noon in flags(times, values, settings)


def test_bursts_that_come_all_the_time_are_usual(settings: AnomalySettings) -> None:
    times, values = series(4000, 300.0, swing=0)
    at = np.random.default_rng(5).choice(4000, 600, replace=False)
    values[at] += 50
    late = at[at > 1000]
    assert np.mean(np.isin(late, flags(times, values, settings))) < 0.1
    assert np.mean(np.isin(late, flags(times, values, settings, "median_mad"))) > 0.9


@pytest.mark.parametrize("method", METHODS)
def test_the_future_changes_no_verdict_beyond_the_margin(method: str, settings: AnomalySettings) -> None:
    times, values = series(600)
    values[400] += 60
    changed = values.copy()
    changed[450:] = 900
    before, after = (find_anomalies(times, one, method, settings)[: 450 - settings.margin_points] for one in (values, changed))
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("factor", [1e-12, 1e12])
@pytest.mark.parametrize("method", METHODS)
def test_the_unit_of_the_values_does_not_matter(method: str, factor: float, settings: AnomalySettings) -> None:
    times, values = series(600)
    values[400] += 60
    assert flags(times, values * factor, settings, method) == flags(times, values, settings, method)


def test_a_counter_is_judged_by_its_rate_and_a_restart_is_no_anomaly(settings: AnomalySettings) -> None:
    times, rate = series(600, 60.0, swing=0)
    count = np.cumsum(rate)
    count[300:] -= count[299]
    assert flags(times, count, settings) == flags(times, np.concatenate([[np.nan], np.diff(count, prepend=0)[1:]]), settings)
    rate[500] += 400
    assert 500 in flags(times, np.cumsum(rate), settings)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_a_short_or_empty_or_constant_series_has_no_anomaly(n: int, method: str, settings: AnomalySettings) -> None:
    times = np.arange(float(n))
    for values in (np.full(n, np.nan), np.ones(n)):
        assert flags(times, values, settings, method) == []
    assert flags(np.arange(300.0), np.zeros(300), settings, method) == []


def test_lost_points_are_no_anomaly(settings: AnomalySettings) -> None:
    times, values = series(600)
    values[100:110] = np.nan
    kept = np.delete(np.arange(600), range(300, 330))
    assert len(flags(times[kept], values[kept], settings)) < 20
