"""The one place where real clients are built. Each is built once in a process, on first use."""

import inspect
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import RLock

from mimir_core.analysis.pack import EvidenceEngine
from mimir_core.analysis.signs import read_signs
from mimir_core.backends import markup, pypdf_pages, unstructured_reader
from mimir_core.backends.endpoints import ModelEndpoint
from mimir_core.backends.evidently_drift import EvidentlyReporter
from mimir_core.backends.expectations import ExpectationsChecker
from mimir_core.backends.lance import LanceIndex
from mimir_core.backends.markup import escape_placeholders, level_fences, read_rows, strip_navigation
from mimir_core.backends.minilm import SentenceEmbedder
from mimir_core.backends.mlflow_models import MlflowModels
from mimir_core.backends.mlflow_runs import MlflowBatch, MlflowBench, MlflowEvaluation, MlflowReviews, MlflowTraining
from mimir_core.backends.prometheus import PrometheusSource
from mimir_core.backends.pypdf_pages import PyPdfReader
from mimir_core.backends.sqlite_tables import SqliteCache
from mimir_core.backends.unstructured_reader import UnstructuredReader
from mimir_core.backends.vllm_server import MODEL, VllmServer
from mimir_core.config import DriftSettings, IndexSettings, IngestSettings, Params
from mimir_core.errors import ParamsError
from mimir_core.harness.reasoners import BuiltinReasoner, ProviderReasoner, Reasoner
from mimir_core.harness.settings import BUILTIN, BenchSettings
from mimir_core.knowledge import blocks, clean, parse
from mimir_core.knowledge.parse import DocumentParser
from mimir_core.knowledge.retrieve import Searcher
from mimir_core.reasoning.model import ModelReasoner
from mimir_core.records import content_hash
from mimir_core.safety import redact, secret_rules
from mimir_core.safety.policy import read_safety_rules
from mimir_core.store.services import NONE_KNOWN, Services, read_services
from tasks import paths

_PARSING = (parse, blocks, clean, redact, secret_rules, markup, pypdf_pages, unstructured_reader)
"""The modules that decide what a document is parsed into."""

_BUILDING = RLock()
"""`cache` alone would let two threads build the same thing twice."""


def reader() -> UnstructuredReader:
    """Return what finds the blocks in a text."""
    prepare = {"text/markdown": lambda text: escape_placeholders(level_fences(text)), "text/html": strip_navigation}
    return UnstructuredReader(prepare, read_rows)


def parser_from(settings: IngestSettings) -> DocumentParser:
    """Return what parses documents; it remembers them until the code or a library that parses changes."""
    code = [inspect.getsource(module) for module in _PARSING]
    version = content_hash([*code, paths.LOCK.read_text(encoding="utf-8")], 64)
    return DocumentParser(reader(), PyPdfReader(), settings.max_pages, SqliteCache(paths.PARSED), version)


def checker() -> ExpectationsChecker:
    """Return what checks rows against rules."""
    return ExpectationsChecker()


def drift_reporter_from(settings: DriftSettings) -> EvidentlyReporter:
    """Return what compares two tables: a night with the nights before, a data set with the champion's."""
    return EvidentlyReporter(settings.significance, settings.drift_share)


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
    return EvidenceEngine(searcher.search, read_signs(), params)


def reasoner_from(params: Params) -> ModelReasoner | None:
    """Return what asks a model (``MIMIR_MODEL_URL``, else ``reasoner.url``); None where the built-in reasoner diagnoses.

    Raises:
        ParamsError: A model is to be asked, and it is not said where, or which one.
    """
    settings = params.reasoner
    url = os.environ.get("MIMIR_MODEL_URL") or settings.url
    if settings.kind == "builtin" or (settings.kind == "auto" and not url):
        return None
    if not url or not settings.model:
        raise ParamsError(f"reasoner.kind is {settings.kind}: set reasoner.model, and reasoner.url or MIMIR_MODEL_URL")
    endpoint = ModelEndpoint(url, os.environ.get("MIMIR_MODEL_KEY"), settings)
    return ModelReasoner(endpoint, read_signs(), read_safety_rules(), params)


@contextmanager
def provider_from(bench: BenchSettings, params: Params) -> Iterator[Reasoner]:
    """Yield who finds the cause in a bench run; a model folder is served for as long.

    Raises:
        ParamsError: The environment has no such key, or there is nothing to serve the folder with.
        InputError: The folder holds no model.
        BackendError: Its server did not start.
    """
    table, rules = read_signs(), read_safety_rules()
    if bench.provider == BUILTIN:
        yield BuiltinReasoner(table, rules, params.diagnose)
    elif bench.model_folder:
        with model_server_from(params).serving(Path(bench.model_folder)) as served:
            asking = bench.asking(params.reasoner).model_copy(update={"model": MODEL})
            asked = params.model_copy(update={"reasoner": asking})
            endpoint = ModelEndpoint(served.url, served.key, asking)
            yield ProviderReasoner(ModelReasoner(endpoint, table, rules, asked), served.key)
    else:
        key = os.environ.get(bench.key_env) if bench.key_env else None
        if bench.key_env and not key:
            raise ParamsError(f"{bench.name}: key_env: the environment has no variable of this name, or it is empty")
        asking = bench.asking(params.reasoner)
        asked = params.model_copy(update={"reasoner": asking})
        yield ProviderReasoner(ModelReasoner(ModelEndpoint(bench.address, key, asking), table, rules, asked), key)


def store_url() -> str:
    """Return where incidents are kept: ``MIMIR_STORE_URL``, else a file in ``var/``."""
    return os.environ.get("MIMIR_STORE_URL") or f"sqlite+aiosqlite:///{paths.STORE}"


def services() -> Services:
    """Return what the file of ``MIMIR_SERVICES`` tells of services; nothing where there is none."""
    path = os.environ.get("MIMIR_SERVICES")
    return read_services(Path(path)) if path else NONE_KNOWN


def series_from(params: Params) -> PrometheusSource | None:
    """Return what is asked for live series: the server of ``MIMIR_PROMETHEUS_URL``; None where there is none."""
    url = os.environ.get("MIMIR_PROMETHEUS_URL")
    return PrometheusSource(url, params.prometheus) if url else None


def batch_from(params: Params, batch: str = "") -> MlflowBatch | None:
    """Return what shows a batch in MLflow (``MLFLOW_TRACKING_URI``, else ``var/mlflow``); None where nobody wants to see it.

    ``batch`` is the id of the run that it has already, if any.
    """
    return MlflowBatch(os.environ.get("MLFLOW_TRACKING_URI"), paths.MLFLOW, batch) if params.diagnose.track else None


def reviews_from(params: Params) -> MlflowReviews | None:
    """Return what shows opinions beside the investigations of :func:`batch_from`."""
    return MlflowReviews(os.environ.get("MLFLOW_TRACKING_URI"), paths.MLFLOW) if params.diagnose.track else None


def training_board_from(params: Params) -> MlflowTraining | None:
    """Return what shows training runs, in the same place; None where nobody wants to see them."""
    return MlflowTraining(os.environ.get("MLFLOW_TRACKING_URI"), paths.MLFLOW) if params.model.track else None


def evaluation_board_from(params: Params) -> MlflowEvaluation | None:
    """Return what shows evaluations, likewise."""
    return MlflowEvaluation(os.environ.get("MLFLOW_TRACKING_URI"), paths.MLFLOW) if params.evaluate.track else None


def bench_board() -> MlflowBench:
    """Return what shows bench runs, likewise."""
    return MlflowBench(os.environ.get("MLFLOW_TRACKING_URI"), paths.MLFLOW)


def judge_from(params: Params) -> ModelEndpoint | None:
    """Return the judge: ``evaluate.judge`` at ``MIMIR_JUDGE_URL``; None where either is not set."""
    url = os.environ.get("MIMIR_JUDGE_URL")
    if not url or not params.evaluate.judge:
        return None
    # Six grades of the same number are no sentence without end.
    settings = params.reasoner.model_copy(update={"model": params.evaluate.judge, "frequency_penalty": 0.0})
    return ModelEndpoint(url, os.environ.get("MIMIR_JUDGE_KEY"), settings, params.judge.temperature)


def model_registry() -> MlflowModels:
    """Return the registry of models, in the same place."""
    return MlflowModels(os.environ.get("MLFLOW_TRACKING_URI"), paths.MLFLOW)


def model_server_from(params: Params) -> VllmServer:
    """Return what serves models; its environment is looked for when it first does."""
    return VllmServer(params.serve, paths.ROOT / params.serve.python, paths.VLLM)


@cache
def _embedder(settings: IndexSettings) -> SentenceEmbedder:
    return SentenceEmbedder(settings)


@cache
def _knowledge_index() -> LanceIndex:
    return LanceIndex(paths.KNOWLEDGE)
