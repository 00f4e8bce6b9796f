"""Chunks -> vectors, without embedding the same text twice.

Comes in: chunks. Goes out: one row a chunk, float32, of length 1. Surprise: what is embedded is title, heading and text
together: a passage on "Mitigation" alone does not say of what.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple, Protocol, Self

import numpy as np

from mimir_core.records import Chunk, content_hash

Vectors = np.ndarray
"""Shape (texts, dimensions), float32, each row of length 1."""

_JOINT = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SAVED_TEXTS = 512
"""After so many new texts the cache is written, so that a killed run goes on from there."""


class Embedder(Protocol):
    """Turns texts into vectors."""

    @property
    def model(self) -> str:
        """Which model this is, its weights included; part of every cache key and of the index version."""
        ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one row a text."""
        ...


class VectorCache(Protocol):
    """Remembers vectors by key."""

    def read(self, keys: Sequence[str]) -> Mapping[str, np.ndarray]:
        """Return the vectors of those keys that are known."""
        ...

    def write(self, vectors: Mapping[str, np.ndarray]) -> None:
        """Remember vectors."""
        ...


class Indexed(NamedTuple):
    """The vectors of all chunks, and how many had to be computed."""

    vectors: Vectors
    embedded: int


def embedded_text(chunk: Chunk) -> str:
    """Return the text of a chunk that is embedded."""
    return "\n".join(part for part in (chunk.title, chunk.heading, chunk.text) if part)


class SearchedText(NamedTuple):
    """What full-text search reads of a chunk, field by field. Joined words count as their parts too."""

    title: str
    """The page: its title, its file name and its tags."""
    heading: str
    body: str
    """All of it: a word counts here wherever it stands."""

    @classmethod
    def of(cls, chunk: Chunk) -> Self:
        """Return the fields of ``chunk``."""
        title = "\n".join([chunk.title, PurePosixPath(chunk.path).stem, *chunk.tags])
        fields = (title, chunk.heading, f"{title}\n{chunk.heading}\n{chunk.text}")
        return cls(*(f"{text}\n{' '.join(split_names(text))}" for text in fields))


def separate(text: str) -> str:
    """Return ``text`` with spaces between the parts of joined words.

    >>> separate("KubePodCrashLooping on OOMKilled")
    'Kube Pod Crash Looping on OOM Killed'
    """
    return _JOINT.sub(" ", text)


def split_names(text: str) -> list[str]:
    """Return the parts of the names in ``text`` that are written as one word.

    >>> split_names("OOMKilled by KubePodCrashLooping on node-1")
    ['OOM', 'Killed', 'Kube', 'Pod', 'Crash', 'Looping']
    """
    names = dict.fromkeys(re.findall(r"\b[A-Za-z]*[a-z][A-Z][A-Za-z]*\b|\b[A-Z]{2,}[a-z]{2,}[A-Za-z]*\b", text))
    return [part for name in names for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


def embed_chunks(
    chunks: Sequence[Chunk], embedder: Embedder, cache: VectorCache, progress: Callable[[int, int], None]
) -> Indexed:
    """Return the vectors of ``chunks``, in their order; only texts that the cache does not know are embedded.

    Args:
        chunks: What to embed.
        embedder: The model.
        cache: What was embedded before; written after every few hundred texts, so that a killed run goes on from there.
        progress: Told how many of how many new texts are embedded.
    """
    keys = [_key(embedder.model, embedded_text(chunk)) for chunk in chunks]
    texts = dict(zip(keys, map(embedded_text, chunks), strict=True))
    known = dict(cache.read(list(texts)))
    new = [key for key in texts if key not in known]
    for start in range(0, len(new), _SAVED_TEXTS):
        some = new[start : start + _SAVED_TEXTS]
        computed = dict(zip(some, embedder.embed([texts[key] for key in some]), strict=True))
        cache.write(computed)
        known |= computed
        progress(start + len(some), len(new))
    return Indexed(np.stack([known[key] for key in keys]).astype(np.float32), len(new))


def version_of(chunks: Sequence[Chunk], model: str) -> str:
    """Return the version of an index: a hash of its chunks and of the model that embedded them."""
    return "k" + content_hash([model, [[chunk.model_dump(mode="json"), SearchedText.of(chunk)] for chunk in chunks]])


def _key(model: str, text: str) -> str:
    return hashlib.sha256(f"{model}\0{text}".encode()).hexdigest()
