"""A limit is warned of when the trend is real, and only then."""

from pathlib import Path

import numpy as np
import pytest

from mimir_core.analysis.forecast import forecast_limit
from mimir_core.config import AnomalySettings, read_params

HOURS = np.arange(480) * 0.1
TIMES = 1.7e9 + HOURS * 3600


@pytest.fixture(scope="module")
def settings() -> AnomalySettings:
    return read_params(Path(__file__).parents[2] / "params.yaml").anomaly


def noise(seed: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, len(HOURS))


def test_a_filling_disk_is_warned_of_with_an_interval_that_holds_the_truth(settings: AnomalySettings) -> None:
    found = forecast_limit(TIMES, 20 + HOURS + noise(), 90, settings)
    assert found is not None
    assert found.slope_per_hour == pytest.approx(1, rel=0.05)
    assert found.earliest_hours < 90 - 20 - HOURS[-1] < (found.latest_hours or np.inf)
    assert found.hours == pytest.approx(90 - 20 - HOURS[-1], rel=0.1)


def test_a_falling_series_meets_a_lower_limit(settings: AnomalySettings) -> None:
    found = forecast_limit(TIMES, 90 - HOURS + noise(), 20, settings)
    assert found is not None
    assert 0 < found.earliest_hours < found.hours < (found.latest_hours or np.inf)


def test_spikes_do_not_bend_the_trend(settings: AnomalySettings) -> None:
    values = 20 + HOURS + noise()
    values[::37] += 500
    found = forecast_limit(TIMES, values, 90, settings)
    assert found is not None
    assert found.slope_per_hour == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize(
    ("values", "limit"),
    [
        (20 + noise(), 90),
        (20 + HOURS + noise(), -50),
        (20 + HOURS + noise(), 900),
        (20 + 10 * np.sin(HOURS / 24 * 2 * np.pi) + noise(), 90),
        (np.full(len(HOURS), 20.0), 90),
        (np.full(len(HOURS), np.nan), 90),
    ],
    ids=["noise", "away from it", "too far ahead", "a wave", "constant", "empty"],
)
def test_nothing_is_warned_of_without_reason(values: np.ndarray, limit: float, settings: AnomalySettings) -> None:
    assert forecast_limit(TIMES, values, limit, settings) is None


def test_noise_that_remembers_is_seldom_called_a_trend(settings: AnomalySettings) -> None:
    warned = 0
    for seed in range(100):
        values, draws = np.zeros(len(HOURS)), noise(seed)
        for at in range(1, len(values)):
            values[at] = 0.95 * values[at - 1] + draws[at]
        warned += any(forecast_limit(TIMES, values, limit, settings) is not None for limit in (-20, 20))
    assert warned <= 4
