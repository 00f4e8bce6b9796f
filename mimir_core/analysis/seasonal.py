"""A series -> its period, found from the data, and what the season lets one expect at every point.

Comes in: values on a regular grid, NaN where there is none (:func:`mimir_core.analysis.series.resample`). Goes out: a period
in points and expectations in the unit of the values. Surprise: everything is causal. The expectation of a point is made of
earlier points only, and the period is looked for again each time the series has doubled, in the part already seen.
"""

import numpy as np
import pandas as pd
from scipy.signal import find_peaks
from scipy.stats import rankdata

from mimir_core.config import AnomalySettings

_MIN_PERIOD = 4
_PERIODS_SEEN = 3
"""Times that a period must have passed before it is believed."""
_FIRST_LOOK = 32
"""Points seen when a period is first looked for."""


def find_period(values: np.ndarray, min_autocorrelation: float) -> int | None:
    """Return the period of a series in points, or None when it has none.

    The autocorrelation of the ranks, so that spikes do not hide the season (Spearman, 1904, of the series with itself); by
    Fourier transform, each lag divided by the pairs that it has. The period is the highest peak.

    Args:
        values: Shape (n,), NaN where there is none.
        min_autocorrelation: The peak must be at least this high.

    >>> find_period(np.sin(np.arange(200) * 2 * np.pi / 25), 0.3)
    25
    >>> find_period(np.arange(200.0), 0.3) is None
    True
    """
    there = ~np.isnan(values)
    if there.sum() < _FIRST_LOOK:
        return None
    ranks = np.zeros(len(values))
    ranks[there] = rankdata(values[there])
    places = np.flatnonzero(there)
    ranks[there] -= np.polynomial.Polynomial.fit(places, ranks[there], 1)(places)
    longest = len(values) // _PERIODS_SEEN
    together = _lagged_products(ranks, longest)
    pairs = np.maximum(_lagged_products(there.astype(float), longest), 1)
    if together[0] <= 0:
        return None
    correlation = together / pairs / (together[0] / pairs[0])
    peaks, _ = find_peaks(correlation, height=min_autocorrelation, prominence=min_autocorrelation)
    peaks = peaks[peaks >= _MIN_PERIOD]
    return int(peaks[0]) if len(peaks) else None


def expect_by_season(values: np.ndarray, window: int, settings: AnomalySettings) -> np.ndarray:
    """Return what the same phase of past periods, and the level of the last ``window`` points, lead one to expect.

    The median of the same phase (and of its two neighbours, as seasons are not to the minute) over ``settings.past_periods``,
    plus the median of what the season left over in the last window: robust seasonal statistics in the sense of
    seasonal-trend decomposition (Cleveland et al., 1990), with medians for its means and looking back only.

    Args:
        values: Shape (n,), NaN where there is none.
        window: In points.
        settings: The ``anomaly`` section.

    Returns:
        Shape (n,), NaN where no period is known yet.
    """
    season = np.full(len(values), np.nan)
    smooth = pd.Series(values).rolling(3, center=True, min_periods=1).median().to_numpy()
    start = _FIRST_LOOK
    while start < len(values):
        stop = min(2 * start, len(values))
        if period := find_period(values[:start], settings.min_autocorrelation):
            earlier = np.arange(start, stop)[:, None] - period * np.arange(1, settings.past_periods + 1)
            known = np.where(earlier >= 0, smooth[np.maximum(earlier, 0)], np.nan)
            season[start:stop] = pd.DataFrame(known).median(axis=1).to_numpy()
        start = stop
    left = pd.Series(values - season)
    return np.asarray(season + left.rolling(window, min_periods=window // 4).median().shift(1))


def _lagged_products(values: np.ndarray, longest: int) -> np.ndarray:
    """Sum of ``values[i] * values[i + lag]`` for each lag up to ``longest``."""
    spectrum = np.fft.rfft(values, 2 * len(values))
    return np.asarray(np.fft.irfft(spectrum * np.conj(spectrum))[: longest + 1])
