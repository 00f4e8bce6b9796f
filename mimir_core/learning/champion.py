"""Who answers: the built-in reasoner until a model is promoted, then that model.

Comes in: what was measured of a model. Goes out: ``models/challenger.json`` (what would become the champion), and
``models/champion.json`` (what did, with its version); the name of a model folder. Surprises: both files hold every score of every
case, and a row for each incident that was learned from, so that the next challenger is compared without asking the registry; a
model folder is named by all of its files, for a changed tokenizer is another model.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, NamedTuple, Protocol, Self

from pydantic import Field, model_validator

from mimir_core.errors import InputError
from mimir_core.learning.archive import Sha256, hash_files
from mimir_core.records import Record, content_hash

BUILTIN = "builtin"
_WEIGHTS = ".safetensors"
_HARMLESS = {_WEIGHTS, ".jinja", ".json", ".md", ".model", ".txt", ".yaml"}
"""What a model folder may hold: nothing that is unpickled or run."""

Scores = Mapping[str, float | None]
"""Metric to score; None where it could not be told."""


class Challenger(Record):
    """A model, and all that a later gate needs to compare another one with it."""

    variant: str
    profile: str
    weights: Sha256
    """As :func:`hash_model` names the folder."""
    data: Sha256
    """Of the data set that it learned from."""
    cases_hash: str
    figures: dict[str, float]
    """Those of the evaluation that could be told."""
    outcomes: dict[str, dict[str, float | None]]
    """Case to its scores."""
    incidents: tuple[dict[str, str | int], ...]
    """One row an incident that it learned from, as ``gate_data.incident_rows`` makes them."""


class Champion(Record):
    """Whoever answers now: models/champion.json."""

    reasoner: Literal["builtin", "model"]
    version: Annotated[int, Field(ge=1)] | None = None
    """In the registry."""
    model: Challenger | None = None
    rolled_back: tuple[Sha256, ...] = ()
    """Weights that people took back: the gate promotes them no more."""

    @model_validator(mode="after")
    def _a_model_is_told_whole(self) -> Self:
        parts = [self.version is not None, self.model is not None]
        if parts != [self.reasoner == "model"] * len(parts):
            raise ValueError("a model has a version and what was measured of it; the built-in reasoner has neither")
        return self

    @property
    def name(self) -> str:
        """How reports call it."""
        return f"version {self.version} ({self.model.weights[:12]})" if self.model else BUILTIN


class ModelVersion(NamedTuple):
    """A model in the registry."""

    number: int
    registered_at: datetime
    tags: Mapping[str, str]


class ModelRegistry(Protocol):
    """Keeps models by version, and says which one answers. Every method raises BackendError when it does not answer."""

    def versions(self) -> list[ModelVersion]:
        """Return every version, newest first."""
        ...

    def register(self, folder: Path, challenger: Path, tags: Mapping[str, str]) -> int:
        """Keep a model folder, and the file that tells of it; return its new version."""
        ...

    def tag(self, number: int, tags: Mapping[str, str]) -> None:
        """Add to what is said of a version."""
        ...

    def champion(self) -> int | None:
        """Return the version that answers; None: the built-in reasoner does."""
        ...

    def set_champion(self, number: int | None) -> None:
        """Let another version answer, at once."""
        ...

    def history(self) -> list[int]:
        """Return the versions that were champions, as :func:`promoted` wrote them."""
        ...

    def set_history(self, numbers: Sequence[int]) -> None:
        """Write them down."""
        ...

    def fetch_model(self, number: int, into: Path) -> Path:
        """Copy a model folder into a folder that is there; return where it lies."""
        ...

    def fetch_challenger(self, number: int, into: Path) -> Path:
        """Likewise, the file that tells of it."""
        ...


def promoted(history: Sequence[int], now: int | None, number: int) -> list[int]:
    """Return the champions up to ``now``, and then ``number``; what was rolled back is left out, and each is there once.

    >>> promoted([1, 2], 2, 3), promoted([1, 2, 3], 2, 4), promoted([1, 2], None, 3), promoted([1, 2, 3], 3, 1)
    ([1, 2, 3], [1, 2, 4], [3], [2, 3, 1])
    """
    past = history[: history.index(now) + 1] if now in history else []
    return [*(one for one in past if one != number), number]


def before(history: Sequence[int], now: int) -> int | None:
    """Return the champion before ``now``; None: the built-in reasoner.

    >>> before([1, 2], 2), before([1, 2], 1)
    (1, None)
    """
    return next((one for one, later in pairwise(history) if later == now), None)


def hash_model(folder: Path) -> str:
    """Return the SHA-256 that names a model folder: of the names of its files and the SHA-256 of each.

    Raises:
        InputError: It holds no weights, or a file that is none of a model.
    """
    files = hash_files(folder)
    if odd := [name for name in files if PurePosixPath(name).suffix not in _HARMLESS]:
        raise InputError(f"{folder / odd[0]}: is no file of a model: weights are safetensors, and nothing in it is run")
    if not any(name.endswith(_WEIGHTS) for name in files):
        raise InputError(f"{folder}: holds no weights: run `dvc repro`")
    return content_hash(files, 64)
