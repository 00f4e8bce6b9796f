"""What `mimir stage index`, and so `dvc repro`, runs: chunks in, vectors out, and the counts in a report."""

import logging

import numpy as np

from mimir_core.backends.sqlite_tables import SqliteVectors
from mimir_core.config import Params
from mimir_core.knowledge.index import embed_chunks, version_of
from mimir_core.records import Chunk
from tasks import paths, wiring
from tasks.files import read_records, write_report

logger = logging.getLogger(__name__)


def index(params: Params) -> None:
    """Write data/vectors.npy and reports/index.json."""
    chunks = read_records(paths.CHUNKS, Chunk)
    embedder = wiring.embedder_from(params.index)
    indexed = embed_chunks(
        chunks,
        embedder,
        SqliteVectors(paths.EMBEDDINGS),
        lambda done, of: logger.info("index: %s of %s new texts embedded", done, of),
    )
    np.save(paths.VECTORS, indexed.vectors)
    rows, dimensions = indexed.vectors.shape
    write_report(
        paths.REPORTS / "index.json",
        {"version": version_of(chunks, embedder.model), "model": embedder.model, "chunks": rows, "dimensions": dimensions},
    )
    logger.info("index: %s chunks, %s texts embedded, the rest from the cache", rows, indexed.embedded)
