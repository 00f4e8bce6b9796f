"""A question -> the passages that answer it best.

Comes in: words. Goes out: passages, best first. Method: vector search and full-text search over title, headings and text
each find candidates; a linear model over the features of ``rerank`` orders them, with weights learned by
benchmarks/reranking.py. Surprise: the order is that of the model, but the score of a passage is its cosine similarity,
because only that compares between questions.
"""

from datetime import datetime
from typing import NamedTuple, Protocol

import numpy as np

from mimir_core.config import RetrieveSettings
from mimir_core.errors import InputError
from mimir_core.knowledge.index import Embedder
from mimir_core.knowledge.question import Question
from mimir_core.knowledge.rerank import Features, Found, compare
from mimir_core.records import Chunk, Passage


class Hit(NamedTuple):
    """One chunk of an index with its vector, and what the search that found it thinks of it."""

    chunk: Chunk
    vector: np.ndarray
    score: float


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
        """Return the chunks nearest to ``vector``, best first, with their cosine."""
        ...

    def matching(self, words: str, field: str, limit: int) -> list[Hit]:
        """Return the chunks that hold any of the words in a field of ``SearchedText``, best first, with their BM25 score."""
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

    def search(self, question: Question, top_k: int) -> list[Passage]:
        """Return the best ``top_k`` passages; none when nothing is published or the question is empty.

        Raises:
            InputError: The index was made with another model than the one that would read the question.
        """
        edition = self._edition()
        if edition is None or not question.words.strip():
            return []
        found = find(edition, self._embedder.embed([question.words])[0], question, max(self._settings.candidates, top_k))
        scores = compare(question.words, found) @ np.array(Features(**self._settings.weights.model_dump()))
        order = sorted(range(len(found)), key=lambda i: (-scores[i], found[i].chunk.id))
        return [
            Passage(
                chunk=found[i].chunk,
                score=round(found[i].cosine, 4),
                rank=rank,
                index_version=edition.version.tag,
                published_at=edition.version.published_at,
            )
            for rank, i in enumerate(order[:top_k], start=1)
        ]

    def nearest(self, words: str, top_k: int) -> list[Chunk]:
        """Return the ``top_k`` chunks nearest to ``words`` by their vectors alone: what hybrid search is measured against."""
        edition = self._edition()
        return [hit.chunk for hit in edition.nearest(self._embedder.embed([words])[0], top_k)] if edition else []

    def _edition(self) -> Edition | None:
        edition = self._index.current()
        if edition and edition.version.model != self._embedder.model:
            raise InputError(
                f"the published index {edition.version.tag} was made with {edition.version.model}, "
                f"params.yaml says {self._embedder.model}: run `dvc repro` and `mimir knowledge publish`"
            )
        return edition


def find(edition: Edition, vector: np.ndarray, question: Question, limit: int) -> list[Found]:
    """Ask every search for its best ``limit`` chunks; return them all, each with what every search said of it."""
    matches: dict[str, dict[str, float]] = {}
    hits = {hit.chunk.id: hit for hit in edition.nearest(vector, limit)}
    for feature, words, field in (
        ("title", question.words, "title"),
        ("heading", question.words, "heading"),
        ("body", question.words, "body"),
        ("names", question.names, "body"),
    ):
        for hit in edition.matching(words, field, limit) if words.strip() else ():
            hits.setdefault(hit.chunk.id, hit)
            matches.setdefault(hit.chunk.id, {})[feature] = hit.score
    return [Found(hit.chunk, float(np.dot(vector, hit.vector)), matches.get(id_, {})) for id_, hit in hits.items()]
