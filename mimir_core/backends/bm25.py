"""bm25s: whole pages by BM25, the baseline that hybrid search has to beat."""

import logging
from collections.abc import Mapping

import bm25s  # type: ignore[import-untyped]

from mimir_core.knowledge.index import separate


class Bm25Pages:
    """Ranks pages by the words of a question (Lucene's variant, k1 = 1.5, b = 0.75); joined words count as their parts."""

    def __init__(self, pages: Mapping[str, str]) -> None:
        """Index ``pages``: text by path."""
        logging.getLogger("bm25s").setLevel(logging.WARNING)  # it logs every step at debug level, to stderr
        self._paths = list(pages)
        self._bm25 = bm25s.BM25()
        self._bm25.index(_tokens(pages.values()), show_progress=False)

    def rank(self, question: str) -> list[str]:
        """Return every page, best first; equal ones in the order they were given."""
        scores = self._bm25.get_scores(_tokens([question])[0])
        return [self._paths[i] for i in sorted(range(len(self._paths)), key=lambda i: (-scores[i], i))]


def _tokens(texts: object) -> list[list[str]]:
    split = [separate(text) for text in texts]  # type: ignore[attr-defined]
    return bm25s.tokenize(split, stopwords="en", return_ids=False, show_progress=False)  # type: ignore[no-any-return]
