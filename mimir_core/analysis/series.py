"""One series -> what kind of series it is, where it breaks, and its values on a regular grid.

Comes in: times in unix seconds, never going back, and values, NaN where the source had none. Goes out: a :class:`Shape`,
breaks, a :class:`Grid`, rates. Surprise: a break of the sampling (a gap, a flat line, a restart) says nothing about the level
of the values, so it is a finding of its own and no anomalous point.
"""

from enum import StrEnum
from typing import NamedTuple

import numpy as np
import pandas as pd

from mimir_core.config import AnomalySettings

_MIN_MOVES = 10
"""Changes of value needed before a series is called a counter."""
_MAX_RESET_SHARE = 0.05
"""Share of the changes that may be resets."""
_RESET_TO = 0.5
"""After a restart a counter shows at most this share of what it showed before."""


class SeriesKind(StrEnum):
    """What the values mean."""

    GAUGE = "gauge"
    COUNTER = "counter"
    CONSTANT = "constant"


class Shape(NamedTuple):
    """What a series looks like, before anyone asks whether it is well."""

    kind: SeriesKind
    step_seconds: float
    missing: int
    """Points without a value."""
    quantum: float | None
    """All values are multiples of this number, such as 1 for counts; None where there is none."""


class BreakKind(StrEnum):
    """How a series can stop telling anything."""

    GAP = "gap"
    FLAT = "flat"
    RESET = "reset"
    APPEARED = "appeared"
    VANISHED = "vanished"


class Break(NamedTuple):
    """From the last good point to the next one, in unix seconds."""

    kind: BreakKind
    start: float
    stop: float


class Grid(NamedTuple):
    """A series with one value a step."""

    step_seconds: float
    values: np.ndarray
    """Shape (slots,), NaN where no point fell."""
    slots: np.ndarray
    """Shape (n,): the slot of each point that came in."""


def describe_series(times: np.ndarray, values: np.ndarray) -> Shape:
    """Say what kind of series this is.

    A counter only grows, except that it may start again (Prometheus documentation, metric types). Whoever has a filling disk,
    which only grows as well, wants its values: :func:`mimir_core.analysis.forecast.forecast_limit` does not ask.

    >>> describe_series(np.arange(30.0) * 60, np.arange(30.0) % 20 * 7)
    Shape(kind=<SeriesKind.COUNTER: 'counter'>, step_seconds=60.0, missing=0, quantum=7.0)
    """
    there = values[~np.isnan(values)]
    distinct = np.unique(there)
    kind = SeriesKind.CONSTANT if len(distinct) <= 1 else SeriesKind.COUNTER if _is_counter(there) else SeriesKind.GAUGE
    return Shape(kind, sampling_step(times), int(np.isnan(values).sum()), _quantum(distinct))


def sampling_step(times: np.ndarray) -> float:
    """Return the usual distance of two points in seconds, 1 where there is only one time."""
    steps = np.diff(times)
    return float(np.median(steps[steps > 0])) if (steps > 0).any() else 1.0


def resample(times: np.ndarray, values: np.ndarray, longest_gap: int) -> Grid:
    """Put a series on a grid of its own step; points that share a slot become their median.

    Args:
        times: Shape (n,), unix seconds, never going back.
        values: Shape (n,).
        longest_gap: In steps; a longer gap is cut to it, so that one lost year does not become a million slots.
    """
    step = sampling_step(times)
    jumps = np.minimum(np.diff(times, prepend=times[:1]) / step, longest_gap)
    slots = np.round(np.cumsum(jumps)).astype(int)
    by_slot = pd.Series(values).groupby(slots).median()
    return Grid(step, by_slot.reindex(range(slots[-1] + 1)).to_numpy(dtype=float), slots)


def rate_of(times: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the growth of a counter a second, NaN at the first point and where time stands still.

    After a restart the counter itself is what has grown since (Prometheus documentation, ``rate``).

    >>> rate_of(np.array([0.0, 10.0, 20.0]), np.array([100.0, 150.0, 30.0])).tolist()
    [nan, 5.0, 3.0]
    """
    grown = np.diff(values, prepend=np.nan)
    grown = np.where(grown < 0, values, grown)
    passed = np.diff(times, prepend=np.nan)
    return np.asarray(np.divide(grown, passed, out=np.full(len(values), np.nan), where=passed > 0))


def find_breaks(times: np.ndarray, values: np.ndarray, window: tuple[float, float], settings: AnomalySettings) -> list[Break]:
    """Return where a series stops telling anything, in order of time.

    Args:
        times: Shape (n,), unix seconds, never going back.
        values: Shape (n,).
        window: The time that was asked for: a series that starts later has appeared, one that ends earlier has vanished.
        settings: The ``anomaly`` section.
    """
    there = ~np.isnan(values)
    times, values = times[there], values[there]
    if not len(times):
        return [Break(BreakKind.GAP, *window)]
    patience = settings.gap_steps * sampling_step(times)
    breaks = [Break(BreakKind.GAP, *times[at : at + 2].tolist()) for at in np.flatnonzero(np.diff(times) > patience)]
    if times[0] - window[0] > patience:
        breaks.append(Break(BreakKind.APPEARED, window[0], float(times[0])))
    if window[1] - times[-1] > patience:
        breaks.append(Break(BreakKind.VANISHED, float(times[-1]), window[1]))
    if describe_series(times, values).kind is SeriesKind.COUNTER:
        breaks += [Break(BreakKind.RESET, *times[at : at + 2].tolist()) for at in np.flatnonzero(np.diff(values) < 0)]
    breaks += [Break(BreakKind.FLAT, times[start], times[stop - 1]) for start, stop in _flat_lines(values, settings.flat_points)]
    return sorted(breaks, key=lambda one: one.start)


def runs_of(mask: np.ndarray) -> list[tuple[int, int]]:
    """Return the runs of true values as (first, one past the last).

    >>> runs_of(np.array([True, True, False, True]))
    [(0, 2), (3, 4)]
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(int)))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def _flat_lines(values: np.ndarray, flat_points: int) -> list[tuple[int, int]]:
    """Runs of one value that are long, longer than any before, and no way of being of this series: it moved before."""
    flat, longest = [], 0
    for start, stop in runs_of(np.diff(values) == 0):
        length = stop + 1 - start
        if start and length >= max(flat_points, 2 * longest):
            flat.append((start, stop + 1))
        longest = max(longest, length)
    return flat


def _is_counter(values: np.ndarray) -> bool:
    moves = np.diff(values)
    drops = np.flatnonzero(moves < 0)
    return bool(
        (values >= 0).all()
        and np.count_nonzero(moves) >= _MIN_MOVES
        and len(drops) <= _MAX_RESET_SHARE * np.count_nonzero(moves)
        and (values[drops + 1] <= _RESET_TO * values[drops]).all()
    )


def _quantum(distinct: np.ndarray) -> float | None:
    """Return the smallest step between two values if every value is a multiple of it."""
    if len(distinct) <= 1:
        return None
    quantum = float(np.diff(distinct).min())
    multiples = distinct / quantum
    return quantum if np.allclose(multiples, np.round(multiples), rtol=0, atol=1e-6) else None
