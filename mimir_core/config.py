"""params.yaml as typed settings: read once, at the edge; every function receives its own section and nothing else.

Comes in: a path. Goes out: :class:`Params`. A misspelt key, a missing key or a bad value is a
:class:`~mimir_core.errors.ParamsError` that names it. There are no hidden defaults: the file shows everything.
"""

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mimir_core.errors import ParamsError


class Settings(BaseModel):
    """Base of all settings: misspelt keys are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class IngestSettings(Settings):
    """Documents in, chunks out."""

    folders: tuple[str, ...] = Field(min_length=1)
    """Where the documents lie, relative to the project."""
    max_file_mib: float = Field(gt=0)
    """Larger files are dropped and counted."""
    max_pages: int = Field(ge=1)
    """Pages of one PDF that are read."""
    min_words: int = Field(ge=1)
    """Documents with fewer words are dropped and counted."""
    chunk_words: int = Field(ge=20)
    """A chunk holds at most this many words; the embedding model reads 256 word pieces."""
    overlap_words: int = Field(ge=0)
    """Words repeated from the end of one chunk at the start of the next, within one section."""


class IndexSettings(Settings):
    """Chunks in, vectors out."""

    model: str
    """A sentence-transformers model: a local folder, an installed package that carries it, or a hub id."""
    batch_size: int = Field(ge=1)


class RankWeights(Settings):
    """How much each feature of ``mimir_core/knowledge/rerank.py`` counts."""

    title: float = Field(ge=0)
    heading: float = Field(ge=0)
    body: float = Field(ge=0)
    names: float = Field(ge=0)
    cosine: float = Field(ge=0)
    coverage: float = Field(ge=0)


class RetrieveSettings(Settings):
    """A question in, passages out."""

    top_k: int = Field(ge=1)
    candidates: int = Field(ge=1)
    """How many results each search hands to the ranking."""
    context_words: int = Field(ge=1)
    """The budget of an assembled context, in words and signs: about the word pieces of a model."""
    weights: RankWeights
    """Learned by benchmarks/reranking.py."""


class DetectSettings(Settings):
    """When a series counts as changed."""

    min_points: int = Field(ge=2)
    """Points needed on each side of the onset."""
    threshold: float = Field(gt=0)
    """Robust z-score (median and MAD of the time before) above which a series counts as changed."""
    min_relative_change: float = Field(ge=0)
    """Smallest change of the median, as a share of its level before, that counts."""


class LogSettings(Settings):
    """How log lines become templates, and when a template is news."""

    similarity: float = Field(gt=0, lt=1)
    """drain3: share of equal tokens for two lines to share a template."""
    depth: int = Field(ge=3)
    """drain3: depth of its prefix tree."""
    max_templates: int = Field(ge=10)
    """drain3: templates held in memory; the least recently used goes first."""
    burst_ratio: float = Field(gt=1)
    """A template whose rate grew by this factor is a burst."""


class DiagnoseSettings(Settings):
    """From evidence to an answer."""

    max_evidence: int = Field(ge=5)
    """Pieces of evidence that a pack keeps; the rest is counted as trimmed."""
    max_hypotheses: int = Field(ge=1)
    passages: int = Field(ge=0)
    """Runbook passages in a pack."""
    min_passage_score: float = Field(ge=0, le=1)
    """Passages whose cosine similarity to the query is lower are not offered as runbooks."""
    min_confidence: float = Field(ge=0, le=1)
    """Below this the verdict is undetermined."""
    concurrency: int = Field(ge=1)
    """Incidents of a batch that are diagnosed at the same time."""
    retries: int = Field(ge=0)
    """How often a diagnosis is tried again after a BackendError."""
    retry_delay_seconds: float = Field(ge=0)


class Params(Settings):
    """The whole of params.yaml."""

    ingest: IngestSettings
    index: IndexSettings
    retrieve: RetrieveSettings
    detect: DetectSettings
    logs: LogSettings
    diagnose: DiagnoseSettings


def read_params(path: Path) -> Params:
    """Read and check params.yaml.

    Raises:
        ParamsError: The file is missing, is not YAML, or a key is missing, unknown or out of range.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ParamsError(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParamsError(f"{path}: is not YAML: {error}") from error
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or 'the file'}: {problem['msg']} (got {problem['input']!r:.80})"
            for problem in error.errors()
        )
        raise ParamsError(f"{path}: {problems}") from error
