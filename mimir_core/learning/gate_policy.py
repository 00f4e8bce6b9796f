"""gate_policy.yaml as typed settings: what a model must show to become the champion."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, TypeAdapter, model_validator

from mimir_core.config import DriftSettings, Settings, read_settings
from mimir_core.evaluation.scores import JUDGED
from mimir_core.learning.splits import Split
from mimir_core.store.scopes import Scope

Better = Literal["higher", "lower"]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class MinGain(Settings):
    """By how much the main figure must be better, in its own unit."""

    builtin: Amount
    """Than that of the built-in reasoner."""
    champion: Amount
    """Than that of the champion, where that is a model."""


class Main(Settings):
    """The figure that decides; it must be scored case by case."""

    metric: str
    better: Better
    min_gain: MinGain
    confidence: float = Field(ge=0.5, lt=1)
    """Of the paired bootstrap interval of the gain, which must lie above zero."""


class Guard(Settings):
    """A figure that must not get much worse."""

    better: Better
    max_loss: Amount
    """Against each rival, in the unit of the figure."""


class Policy(Settings):
    """The whole of gate_policy.yaml."""

    main: Main
    guards: dict[str, Guard]
    judges: dict[str, str]
    """Guards that are a judge's opinion: each counts while the evaluation says that this judge may gate, also in this step."""
    min_cases: int = Field(ge=2)
    """Cases that must be evaluated, and scored by the main figure."""
    min_chats: dict[Split, int]
    """Chats of a split that the data set must have."""
    drift: DriftSettings
    """When the incidents of the data set count as of another kind than those that the champion learned from."""
    override: tuple[Scope, ...]
    """Roles that may promote what the gate refused."""

    @model_validator(mode="after")
    def _judges_speak_of_guards(self) -> Self:
        if unknown := sorted(set(self.judges) - set(self.guards)):
            raise ValueError(f"judges: {unknown[0]!r} is no guard")
        if measured := sorted(set(self.judges) - set(JUDGED)):
            raise ValueError(f"judges: {measured[0]!r} is measured, and no judge's opinion")
        if nameless := sorted((set(self.guards) & set(JUDGED)) - set(self.judges)):
            raise ValueError(f"guards: {nameless[0]!r} is a judge's opinion: `judges` must name the judge")
        if self.main.metric in JUDGED:
            raise ValueError(f"main: {self.main.metric!r} is a judge's opinion, which decides nothing alone")
        return self


def read_policy(path: Path) -> Policy:
    """Read and check the policy.

    Raises:
        ParamsError: The file is missing, is not YAML, or a key is missing, unknown or out of range.
    """
    return read_settings(path, TypeAdapter(Policy))
