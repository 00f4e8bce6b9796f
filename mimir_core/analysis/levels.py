"""Series before and after a time -> how far each was raised, on a scale that all components share.

Comes in: :attr:`Signals.metrics`, a split into before and after, perhaps a recording without faults. Goes out: one
:class:`Shift` a series. Method: the shift of the median beyond the noise (3 robust deviations; Rousseeuw and Croux, 1993),
divided by the highest level that this metric usually reaches in any component. Surprise: that is no z-score. A component that
goes from 0.1 % to 2 % of a processor is 20 deviations away and means nothing beside one that always takes 40 %.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from mimir_core.analysis.robust import MAD_TO_SIGMA, column_medians
from mimir_core.config import LevelSettings

_EPSILON = 1e-9


class Shift(NamedTuple):
    """How a series moved."""

    component: str
    metric: str
    before: float
    """Median."""
    after: float
    """Median of the first time after, or of all time after: the one that is further away."""
    noise: float
    """What the median may move by chance, in the unit of the series."""
    excess: float
    """Signed shift beyond the noise, in units of the highest usual level of this metric; 0 is steady."""


def find_shifts(
    metrics: pd.DataFrame, is_before: np.ndarray, is_after: np.ndarray, usual: pd.DataFrame, settings: LevelSettings
) -> list[Shift]:
    """Compare the rows after with the rows before and, where there is one, with a recording without faults.

    A series must have left both: what the recording shows is usual too.

    Args:
        metrics: As :attr:`Signals.metrics`, one row a time.
        is_before: One truth value a row.
        is_after: Likewise.
        usual: Series of another time, with some of the same columns.
        settings: The ``levels`` section.
    """
    if metrics.empty or not is_after.any():
        return []
    after = _levels_after(metrics, is_after, settings)
    references = [metrics.to_numpy(dtype=float)[is_before]] if is_before.any() else []
    if not usual.empty:
        references.append(usual.reindex(columns=metrics.columns).to_numpy(dtype=float))
    names = metrics.columns.get_level_values(1).to_numpy()
    positions = np.arange(len(names))
    best = np.full(len(names), np.nan)
    middle, width = best.copy(), best.copy()
    for rows in references:
        median = column_medians(rows)
        noise = settings.noise_sigmas * MAD_TO_SIGMA * column_medians(np.abs(rows - median))
        shifts = after - median
        scale = _scale_of(names, np.abs(median) + settings.usual_sigmas * _deviation(rows), after, settings.floor_share)
        beyond = np.sign(shifts) * np.maximum(np.abs(shifts) - noise, 0.0) / scale
        level = beyond[_furthest(beyond), positions]
        nearer = np.isnan(best) | (np.abs(level) < np.abs(best))
        best = np.where(nearer, level, best)
        middle, width = np.where(nearer, median, middle), np.where(nearer, noise, width)
    reached = after[_furthest(after - middle), positions]
    return [
        Shift(str(column[0]), str(column[1]), float(middle[i]), float(reached[i]), float(width[i]), float(best[i]))
        for i, column in enumerate(metrics.columns)
        if not np.isnan(best[i])
    ]


def shared_metrics(metrics: pd.DataFrame) -> frozenset[str]:
    """Return the metrics of which two components have the very same series: they tell of a place that the two share."""
    seen: set[tuple[str, bytes]] = set()
    shared = set()
    for metric, values in zip(metrics.columns.get_level_values(1), metrics.to_numpy(dtype=float).T, strict=True):
        if not np.nanmax(values, initial=-np.inf) > np.nanmin(values, initial=np.inf):
            continue  # a flat line is no likeness
        key = str(metric), values.tobytes()
        if key in seen:
            shared.add(str(metric))
        seen.add(key)
    return frozenset(shared)


def _levels_after(metrics: pd.DataFrame, is_after: np.ndarray, settings: LevelSettings) -> np.ndarray:
    """Two rows: the median of the first time after, and of all of it."""
    values = metrics.to_numpy(dtype=float)[is_after]
    seconds = (metrics.index[is_after] - metrics.index[is_after][0]).total_seconds().to_numpy()
    first = max(settings.first_rows, int(np.searchsorted(seconds, settings.first_seconds)))
    return np.vstack([column_medians(values[:first]), column_medians(values)])


def _deviation(rows: np.ndarray) -> np.ndarray:
    """The standard deviation of each column, 0 where it has no values; unlike the robust one it sees what seldom happens."""
    known = ~np.isnan(rows)
    count = np.maximum(known.sum(axis=0), 1)
    values = np.where(known, rows, 0.0)
    mean = values.sum(axis=0) / count
    return np.asarray(np.sqrt(np.where(known, (values - mean) ** 2, 0.0).sum(axis=0) / count))


def _scale_of(names: np.ndarray, usual: np.ndarray, after: np.ndarray, floor_share: float) -> np.ndarray:
    """The highest usual level of each metric among all components that have it; at least a share of the highest reached.

    Args:
        names: Of the metrics.
        usual: What a series reaches on a usual day.
        after: Two rows, as of :func:`_levels_after`.
        floor_share: That share.
    """
    codes, _ = pd.factorize(names)
    highest = np.zeros(codes.max() + 1)
    np.maximum.at(highest, codes, np.nan_to_num(usual))
    reached = np.nan_to_num(np.abs(after)).max(axis=0)
    np.maximum.at(highest, codes, floor_share * reached)
    return np.maximum(highest[codes], _EPSILON)


def _furthest(rows: np.ndarray) -> np.ndarray:
    """Of each column the row whose value is furthest from 0; a missing one is not far."""
    return np.asarray(np.argmax(np.nan_to_num(np.abs(rows), nan=-1.0), axis=0))
