# ruff: noqa: INP001  # a script, not a package
"""Learn the weights of the ranking (params.yaml: retrieve.weights), and say how well they do on sources they have not seen.

Comes in: a folder as ``mimir bench retrieval`` takes, whose pairs name their ``source``. Goes out: a table, and the weights.
Method: a linear model over the features of mimir_core/knowledge/rerank.py that maximises the probability of the right page
among the candidates (listwise softmax; Cao et al., "Learning to Rank", ICML 2007), weights not negative, L2. Figures come
from leaving one source out: its questions are answered with weights that saw none of its pages. The weights printed last
are learned from all sources: on these pairs their own figures would be flattered.
"""

import json
import sys
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.optimize import minimize

from mimir_core.config import read_params
from mimir_core.evaluation.retrieval import score_rankings
from mimir_core.knowledge.rerank import Features, compare
from mimir_core.knowledge.retrieve import find
from tasks import paths, wiring
from tasks.bench_retrieval import Pair, pages_of, publish_corpus, read_pairs

L2 = 0.01


class Candidates:
    """The chunks that any search found for one question."""

    def __init__(self, pair: Pair, source: str, rows: np.ndarray, pages: list[str]) -> None:
        self.pair = pair
        self.source = source
        self.rows = rows
        self.pages = pages
        self.right = np.array([page in pair.relevant for page in pages])

    def rank(self, weights: np.ndarray) -> list[str]:
        """Return the pages, best first."""
        order = np.argsort(-(self.rows @ weights), kind="stable")
        return list(dict.fromkeys(self.pages[i] for i in order))


def learn(candidates: list[Candidates]) -> np.ndarray:
    """Return the weights that make the right pages most probable."""
    usable = [found for found in candidates if found.right.any()]

    def loss(weights: np.ndarray) -> float:
        total = 0.0
        for found in usable:
            scores = found.rows @ weights
            total += np.logaddexp.reduce(scores) - np.logaddexp.reduce(scores[found.right])
        return float(total / len(usable) + L2 * weights @ weights)

    start = np.ones(len(Features._fields))
    return np.asarray(minimize(loss, start, bounds=[(0, None)] * len(start), method="L-BFGS-B").x)


def main() -> None:
    """Print the figures by source, and the weights."""
    folder, params = Path(sys.argv[1]), read_params(paths.PARAMS)
    sources = [json.loads(line)["source"] for line in (folder / "pairs.jsonl").read_text(encoding="utf-8").splitlines()]
    edition = publish_corpus(folder, params, lambda _: None).published.current()
    embedder = wiring.embedder_from(params.index)
    assert edition  # noqa: S101  # just published
    candidates = []
    for pair, source in zip(read_pairs(folder / "pairs.jsonl"), sources, strict=True):
        found = find(edition, embedder.embed([pair.question.words])[0], pair.question, params.retrieve.candidates)
        pages = [page for item in found for page in pages_of([item.chunk])]
        candidates.append(Candidates(pair, source, compare(pair.question.words, found), pages))

    rankings: dict[str, list[str]] = {}
    table = Table("source left out", "questions", "hit@1", "hit@5", "mrr", "ndcg@10")
    for source in dict.fromkeys(sources):
        weights = learn([found for found in candidates if found.source != source])
        rankings |= {found.pair.id: found.rank(weights) for found in candidates if found.source == source}
        _add_row(table, source, rankings, [found.pair for found in candidates if found.source == source])
    _add_row(table, "all", rankings, [found.pair for found in candidates])
    console = Console(width=None if sys.stdout.isatty() else 110)
    console.print(table)
    learned = zip(Features._fields, learn(candidates), strict=True)
    console.print("weights: " + ", ".join(f"{name}: {weight:.2f}" for name, weight in learned))


def _add_row(table: Table, name: str, rankings: dict[str, list[str]], pairs: list[Pair]) -> None:
    figures = score_rankings(rankings, {pair.id: set(pair.relevant) for pair in pairs})
    table.add_row(name, str(len(pairs)), *(f"{figures[key]:.3f}" for key in ("hit@1", "hit@5", "mrr", "ndcg@10")))


if __name__ == "__main__":
    main()
