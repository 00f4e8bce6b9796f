"""Chunks and vectors in, a searchable version of the index out."""

import json
import logging

import numpy as np

from mimir_core.config import Params
from mimir_core.errors import InputError
from mimir_core.knowledge.index import version_of
from mimir_core.records import Chunk
from tasks import paths, wiring
from tasks.files import read_records

logger = logging.getLogger(__name__)


def publish(params: Params) -> str:
    """Make what the stages wrote the current index; return its version.

    Raises:
        InputError: A stage has not run, or chunks, vectors and model do not belong together.
    """
    chunks = read_records(paths.CHUNKS, Chunk)
    report = paths.REPORTS / "index.json"
    for file in (paths.VECTORS, report):
        if not file.is_file():
            raise InputError(f"{file}: no such file: run `dvc repro`")
    vectors = np.load(paths.VECTORS, allow_pickle=False)
    model = wiring.embedder_from(params.index).model
    version = version_of(chunks, model)
    indexed = json.loads(report.read_text(encoding="utf-8"))["version"]
    if indexed != version or len(vectors) != len(chunks):
        raise InputError(
            f"{paths.VECTORS}: {len(vectors)} vectors of version {indexed} for {len(chunks)} chunks of version {version}: "
            "run `dvc repro`"
        )
    is_new = wiring.knowledge_index().publish(version, chunks, vectors, model)
    logger.info("knowledge %s: %s, %s chunks", version, "published" if is_new else "was published before", len(chunks))
    return version
