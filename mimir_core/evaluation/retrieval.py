"""Rankings of pages against the pages that answer: hit@k, MRR and nDCG.

Comes in: for each question a ranking of pages and the pages that answer it. Goes out: the means over the questions.
Surprise: a question may have several right pages; hit@k and MRR look at the first of them, nDCG at all (Järvelin and
Kekäläinen, "Cumulated Gain-Based Evaluation of IR Techniques", 2002). A right page that is not ranked counts as a miss.
"""

from collections.abc import Mapping, Sequence
from math import log2
from statistics import fmean

HITS = (1, 5, 10)
_DEPTH = 10


def score_rankings(rankings: Mapping[str, Sequence[str]], relevant: Mapping[str, set[str]]) -> dict[str, float]:
    """Return the mean figures over the questions of ``relevant``.

    >>> score_rankings({"q": ["a", "b"]}, {"q": {"b"}})["mrr"]
    0.5
    """
    ranks = {question: _ranks(rankings.get(question, ()), right) for question, right in relevant.items()}
    figures = {f"hit@{k}": fmean(bool(found) and found[0] <= k for found in ranks.values()) for k in HITS}
    figures["mrr"] = fmean(1 / found[0] if found else 0.0 for found in ranks.values())
    figures["ndcg@10"] = fmean(_ndcg(found, len(relevant[question])) for question, found in ranks.items())
    return {name: round(figure, 4) for name, figure in figures.items()}


def _ranks(ranking: Sequence[str], right: set[str]) -> list[int]:
    """Where the right pages stand, best first, counted from 1."""
    return [rank for rank, page in enumerate(ranking, start=1) if page in right]


def _ndcg(ranks: Sequence[int], right: int) -> float:
    gained = sum(1 / log2(rank + 1) for rank in ranks if rank <= _DEPTH)
    return gained / sum(1 / log2(rank + 1) for rank in range(1, min(right, _DEPTH) + 1))
