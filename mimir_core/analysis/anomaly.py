"""One series, no known failure time -> which of its points are anomalous.

Comes in: times in unix seconds, never going back, and values, NaN where there is none. Goes out: a flag for each point, by one
of :data:`METHODS`. A counter is judged by its rate. Surprise: a point is judged by what came before it. Two looks ahead are
all there is: the step and the kind of the series are taken from the whole of it, and by the margin an alarm begins one step
early, as the change happened between two samples.

``combined`` asks two questions: is this point unusual, and are the last hours, taken together, unusual? Each is asked of two
expectations, the level of the last window and the season; the score is the mean over both of

    distance from what was expected / the distance that most of the past points kept.

So a series with a long tail or with bursts is measured by its own tail and bursts, where a standard deviation or a MAD would
call them all news. What is unusual for long becomes usual: the level follows within half a window.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from mimir_core.analysis.robust import MAD_TO_SIGMA
from mimir_core.analysis.seasonal import expect_by_season
from mimir_core.analysis.series import SeriesKind, describe_series, rate_of, resample, runs_of
from mimir_core.config import AnomalySettings

_ROUNDING = 1e-9
"""Distances below this share of the largest value so far are rounding of the running sums."""

_Method = Callable[[np.ndarray, int, AnomalySettings], np.ndarray]


def find_anomalies(times: np.ndarray, values: np.ndarray, method: str, settings: AnomalySettings) -> np.ndarray:
    """Say for each point whether it is anomalous.

    Args:
        times: Shape (n,), unix seconds, never going back.
        values: Shape (n,), NaN where there is none.
        method: A key of :data:`METHODS`.
        settings: The ``anomaly`` section.

    Returns:
        Shape (n,), boolean. A point without a value is flagged only inside an alarm.
    """
    if not len(times):
        return np.zeros(0, dtype=bool)
    if describe_series(times, values).kind is SeriesKind.COUNTER:
        values = rate_of(times, values)
    grid = resample(times, values, settings.max_window_points)
    window = round(settings.window_hours * 3600 / grid.step_seconds)
    window = min(max(window, settings.min_window_points), settings.max_window_points)
    return np.asarray(METHODS[method](grid.values, window, settings)[grid.slots])


def _by_zscore(values: np.ndarray, window: int, settings: AnomalySettings) -> np.ndarray:
    """Distance from the mean of the window before, in its standard deviations (Shewhart, 1931)."""
    past = _rolling(values, window)
    return _exceeds(values - _before(past.mean()), _before(past.std()), settings.thresholds.zscore)


def _by_median_mad(values: np.ndarray, window: int, settings: AnomalySettings) -> np.ndarray:
    """Distance from the median of the window before, in its MADs (Leys et al., 2013)."""
    middle = _before(_rolling(values, window).median())
    return _exceeds(values - middle, _before(_mad(values - middle, window)), settings.thresholds.median_mad)


def _by_season(values: np.ndarray, window: int, settings: AnomalySettings) -> np.ndarray:
    """Distance from the same phase of past periods, in the MADs of that distance."""
    left = values - expect_by_season(values, window, settings)
    return _exceeds(left, _before(_mad(left, window)), settings.thresholds.seasonal)


def _by_shift(values: np.ndarray, window: int, settings: AnomalySettings) -> np.ndarray:
    """The last hours against the window before them: another level, or another spread.

    Two samples in sliding windows (Kifer, Ben-David and Gehrke, 2004), with medians and MADs for statistics. It is news until
    the window before has followed, and then the new normal.
    """
    lately = max(window // settings.states_per_window, 1)
    past = pd.Series(_rolling(values, window).median()).shift(lately).to_numpy()
    spread_past = pd.Series(_mad(values - past, window)).shift(lately).to_numpy()
    spread_now = _mad(values - past, lately)
    level = _exceeds(_rolling(values, lately).median() - past, spread_past, settings.thresholds.shift)
    return np.asarray(level | _exceeds(spread_now, spread_past, settings.thresholds.shift))


def _by_points_and_states(values: np.ndarray, window: int, settings: AnomalySettings) -> np.ndarray:
    """Unusual points, and unusual states: the last hours taken together."""
    width = max(window // settings.states_per_window, 1)
    points = _alarms(_surprise(values, window, 1, settings), settings.point_threshold, settings)
    states = _alarms(_surprise(_rolling(values, width).mean(), window, width, settings), settings.state_threshold, settings)
    hold = round(settings.hold_share * window)
    return np.asarray(_extend(points, settings.margin_points, settings.margin_points) | _extend(states, 0, hold))


METHODS: Mapping[str, _Method] = {
    "zscore": _by_zscore,
    "median_mad": _by_median_mad,
    "seasonal": _by_season,
    "shift": _by_shift,
    "combined": _by_points_and_states,
}


def _surprise(values: np.ndarray, window: int, width: int, settings: AnomalySettings) -> np.ndarray:
    """How unusual each value is, in units of what was usual before; 0 where there is no telling.

    The unit is the distance that ``usual_share`` of the past points kept, or a part of the distance that ``tail_share`` kept
    where the tail is long: a conformal view (Laxhammar and Falkman, 2011), no distribution is assumed.

    Args:
        values: Shape (n,).
        window: In points.
        width: Points that each value stands for: that many follow each other closely and count as one of ``min_history``.
        settings: The ``anomaly`` section.
    """
    usual = _rolling(values, window).median()
    floor = _ROUNDING * np.fmax.accumulate(np.abs(values)) + np.finfo(float).tiny
    scores = []
    for expected in (_before(usual), expect_by_season(values, window, settings)):
        apart = np.abs(values - expected)
        past = pd.Series(apart).rolling(settings.memory_windows * window, min_periods=settings.min_history * width)
        unit = np.fmax(past.quantile(settings.usual_share), settings.tail_weight * past.quantile(settings.tail_share))
        scores.append(apart / np.maximum(_before(unit), floor))
    return pd.DataFrame(np.column_stack(scores)).mean(axis="columns").fillna(0.0).to_numpy(dtype=float)


def _alarms(scores: np.ndarray, threshold: float, settings: AnomalySettings) -> np.ndarray:
    """Open an alarm above the threshold, and keep it open down to the release: one unusual time, one alarm."""
    alarms = np.zeros(len(scores), dtype=bool)
    for start, stop in runs_of(scores > settings.release * threshold):
        opened = np.flatnonzero(scores[start:stop] > threshold)
        if len(opened):
            alarms[start + opened[0] : stop] = True
    return alarms


def _extend(alarms: np.ndarray, before: int, after: int) -> np.ndarray:
    wide = alarms.copy()
    for start, stop in runs_of(alarms):
        wide[max(start - before, 0) : stop + after] = True
    return wide


def _rolling(values: np.ndarray, window: int) -> Any:
    return pd.Series(values).rolling(window, min_periods=window // 4)


def _mad(distances: np.ndarray, window: int) -> np.ndarray:
    return np.asarray(MAD_TO_SIGMA * _rolling(np.abs(distances), window).median())


def _before(statistic: np.ndarray) -> np.ndarray:
    """Move a statistic by one point: it is known when the next point comes."""
    return np.concatenate([[np.nan], statistic[:-1]])


def _exceeds(distances: np.ndarray, unit: np.ndarray, threshold: float) -> np.ndarray:
    return np.asarray(np.abs(distances) > threshold * unit)
