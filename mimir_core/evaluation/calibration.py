"""Whether a stated confidence can be believed.

Comes in: for each answered case a confidence in [0, 1] and whether the answer was right. Goes out: figures. Surprise: answers of
equal confidence share their mean, so that no figure depends on the order in which the cases came.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_BINS = 10


class Calibration(NamedTuple):
    """What the confidences of one run are worth."""

    cases: int
    ece: float
    """Expected calibration error: how far confidence and share of right answers are apart, in bins of equal mass."""
    overconfidence: float
    """The part of it that comes of confidence above the share of right answers: too much trust, not too little."""
    auroc: float | None
    """How likely a right answer is more confident than a wrong one; None when there are only right or only wrong ones."""
    brier: float
    """Mean squared error of the confidence; less is better."""
    brier_of_constant: float
    """The same for one who always states the share of right answers, and so tells nothing apart."""
    accuracy_at_50: float
    """Share of right answers among the more confident half."""
    accuracy_at_80: float


def calibration_of(confidences: Sequence[float], right: Sequence[bool]) -> Calibration:
    """Return the figures of one run.

    Raises:
        ValueError: There is no case, or the two differ in length.

    >>> figures = calibration_of([0.9, 0.8, 0.3, 0.2], [True, True, False, False])
    >>> figures.auroc, figures.brier, figures.brier_of_constant, figures.accuracy_at_80
    (1.0, 0.045, 0.25, 0.6667)
    """
    if not confidences or len(confidences) != len(right):
        raise ValueError(f"{len(confidences)} confidences for {len(right)} answers")
    stated, was_right = np.array(confidences, dtype=float), np.array(right, dtype=float)
    share = was_right.mean()
    auroc, gaps = area_under_roc(stated, was_right > 0), calibration_gaps(stated, was_right)
    return Calibration(
        cases=len(stated),
        ece=_rounded(np.abs(gaps).sum()),
        overconfidence=_rounded(gaps.clip(min=0).sum()),
        auroc=None if auroc is None else _rounded(auroc),
        brier=_rounded(((stated - was_right) ** 2).mean()),
        brier_of_constant=_rounded(share * (1 - share)),
        accuracy_at_50=_rounded(accuracy_at(0.5, stated, was_right)),
        accuracy_at_80=_rounded(accuracy_at(0.8, stated, was_right)),
    )


def calibration_gaps(stated: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far confidence is above the share of right answers in each of ten bins of equal mass, weighed by that mass.

    The sum of their absolute values is the expected calibration error (Nguyen and O'Connor, 2015).

    >>> calibration_gaps(np.full(4, 0.75), np.array([1.0, 1.0, 1.0, 0.0])).sum().item()
    0.0
    """
    order = np.argsort(stated)
    gaps = (stated - _mean_of_equals(stated, right))[order]
    return np.array([gaps_in_bin.sum() for gaps_in_bin in np.array_split(gaps, _BINS)]) / len(gaps)


def area_under_roc(stated: NDArray[np.float64], right: NDArray[np.bool_]) -> float | None:
    """Return the chance that a right answer is more confident than a wrong one, a tie counting half (Mann and Whitney, 1947).

    >>> area_under_roc(np.array([0.9, 0.5, 0.5]), np.array([True, True, False]))
    0.75
    >>> area_under_roc(np.array([0.9, 0.5]), np.array([True, True])) is None
    True
    """
    ahead = stated[right][:, None] - stated[~right]
    return float(((ahead > 0) + (ahead == 0) / 2).mean()) if ahead.size else None


def accuracy_at(coverage: float, stated: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    """Return the share of right answers when only the most confident ones are given.

    Args:
        coverage: Share of the cases that are answered, rounded to whole cases, at least one.
        stated: Shape (cases,).
        right: Shape (cases,), 1 for a right answer.

    >>> float(accuracy_at(0.5, np.array([0.9, 0.1, 0.9, 0.9]), np.array([1.0, 0.0, 1.0, 0.0]))).__round__(2)
    0.67
    """
    answered = np.argsort(-stated)[: max(1, round(coverage * len(stated)))]
    return float(_mean_of_equals(stated, right)[answered].mean())


def _mean_of_equals(stated: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give every answer the mean of those that are as confident."""
    _, group = np.unique(stated, return_inverse=True)
    return np.asarray((np.bincount(group, right) / np.bincount(group))[group])


def _rounded(value: float) -> float:
    return round(float(value), 4)
