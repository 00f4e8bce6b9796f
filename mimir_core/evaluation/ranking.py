"""Rankings of components against the component at fault: AC@k, Avg@5, their intervals, and what trivial rankings score.

Comes in: a ranking (best first) and a truth for each case. Goes out: figures with 95 % intervals. Between them stands one
array, a row for each case and a column for each of :data:`FIGURES`; so a paired comparison is a subtraction. Surprises: ties
are decided by the ranking, and what is not ranked is a miss; the baseline `prior` knows the truths of the other cases, which no
method does.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FIGURES = ("AC@1", "AC@3", "AC@5", "Avg@5")
_DEEPEST = 5
_RESAMPLES = 2000
_SEED = 0

Hits = NDArray[np.float64]
"""Shape (cases, 4): how well each case was answered, by each of :data:`FIGURES`."""


class Figure(NamedTuple):
    """A mean over cases and its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


def hits_of(rankings: Mapping[str, Sequence[str]], truths: Mapping[str, str]) -> Hits:
    """Return the hits of ``rankings`` on the cases of ``truths``, in their order.

    AC@k: the truth is among the first k; Avg@5: the mean of AC@1 to AC@5 (Pham et al., "RCAEval", WWW 2025).

    >>> hits_of({"a": ["web", "db"]}, {"a": "db", "b": "web"}).tolist()
    [[0.0, 1.0, 1.0, 0.8], [0.0, 0.0, 0.0, 0.0]]
    """
    ranks = [_rank(rankings.get(case, ()), truth) for case, truth in truths.items()]
    return _figures(np.array([[rank <= k for k in range(1, _DEEPEST + 1)] for rank in ranks], dtype=float))


def random_hits(candidates: Mapping[str, Sequence[str]], truths: Mapping[str, str]) -> Hits:
    """Return what a random order of the candidates is expected to hit: AC@k is k of n.

    >>> random_hits({"a": ["web", "db", "queue", "cache"]}, {"a": "db"}).round(2).tolist()
    [[0.25, 0.75, 1.0, 0.7]]
    """
    rows = [
        [min(k / len(candidates[case]), 1) if truth in candidates[case] else 0 for k in range(1, _DEEPEST + 1)]
        for case, truth in truths.items()
    ]
    return _figures(np.array(rows, dtype=float))


def prior_rankings(candidates: Mapping[str, Sequence[str]], truths: Mapping[str, str]) -> dict[str, list[str]]:
    """Rank the candidates of each case by how often they were at fault in the other cases of the system; ties by name.

    Where every component is at fault about as often, this is worse than chance: the right one has just been taken out.

    >>> prior_rankings({"a": ["db", "web"], "b": ["db", "web"]}, {"a": "web", "b": "db"})
    {'a': ['db', 'web'], 'b': ['web', 'db']}
    """
    rankings = {}
    for case, names in candidates.items():
        elsewhere = Counter(truth for other, truth in truths.items() if other != case)
        rankings[case] = sorted(names, key=lambda name: (-elsewhere[name], name))
    return rankings


def score_hits(hits: Hits) -> dict[str, Figure]:
    """Return the mean of each figure with its percentile bootstrap interval over cases (Efron and Tibshirani, 1993, chapter 13).

    Args:
        hits: Of one method; or of one less those of another on the same cases, for the paired difference.

    Raises:
        ValueError: There is no case.

    >>> print(score_hits(hits_of({"a": ["web"], "b": ["web"]}, {"a": "web", "b": "db"}))["AC@1"])
    0.50 [0.00, 1.00]
    """
    if not len(hits):
        raise ValueError("no case to score")
    return dict(zip(FIGURES, mean_of(hits), strict=True))


def mean_of(rows: NDArray[np.float64]) -> list[Figure]:
    """Return the mean of each column with its interval; the same rows give the same figures.

    >>> print(*mean_of(np.array([[1.0, 0.0], [1.0, 1.0]])))
    1.00 [1.00, 1.00] 0.50 [0.00, 1.00]
    """
    drawn = np.random.default_rng(_SEED).integers(len(rows), size=(_RESAMPLES, len(rows)))
    low, high = np.percentile(rows[drawn].mean(axis=1), (2.5, 97.5), axis=0)
    columns = zip(rows.mean(axis=0).tolist(), low.tolist(), high.tolist(), strict=True)
    return [Figure(*(round(value, 4) for value in column)) for column in columns]


def _rank(ranking: Sequence[str], truth: str) -> float:
    return ranking.index(truth) + 1 if truth in ranking else np.inf


def _figures(at: NDArray[np.float64]) -> Hits:
    """Turn AC@1 to AC@5, shape (cases, 5), into the columns of :data:`FIGURES`."""
    at = at.reshape(-1, _DEEPEST)
    return np.column_stack([at[:, 0], at[:, 2], at[:, 4], at.mean(axis=1)])
