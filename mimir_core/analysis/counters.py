"""Series that count since a process started -> how much they grow a second.

Comes in: :attr:`Signals.metrics`. Goes out: which columns count requests or errors, and the same frame with rates in their place.
Surprise: other series that only grow (a filling disk, restarts of a pod) keep their values, because there the level is the news.
"""

import re
from collections.abc import Callable, Collection, Iterator

import numpy as np
import pandas as pd

from mimir_core.analysis.series import SeriesKind, describe_series, rate_of

_COUNTED = ("traffic", "errors")
_PER_TIME = re.compile(r"per_?(second|minute|hour)")
_SHARE_WORDS = ("percent", "pct", "ratio", "share", "rate")


def is_share(metric: str, family: str) -> bool:
    """Whether a metric of a family is a share of the requests, by its name, and no count.

    >>> is_share("http_error_ratio", "errors"), is_share("errors_total", "errors")
    (True, False)
    """
    return family == "availability" or any(word in metric.lower() for word in _SHARE_WORDS)


def find_counters(metrics: pd.DataFrame, family_of: Callable[[str], str | None], falls: float) -> Iterator[tuple[str, str]]:
    """Yield the columns that count requests or errors.

    Args:
        metrics: As :attr:`Signals.metrics`.
        family_of: The family of a metric, by its name.
        falls: Share of the moves of a counter that may go down.
    """
    times = _seconds(metrics)
    columns: pd.Index = metrics.columns
    for component, metric in columns.to_list():
        family = family_of(metric)
        if family in _COUNTED and not (is_share(metric, family) or _PER_TIME.search(metric.lower())):
            series = metrics[component, metric].to_numpy(dtype=float)
            if _is_total(metric, series, falls) or describe_series(times, series).kind is SeriesKind.COUNTER:
                yield component, metric


def rates_of(metrics: pd.DataFrame, counters: Collection[tuple[str, str]]) -> pd.DataFrame:
    """Return ``metrics`` with rates in place of ``counters``."""
    times = _seconds(metrics)
    values = metrics.to_numpy(dtype=float, copy=True)
    columns: pd.Index = metrics.columns
    for place, column in enumerate(columns.to_list()):
        if column in counters:
            there = ~np.isnan(values[:, place])
            values[there, place] = rate_of(times[there], values[there, place])
    return pd.DataFrame(values, metrics.index, metrics.columns)


def _seconds(metrics: pd.DataFrame) -> np.ndarray:
    return np.asarray(metrics.index.to_numpy(dtype="datetime64[ns]").astype(np.int64) / 1e9)


def _is_total(metric: str, series: np.ndarray, falls: float) -> bool:
    """Whether the name says so (OpenMetrics: a counter ends in ``_total``), and the values do not gainsay it."""
    moves = np.diff(series[~np.isnan(series)])
    return metric.endswith("_total") and bool((moves < 0).sum() <= falls * np.count_nonzero(moves))
