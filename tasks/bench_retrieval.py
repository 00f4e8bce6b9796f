"""A folder of runbooks and questions -> how well each search finds the page that answers.

Comes in: a folder with ``corpus/`` and ``pairs.jsonl`` (one object a line: ``query``, and where known ``id``, ``expr`` and
``relevant``, the paths in corpus that answer it). Goes out: rankings, and figures where truth is given. The corpus goes the
way of all knowledge: ingest, chunk, embed, publish, search; its index lies beside the project's own and is made once for
the same content.
"""

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median, quantiles
from typing import Any, NamedTuple

from mimir_core.backends.bm25 import Bm25Pages
from mimir_core.config import Params
from mimir_core.errors import InputError
from mimir_core.evaluation.retrieval import score_rankings
from mimir_core.knowledge.question import Question, names_in
from mimir_core.knowledge.retrieve import Searcher
from mimir_core.records import Chunk
from tasks import paths, wiring
from tasks.corpus import publish_corpus

_CORPUS = "corpus"
_DEPTHS = (100, 400, 1600)
"""Chunks that a search is asked for, until they are of ten different pages."""
_PAGES = 10


class Pair(NamedTuple):
    """One question and the pages that answer it; none where the truth is not given."""

    id: str
    question: Question
    relevant: frozenset[str]


def bench_retrieval(folder: Path, params: Params, progress: Callable[[str], None]) -> dict[str, Any]:
    """Answer every question by every method.

    Args:
        folder: As above.
        params: All of params.yaml.
        progress: Told what is going on.

    Raises:
        InputError: A file is missing, or a line of pairs.jsonl is no question.
    """
    pairs = read_pairs(folder / "pairs.jsonl")
    pages = {
        path.relative_to(folder / _CORPUS).as_posix(): f"{path.stem}\n{path.read_text(encoding='utf-8', errors='replace')}"
        for path in sorted((folder / _CORPUS).rglob("*.md"))
    }
    embedder = wiring.embedder_from(params.index)
    settings = params.ingest.model_copy(update={"folders": (_CORPUS,)})
    corpus = publish_corpus(folder, settings, embedder, paths.BENCH / "knowledge", progress)
    searcher = Searcher(corpus.published, embedder, params.retrieve)
    bm25 = Bm25Pages(pages)
    methods: dict[str, Callable[[Question], list[str]]] = {
        "bm25": lambda question: bm25.rank(question.words),
        "vector": lambda question: _deep_enough(lambda depth: searcher.nearest(question.words, depth)),
        "hybrid": lambda question: _deep_enough(lambda depth: [found.chunk for found in searcher.search(question, depth)]),
    }
    relevant = {pair.id: set(pair.relevant) for pair in pairs if pair.relevant}
    report: dict[str, Any] = {}
    for name, rank in methods.items():
        progress(f"{name}: {len(pairs)} questions")
        rankings, times = _answer(pairs, rank)
        figures = score_rankings(rankings, relevant) if relevant else {}
        report[name] = {"rankings": rankings, **figures, **_latency(times)}
    return {
        "methods": report,
        "questions": len(pairs),
        "scored": len(relevant),
        "corpus": {
            **{name: value for name, value in corpus._asdict().items() if name != "published"},
            "documents_per_second": _rate(corpus.parsed, corpus.ingest_seconds) if corpus.parsed else None,
            "chunks_per_second": _rate(corpus.embedded, corpus.index_seconds) if corpus.embedded else None,
        },
    }


def read_pairs(path: Path) -> list[Pair]:
    """Read the questions.

    Raises:
        InputError: The file is missing or a line is no question; says which.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    pairs = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            entry = json.loads(line)
            question = Question(str(entry["query"]), names_in(str(entry.get("expr") or "")))
            pairs.append(Pair(str(entry.get("id", number)), question, frozenset(entry.get("relevant") or ())))
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path}: line {number}: is no question: {error!r}") from error
    return pairs


def pages_of(chunks: Iterable[Chunk]) -> list[str]:
    """Return the pages of ``chunks`` as paths in the corpus, each where its best chunk stands."""
    return list(dict.fromkeys(chunk.path.removeprefix(f"{_CORPUS}/") for chunk in chunks))


def _deep_enough(search: Callable[[int], list[Chunk]]) -> list[str]:
    """Return at least ten pages where the corpus has them: one page may hold a hundred chunks about the same."""
    pages: list[str] = []
    for depth in _DEPTHS:
        pages = pages_of(search(depth))
        if len(pages) >= _PAGES:
            break
    return pages


def _answer(pairs: list[Pair], rank: Callable[[Question], list[str]]) -> tuple[dict[str, list[str]], list[float]]:
    rank(pairs[0].question)  # what is loaded on first use is nobody's latency
    rankings, times = {}, []
    for pair in pairs:
        started = time.perf_counter()
        rankings[pair.id] = rank(pair.question)
        times.append((time.perf_counter() - started) * 1000)
    return rankings, times


def _latency(times: list[float]) -> dict[str, float]:
    p95 = quantiles(times, n=20)[-1] if len(times) > 1 else times[0]
    return {"p50_ms": round(median(times), 2), "p95_ms": round(p95, 2)}


def _rate(count: int, seconds: float) -> float:
    return round(count / max(seconds, 1e-9), 1)
