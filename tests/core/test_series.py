"""What a series is, and where it breaks."""

from pathlib import Path

import numpy as np
import pytest

from mimir_core.analysis.series import BreakKind, SeriesKind, describe_series, find_breaks, rate_of, resample, sampling_step
from mimir_core.config import AnomalySettings, read_params

MINUTES = np.arange(200) * 60.0


@pytest.fixture(scope="module")
def settings() -> AnomalySettings:
    return read_params(Path(__file__).parents[2] / "params.yaml").anomaly


def noise(n: int = 200) -> np.ndarray:
    return np.random.default_rng(1).normal(10, 1, n)


def kinds(
    times: np.ndarray, values: np.ndarray, settings: AnomalySettings, window: tuple[float, float] | None = None
) -> list[BreakKind]:
    return [one.kind for one in find_breaks(times, values, window or (times[0], times[-1]), settings)]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (np.cumsum(np.abs(noise())), SeriesKind.COUNTER),
        (np.concatenate([np.cumsum(np.abs(noise(150))), np.cumsum(np.abs(noise(50)))]), SeriesKind.COUNTER),
        (noise(), SeriesKind.GAUGE),
        (np.cumsum(np.abs(noise())) - 500, SeriesKind.GAUGE),  # a counter is never negative
        (np.full(200, 3.0), SeriesKind.CONSTANT),
        (np.full(200, np.nan), SeriesKind.CONSTANT),
    ],
    ids=["counter", "counter with a restart", "gauge", "growing gauge", "constant", "empty"],
)
def test_the_kind_of_a_series_is_told_by_its_values(values: np.ndarray, kind: SeriesKind) -> None:
    assert describe_series(MINUTES, values).kind is kind


def test_counts_are_told_from_measurements() -> None:
    assert describe_series(MINUTES, np.floor(noise())).quantum == 1
    assert describe_series(MINUTES, noise()).quantum is None


def test_a_lost_point_does_not_change_the_step_and_is_empty_on_the_grid() -> None:
    times = np.delete(MINUTES, [50, 51, 120])
    grid = resample(times, np.delete(noise(), [50, 51, 120]), 1000)
    assert sampling_step(times) == grid.step_seconds == 60
    assert len(grid.values) == 200
    assert np.flatnonzero(np.isnan(grid.values)).tolist() == [50, 51, 120]
    assert grid.slots[-1] == 199


def test_points_of_the_same_time_become_their_median() -> None:
    grid = resample(np.array([0.0, 60, 60, 60, 120]), np.array([1.0, 2, 9, 3, 4]), 1000)
    assert grid.values.tolist() == [1, 3, 4]
    assert grid.slots.tolist() == [0, 1, 1, 1, 2]


def test_a_lost_year_does_not_become_a_million_slots() -> None:
    times = np.concatenate([MINUTES, MINUTES + 31_536_000])
    assert len(resample(times, noise(400), 1000).values) < 1500


def test_a_restart_is_growth_and_no_fall() -> None:
    rate = rate_of(np.array([0.0, 10, 20, 20]), np.array([500.0, 600, 50, 60]))
    assert rate[1:3].tolist() == [10, 5]
    assert np.isnan(rate[[0, 3]]).all()


def test_a_series_without_breaks_has_none(settings: AnomalySettings) -> None:
    assert kinds(MINUTES, noise(), settings) == []


def test_a_gap_and_a_flat_line_and_a_restart_are_found(settings: AnomalySettings) -> None:
    gone = np.delete(np.arange(200), range(60, 70))
    assert kinds(MINUTES[gone], noise()[gone], settings) == [BreakKind.GAP]
    flat = noise()
    flat[100:160] = 10
    assert kinds(MINUTES, flat, settings) == [BreakKind.FLAT]
    restart = np.concatenate([np.cumsum(np.abs(noise(150))), np.cumsum(np.abs(noise(50)))])
    (found,) = find_breaks(MINUTES, restart, (MINUTES[0], MINUTES[-1]), settings)
    assert found == (BreakKind.RESET, MINUTES[149], MINUTES[150])


def test_a_line_that_is_flat_from_the_start_or_as_often_as_not_is_no_break(settings: AnomalySettings) -> None:
    assert kinds(MINUTES, np.repeat([1.0, 2.0, 1.0, 3.0], 50), settings) == []


def test_a_series_appears_and_vanishes_within_the_time_that_was_asked_for(settings: AnomalySettings) -> None:
    window = (MINUTES[0] - 6000, MINUTES[-1] + 6000)
    assert kinds(MINUTES, noise(), settings, window) == [BreakKind.APPEARED, BreakKind.VANISHED]
    assert kinds(MINUTES, np.full(200, np.nan), settings, window) == [BreakKind.GAP]
