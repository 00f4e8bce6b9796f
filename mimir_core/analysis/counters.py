"""Series that count since a process started -> how much they grow a second.

Comes in: :attr:`Signals.metrics`. Goes out: the same frame with the counters of requests and of errors replaced by rates.
Surprise: other series that only grow (a filling disk, restarts of a pod) keep their values, because there the level is the news.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from mimir_core.analysis.series import SeriesKind, describe_series, rate_of

_COUNTED = ("traffic", "errors")

_FALLS = 0.2
"""Share of the moves of a counter that may go down: restarts, and late or lost samples."""


def rates_of_counters(metrics: pd.DataFrame, family_of: Callable[[str], str | None]) -> pd.DataFrame:
    """Return ``metrics`` with rates in place of counters.

    Args:
        metrics: As :attr:`Signals.metrics`.
        family_of: The family of a metric, by its name.
    """
    times = metrics.index.to_numpy(dtype="datetime64[ns]").astype(np.int64) / 1e9
    values = metrics.to_numpy(dtype=float, copy=True)
    for place, (_, metric) in enumerate(metrics.columns):
        series = values[:, place]
        if family_of(metric) in _COUNTED and (_is_total(metric, series) or describe_series(times, series).kind is SeriesKind.COUNTER):
            there = ~np.isnan(series)
            series[there] = rate_of(times[there], series[there])
    return pd.DataFrame(values, metrics.index, metrics.columns)


def _is_total(metric: str, series: np.ndarray) -> bool:
    """Whether the name says so (OpenMetrics: a counter ends in ``_total``), and the values do not gainsay it."""
    moves = np.diff(series[~np.isnan(series)])
    return metric.endswith("_total") and (moves < 0).sum() <= _FALLS * np.count_nonzero(moves)
