"""When a series leaves the course it was on.

Comes in: the values of one series. Goes out: the position where it departs, or None. Surprise: the course is a line, not a level,
so a slow rise that was there all along is no departure and a bend in it is; a bend is dated to where it begins, not to where
it can be told from noise, since the question is what happened just before it.
"""

import math
from typing import NamedTuple

import numpy as np

from mimir_core.analysis.robust import MAD_TO_SIGMA

_SHARE_OF_GAP = 0.1
_LEAST_GAP = 3
_IN_A_ROW = 3
_LOOK_AHEAD = 10
_SHARE_THAT_STAYS = 0.7
_STILL_AWAY = 2.0
"""Sigmas; going back from a departure, the first point nearer to the line than this is the last on course."""
_EPSILON = 1e-9


class Band(NamedTuple):
    """How far from its course a series may be."""

    sigmas: float
    min_relative_change: float
    """The band is at least this share of the level."""


def find_departure(values: np.ndarray, min_points: int, band: Band) -> int | None:
    """Return the first position from which ``values`` stay away from the line through all earlier points.

    Least squares over a growing window, with a gap between the window and the tested point so that the beginning of a slow
    bend does not bend the line along; the band is that of a prediction from the line (Draper and Smith, Applied Regression
    Analysis, 3rd edition, section 1.4), with the robust residual as sigma.

    Args:
        values: Shape (n,), no NaN.
        min_points: Points in the shortest window.
        band: About the line.

    >>> ramp = np.concatenate([np.full(20, 5.0), 5.0 + np.arange(1, 21)])
    >>> find_departure(ramp, 8, Band(6, 0.1)), find_departure(np.arange(40.0), 8, Band(6, 0.1))
    (20, None)
    """
    count = len(values)
    gap = max(_LEAST_GAP, math.ceil(_SHARE_OF_GAP * count))
    for position in range(min_points + gap, count - 1):
        away, sigma = _distance(values[: position - gap], values[position : position + _LOOK_AHEAD], gap, band)
        side = np.sign(away[0])
        beyond = away * side > band.sigmas * sigma
        if beyond[:_IN_A_ROW].all() and beyond.mean() >= _SHARE_THAT_STAYS:
            back, sigma = _distance(values[: position - gap], values[position - gap : position], 0, band)
            near = np.flatnonzero(back * side <= _STILL_AWAY * sigma)
            return position - gap + (int(near[-1]) + 1 if len(near) else 0)
    return None


def is_drifting(values: np.ndarray, band: Band) -> bool:
    """Whether ``values`` have gone one way all along: the line through them leaves the band about their level.

    >>> is_drifting(np.arange(40.0), Band(6, 0.1)), is_drifting(np.tile([1.0, 2.0], 20), Band(6, 0.1))
    (True, False)
    """
    position = np.arange(len(values))
    slope, level = np.polyfit(position, values, 1)
    noise = MAD_TO_SIGMA * float(np.median(np.abs(values - level - slope * position)))
    moved = abs(float(slope)) * len(values)
    return moved > max(band.sigmas * noise, band.min_relative_change * abs(float(np.median(values))), _EPSILON)


def _distance(window: np.ndarray, later: np.ndarray, gap: int, band: Band) -> tuple[np.ndarray, np.ndarray]:
    """How far the points ``later``, which start ``gap`` after the window, are from its line, and sigma at each."""
    x = np.arange(len(window)) - (len(window) - 1) / 2
    spread, level = float((x**2).sum()), float(window.mean())
    slope = float((x * (window - level)).sum()) / spread
    noise = MAD_TO_SIGMA * float(np.median(np.abs(window - level - slope * x)))
    ahead = np.arange(len(later)) + x[-1] + 1 + gap
    sigma = noise * np.sqrt(1 + 1 / len(window) + ahead**2 / spread)
    floor = max(band.min_relative_change * abs(float(np.median(window))), _EPSILON) / band.sigmas
    return later - level - slope * ahead, np.maximum(sigma, floor)
