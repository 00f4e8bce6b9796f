"""A period is found where there is one, and nothing is expected from the future."""

from pathlib import Path

import numpy as np
import pytest

from mimir_core.analysis.seasonal import expect_by_season, find_period
from mimir_core.config import AnomalySettings, read_params


@pytest.fixture(scope="module")
def settings() -> AnomalySettings:
    return read_params(Path(__file__).parents[2] / "params.yaml").anomaly


def season(n: int, period: int, noise: float = 0.2) -> np.ndarray:
    return np.sin(np.arange(n) * 2 * np.pi / period) + np.random.default_rng(2).normal(0, noise, n)


@pytest.mark.parametrize("period", [12, 24, 50, 288])
def test_the_period_is_found_in_noise_spikes_gaps_and_a_trend(period: int) -> None:
    values = season(period * 6, period) + np.arange(period * 6) * 0.5 / period
    values[7 :: period // 2 + 5] += 40
    values[20:26] = np.nan
    found = find_period(values, 0.3)
    assert found is not None
    assert abs(found - period) <= max(1, 0.05 * period)


@pytest.mark.parametrize("kind", ["noise", "walk", "constant", "empty", "short"])
def test_a_series_without_a_period_has_none(kind: str) -> None:
    draws = np.random.default_rng(3).normal(size=500)
    values = {
        "noise": draws,
        "walk": np.cumsum(draws),
        "constant": np.ones(500),
        "empty": np.full(500, np.nan),
        "short": season(20, 5),
    }[kind]
    assert find_period(values, 0.3) is None


def test_the_season_is_expected_once_it_is_known(settings: AnomalySettings) -> None:
    values = season(480, 24, noise=0.05)
    expected = expect_by_season(values, 24, settings)
    assert np.isnan(expected[:32]).all()
    assert np.abs(expected[200:] - values[200:]).max() < 0.4


def test_an_anomaly_in_one_period_is_not_expected_in_the_next(settings: AnomalySettings) -> None:
    values = season(480, 24, noise=0.05)
    values[300] += 50
    assert abs(expect_by_season(values, 24, settings)[324]) < 2


def test_the_future_changes_no_expectation(settings: AnomalySettings) -> None:
    values = season(480, 24)
    changed = values.copy()
    changed[300:] = -7
    before, after = (expect_by_season(one, 24, settings)[:300] for one in (values, changed))
    np.testing.assert_array_equal(before, after)
