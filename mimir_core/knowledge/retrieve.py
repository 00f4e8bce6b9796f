"""A question -> the passages that answer it best.

Comes in: words. Goes out: passages, best first. Method: vector search and full-text search, each with its own ranking,
fused by reciprocal rank, score = sum of 1 / (k + rank) (Cormack, Clarke and Buettcher, SIGIR 2009). Surprise: the order is
that of the fusion, but the score of a passage is its cosine similarity, because only that compares between questions.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

import numpy as np

from mimir_core.config import RetrieveSettings
from mimir_core.errors import InputError
from mimir_core.knowledge.index import Embedder
from mimir_core.records import Chunk, Passage


class Hit(NamedTuple):
    """One chunk of an index with its vector."""

    chunk: Chunk
    vector: np.ndarray


class IndexVersion(NamedTuple):
    """What is known of one published index."""

    tag: str
    published_at: datetime
    chunks: int
    model: str
    """The model that its vectors come from."""
    is_current: bool


class Edition(Protocol):
    """One published index. It stays as it is while another becomes current."""

    @property
    def version(self) -> IndexVersion:
        """Which one it is."""
        ...

    def nearest(self, vector: np.ndarray, limit: int) -> list[Hit]:
        """Return the chunks nearest to ``vector``, best first."""
        ...

    def matching(self, words: str, limit: int) -> list[Hit]:
        """Return the chunks that hold any of the words, best first."""
        ...


class KnowledgeIndex(Protocol):
    """Where indexes are published."""

    def current(self) -> Edition | None:
        """Return the current edition, or None when nothing is published."""
        ...


class Searcher:
    """Hybrid search over the current index."""

    def __init__(self, index: KnowledgeIndex, embedder: Embedder, settings: RetrieveSettings) -> None:
        self._index = index
        self._embedder = embedder
        self._settings = settings

    @property
    def version(self) -> str | None:
        """The tag of the current index; None when nothing is published."""
        current = self._index.current()
        return current.version.tag if current else None

    def search(self, query: str, top_k: int) -> list[Passage]:
        """Return the best ``top_k`` passages; none when nothing is published or the query is empty.

        Raises:
            InputError: The index was made with another model than the one that would read the query.
        """
        edition = self._index.current()
        if edition is None or not query.strip():
            return []
        version = edition.version
        if version.model != self._embedder.model:
            raise InputError(
                f"the published index {version.tag} was made with {version.model}, params.yaml says {self._embedder.model}: "
                "run `dvc repro` and `mimir knowledge publish`"
            )
        vector = self._embedder.embed([query])[0]
        limit = max(self._settings.candidates, top_k)
        rankings = (edition.nearest(vector, limit), edition.matching(query, limit))
        hits = {hit.chunk.id: hit for ranking in rankings for hit in ranking}
        fused = fuse_ranks([[hit.chunk.id for hit in ranking] for ranking in rankings], self._settings.rrf_k)
        return [
            Passage(
                chunk=hits[chunk_id].chunk,
                score=round(float(np.dot(vector, hits[chunk_id].vector)), 4),
                rank=rank,
                index_version=version.tag,
                published_at=version.published_at,
            )
            for rank, chunk_id in enumerate(fused[:top_k], start=1)
        ]


def fuse_ranks(rankings: Sequence[Sequence[str]], k: int) -> list[str]:
    """Fuse rankings by reciprocal rank; equal scores in the order of ids.

    >>> fuse_ranks([["a", "b"], ["b", "c"]], k=60)
    ['b', 'a', 'c']
    """
    scores: dict[str, float] = defaultdict(float)
    for ranking in rankings:
        for rank, item in enumerate(ranking, start=1):
            scores[item] += 1 / (k + rank)
    return sorted(scores, key=lambda item: (-scores[item], item))
