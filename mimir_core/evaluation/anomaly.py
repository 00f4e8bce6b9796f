"""Flags against labels: points, segments, and what trivial answers would have scored.

Comes in: a flag and a label for each point of each series. Goes out: counts, and F1 with its interval.

A segment is a run of points without a gap. A labelled segment is hit if a flagged point lies in it, and counts once, however
often it is hit; a flagged segment is false if it touches no label. F1 of segments is 2 hit / (2 hit + missed + false).
Surprise: one flag from end to end has a perfect F1 of segments wherever there is a label; alone, segments mean nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mimir_core.analysis.series import runs_of

_DRAWS = 2000
_SEED = 0
_DAY = 86400


class Counts(NamedTuple):
    """What one or several series came to."""

    true_points: int
    false_points: int
    missed_points: int
    hit_segments: int
    false_segments: int
    missed_segments: int


def count(flagged: np.ndarray, labels: np.ndarray) -> Counts:
    """Compare the flags of one series with its labels; both boolean, shape (n,).

    >>> count(np.array([True, False, True, True]), np.array([False, False, False, True]))
    Counts(true_points=1, false_points=2, missed_points=0, hit_segments=1, false_segments=1, missed_segments=0)
    """
    segments = runs_of(labels)
    hit = sum(flagged[start:stop].any() for start, stop in segments)
    false = sum(not labels[start:stop].any() for start, stop in runs_of(flagged))
    return Counts(
        true_points=int((flagged & labels).sum()),
        false_points=int((flagged & ~labels).sum()),
        missed_points=int((labels & ~flagged).sum()),
        hit_segments=int(hit),
        false_segments=false,
        missed_segments=len(segments) - int(hit),
    )


def f1(right: float, false: float, missed: float) -> float:
    """Harmonic mean of precision and recall; 0 where nothing is right."""
    return 2 * right / (2 * right + false + missed) if right else 0.0


def summarize(series: Sequence[Counts], days: float) -> dict[str, Any]:
    """Add up the series; the intervals come from drawing whole series with replacement (Efron, 1979).

    Args:
        series: One each.
        days: How long they are together.
    """
    table = np.array(series)
    total = table.sum(axis=0).tolist()
    true_points, false_points, missed_points = total[:3]
    draws = np.random.default_rng(_SEED).integers(len(table), size=(_DRAWS, len(table)))
    drawn = table[draws].sum(axis=1)
    return {
        **Counts(*total)._asdict(),
        "point_precision": _share(true_points, true_points + false_points),
        "point_recall": _share(true_points, true_points + missed_points),
        "point_f1": round(f1(*total[:3]), 4),
        "point_f1_interval": _interval(drawn[:, :3]),
        "segment_f1": round(f1(*total[3:]), 4),
        "segment_f1_interval": _interval(drawn[:, 3:]),
        "false_points_per_day": round(false_points / max(days, 1 / _DAY), 2),
    }


def baselines(share: float) -> Mapping[str, Callable[[np.ndarray], np.ndarray]]:
    """Answers that take no thought, each from the values of a series, shape (n,).

    Args:
        share: How much the random one flags: as much as the method that it stands beside.
    """
    return {
        "nothing": lambda values: np.zeros(len(values), dtype=bool),
        "everything": lambda values: np.ones(len(values), dtype=bool),
        "random": lambda values: np.random.default_rng(_SEED + len(values)).random(len(values)) < share,
        "static": lambda values: values > _quantile(values[: len(values) // 2]),
    }


def _quantile(values: np.ndarray) -> float:
    """The threshold that somebody writes down after having watched for a while."""
    return float(np.nanquantile(values, 0.995)) if (~np.isnan(values)).any() else np.inf


def _interval(drawn: np.ndarray) -> list[float]:
    figures = [f1(*row) for row in drawn.tolist()]
    return [round(float(end), 4) for end in np.quantile(figures, (0.025, 0.975))]


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None
