"""Folders of documents -> an index of their own, beside the project's.

Comes in: documents, how they are cut, what embeds them. Goes out: a published index, and what making it took. Surprise: what was
parsed or embedded once is remembered, whichever index it was for.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from mimir_core.backends.lance import LanceIndex
from mimir_core.backends.sqlite_tables import SqliteVectors
from mimir_core.config import IngestSettings
from mimir_core.knowledge.chunk import chunk_documents
from mimir_core.knowledge.index import Embedder, embed_chunks, version_of
from mimir_core.knowledge.ingest import ingest_folders
from tasks import paths, wiring


class Corpus(NamedTuple):
    """A published corpus, and what making it took."""

    published: LanceIndex
    documents: int
    parsed: int
    """Documents that were not remembered."""
    chunks: int
    embedded: int
    """Texts that the cache did not know."""
    dropped: dict[str, int]
    ingest_seconds: float
    index_seconds: float


def publish_corpus(
    root: Path, settings: IngestSettings, embedder: Embedder, home: Path, progress: Callable[[str], None]
) -> Corpus:
    """Ingest, embed and publish the folders of ``settings``.

    Args:
        root: What they are relative to.
        settings: The ``ingest`` section of params.yaml.
        embedder: Makes the vectors.
        home: Where the index lies.
        progress: Told what is going on.
    """
    progress("ingest: reading the corpus")
    parser = wiring.parser_from(settings)
    started = time.perf_counter()
    ingested = ingest_folders(root, parser, settings)
    chunks = chunk_documents(ingested.kept, settings).kept
    read = time.perf_counter()
    progress(f"index: {len(chunks)} chunks; those that the cache does not know are embedded")
    cache = SqliteVectors(paths.EMBEDDINGS)
    indexed = embed_chunks(chunks, embedder, cache, lambda done, of: progress(f"index: {done} of {of} new texts embedded"))
    embedded = time.perf_counter()
    index = LanceIndex(home)
    index.publish(version_of(chunks, embedder.model), chunks, indexed.vectors, embedder.model)
    return Corpus(
        published=index,
        documents=len(ingested.kept),
        parsed=parser.parsed,
        chunks=len(chunks),
        embedded=indexed.embedded,
        dropped={reason: len(names) for reason, names in sorted(ingested.dropped.items())},
        ingest_seconds=round(read - started, 2),
        index_seconds=round(embedded - read, 2),
    )
