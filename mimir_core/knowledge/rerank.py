"""How well a chunk answers a question, from several points of view.

Comes in: a question and the chunks that any search found. Goes out: one row of features a chunk; ``retrieve`` sorts by their
weighted sum. Features: BM25 in the title, the headings and the whole text (Robertson and Zaragoza, "The Probabilistic
Relevance Framework", 2009), BM25 of the exact names that come with the question, the cosine of the vectors, and the share of
the title that the question says. Surprise: a BM25 score is divided by the best of its question, because its size means
nothing between questions.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from mimir_core.knowledge.index import separate
from mimir_core.records import Chunk

_PLACEHOLDER = re.compile(r"<[^<>]*>")
_WORD = re.compile(r"[a-z0-9]{3,}")


class Features(NamedTuple):
    """What speaks for a chunk. A question's best chunk has 1 in ``title``, ``heading``, ``body`` and ``names``."""

    title: float
    heading: float
    body: float
    names: float
    cosine: float
    coverage: float


class Found(NamedTuple):
    """A chunk with what each search said of it."""

    chunk: Chunk
    cosine: float
    matches: Mapping[str, float]
    """BM25 by the name of the feature; 0 for what a search did not report."""


def compare(question: str, found: Sequence[Found]) -> np.ndarray:
    """Return the :class:`Features` of each chunk. Shape (chunks, features)."""
    best = {name: max((item.matches.get(name, 0.0) for item in found), default=0.0) for name in Features._fields}
    said = words_of(question)
    rows = []
    for item in found:
        matched = {name: item.matches.get(name, 0.0) / (best[name] or 1.0) for name in ("title", "heading", "body", "names")}
        rows.append(Features(**matched, cosine=item.cosine, coverage=share_said(item.chunk.title, said)))
    return np.array(rows, dtype=float).reshape(len(rows), len(Features._fields))


def words_of(text: str) -> set[str]:
    """Return the words of ``text``: joined names as their parts, plurals as singulars, placeholders and short words not.

    >>> sorted(words_of("KubePodCrashLooping: pods of <namespace> OOMKilled"))
    ['crash', 'killed', 'kube', 'looping', 'oom', 'pod']
    """
    words = _WORD.findall(separate(_PLACEHOLDER.sub(" ", text)).lower())
    return {word.removesuffix("s") for word in words}


def share_said(title: str, said: set[str]) -> float:
    """Return the share of the words of ``title`` that are in ``said``.

    >>> share_said("Disk is full", {"disk", "slow"})
    0.5
    """
    words = words_of(title)
    return len(words & said) / len(words) if words else 0.0
