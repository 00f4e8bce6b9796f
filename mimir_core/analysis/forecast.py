"""A series and a limit -> when the limit will be met, if the series really has a trend.

Comes in: times in unix seconds, values, a limit such as a disk's size. Goes out: a :class:`Forecast`, or None. Surprise: None is
the usual answer. Neighbouring points resemble each other, so a plain test calls every wave a trend; the test here is widened
by the autocorrelation, and a series that wanders for a day and comes back is no warning.
"""

from typing import NamedTuple

import numpy as np
from scipy.stats import norm, rankdata, theilslopes

from mimir_core.analysis.series import sampling_step
from mimir_core.config import AnomalySettings

_MOST_ALIKE = 0.95
"""Above this correlation of neighbours there is no telling a trend from a walk."""


class Forecast(NamedTuple):
    """A limit that will be met if the trend goes on."""

    slope_per_hour: float
    hours: float
    """From the last point until the limit is met; 0 if the trend has just met it."""
    earliest_hours: float
    latest_hours: float | None
    """None where the slow end of the interval does not reach the limit."""


def forecast_limit(times: np.ndarray, values: np.ndarray, limit: float, settings: AnomalySettings) -> Forecast | None:
    """Return when the trend of a series meets ``limit``, or None.

    The slope is the median of all slopes between two points (Theil, 1950; Sen, 1968), taken from the medians of equal
    blocks of time. Significance: the test of Mann (1945) and Kendall (1955), its variance for fewer independent blocks (Yue
    and Wang, 2004); the interval of the slope is widened by the same factor. The line turns around the middle of the history.

    Args:
        times: Shape (n,), unix seconds, never going back.
        values: Shape (n,), NaN where there is none.
        limit: In the unit of ``values``; the series may come from either side.
        settings: The ``anomaly`` section.

    Returns:
        None if there are too few points, no significant trend, the trend leads away from the limit or passed it long ago, or the
        limit is further ahead than ``forecast_windows`` times the history.
    """
    there = ~np.isnan(values)
    if there.sum() < settings.forecast_blocks:
        return None
    hours, levels = _blocks(times[there], values[there], settings.forecast_blocks)
    slope, _, low, high = theilslopes(levels, hours, 1 - settings.forecast_significance)
    chance, widening = _trend_by_chance(levels, levels - slope * hours)
    middle, half = np.mean(hours[[0, -1]]), (times[there][-1] - times[there][0]) / 7200
    distance = limit - np.median(levels - slope * (hours - middle))
    if chance > settings.forecast_significance or slope * distance <= 0:
        return None
    slow, fast = sorted((slope + widening * (end - slope) for end in (low, high)), key=lambda end: end * np.sign(slope))
    ahead = distance / slope - half
    if ahead > settings.forecast_windows * 2 * half:
        return None
    return Forecast(
        slope_per_hour=float(slope),
        hours=max(float(ahead), 0.0),
        earliest_hours=max(float(distance / fast - half), 0.0),
        latest_hours=max(float(distance / slow - half), 0.0) if slow * slope > 0 else None,
    )


def _blocks(times: np.ndarray, values: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Medians of equal blocks of time: their middles in hours after the first point, and their values."""
    length = (times[-1] - times[0] + sampling_step(times)) / count
    block = ((times - times[0]) / length).astype(int)
    filled = np.unique(block)
    levels = np.array([np.median(values[block == one]) for one in filled])
    return (filled + 0.5) * length / 3600, levels


def _trend_by_chance(levels: np.ndarray, without_trend: np.ndarray) -> tuple[float, float]:
    """Return the chance of such a trend in a series without one, and by how much autocorrelation widens the error.

    The correlation of neighbours is that of a first-order process, corrected for its bias in short series (Marriott and Pope,
    1954).
    """
    n = len(levels)
    score = float(np.triu(np.sign(levels[None, :] - levels[:, None])).sum())
    ranks = rankdata(without_trend) - (n + 1) / 2
    alike = float(ranks[1:] @ ranks[:-1]) / max(float(ranks @ ranks), 1.0)
    alike = min(max(alike + (1 + 4 * alike) / n, 0.0), _MOST_ALIKE)
    inflation = (1 + alike) / (1 - alike)
    deviation = np.sqrt(n * (n - 1) * (2 * n + 5) / 18 * inflation)
    return float(2 * norm.sf(max(abs(score) - 1, 0) / deviation)), float(np.sqrt(inflation))
