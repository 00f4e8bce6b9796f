"""The one place where real clients are built. Each is built once in a process, on first use."""

from functools import cache
from threading import RLock

from mimir_core.analysis.pack import EvidenceEngine
from mimir_core.analysis.signs import read_signs
from mimir_core.backends.drain import DrainMiner
from mimir_core.backends.expectations import ExpectationsChecker
from mimir_core.backends.lance import LanceIndex
from mimir_core.backends.markup import escape_placeholders, level_fences, read_rows, strip_navigation
from mimir_core.backends.minilm import SentenceEmbedder
from mimir_core.backends.pypdf_pages import PyPdfReader
from mimir_core.backends.unstructured_reader import UnstructuredReader
from mimir_core.config import IndexSettings, Params
from mimir_core.knowledge.retrieve import Searcher
from tasks import paths

_BUILDING = RLock()
"""`cache` alone would let two threads build the same thing twice."""


def reader() -> UnstructuredReader:
    """Return what finds the blocks in a text."""
    prepare = {"text/markdown": lambda text: escape_placeholders(level_fences(text)), "text/html": strip_navigation}
    return UnstructuredReader(prepare, read_rows)


def pdf_reader() -> PyPdfReader:
    """Return what finds the text in a PDF."""
    return PyPdfReader()


def checker() -> ExpectationsChecker:
    """Return what checks rows against rules."""
    return ExpectationsChecker()


def embedder_from(settings: IndexSettings) -> SentenceEmbedder:
    """Return the embedding model; it is loaded when it first embeds."""
    with _BUILDING:
        return _embedder(settings)


def knowledge_index() -> LanceIndex:
    """Return the published indexes."""
    with _BUILDING:
        return _knowledge_index()


def searcher_from(params: Params) -> Searcher:
    """Return the search over the current index."""
    return Searcher(knowledge_index(), embedder_from(params.index), params.retrieve)


def engine_from(params: Params, searcher: Searcher) -> EvidenceEngine:
    """Return the evidence engine."""
    return EvidenceEngine(
        new_miner=lambda: DrainMiner(params.logs),
        search=searcher.search,
        table=read_signs(),
        detect=params.detect,
        logs=params.logs,
        diagnose=params.diagnose,
    )


@cache
def _embedder(settings: IndexSettings) -> SentenceEmbedder:
    return SentenceEmbedder(settings)


@cache
def _knowledge_index() -> LanceIndex:
    return LanceIndex(paths.KNOWLEDGE)
