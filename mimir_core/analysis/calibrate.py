"""How a ranking looks -> how probable it is that its first component is right.

Comes in: a ranking with its suspicions. Goes out: a probability. Method: logistic regression on a few features of the ranking,
fitted on simulated incidents alone by ``benchmarks/calibrate.py`` (Platt, "Probabilistic Outputs for Support Vector Machines",
1999). Surprises: an incident that somebody noticed is taken for granted, else the numbers must show that there is one; the
weights are data (``calibration.json``), with the command and the figures that made them beside them; nothing is unpickled.
"""

import json
import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from pydantic import Field, ValidationError

from mimir_core.analysis.suspects import Suspicion
from mimir_core.config import Settings
from mimir_core.errors import ParamsError

FILE = Path(__file__).with_name("calibration.json")
_SUPPORTS = 0.1
"""A suspicion that is weaker is no support."""
_LEAST = 1e-3
"""Suspicions are kept so far away from 0 and 1, so that their log-odds are finite."""


class LogisticRegression(Settings):
    """A fitted answer to a question."""

    cases: int = Field(ge=1)
    figures: dict[str, float]
    """How well it did on simulated cases that it was not fitted on."""
    intercept: float
    weights: dict[str, float]

    def probability(self, features: dict[str, float]) -> float:
        """Return the probability that the answer is yes."""
        log_odds = self.intercept + sum(weight * features[name] for name, weight in self.weights.items())
        return 1 / (1 + math.exp(-max(-50.0, min(50.0, log_odds))))


class Calibration(Settings):
    """The fitted weights."""

    made_by: str
    """The command."""
    is_incident: LogisticRegression
    """Whether anything is wrong at all."""
    is_right: LogisticRegression
    """Whether the first component is at fault, if something is wrong."""


def confidence_in(ranking: Sequence[tuple[str, float]], suspicions: Sequence[Suspicion], *, is_noticed: bool) -> float:
    """Return the probability that the first component is at fault; 0 where nothing is suspected.

    Args:
        ranking: Components and how suspect they are, most suspect first.
        suspicions: Why.
        is_noticed: Whether somebody, or an alert, noticed an incident; else the numbers must also show that there is one.
    """
    if not suspicions:
        return 0.0
    features, fitted = features_of(ranking, suspicions), read_calibration()
    right = fitted.is_right.probability(features)
    return right if is_noticed else right * fitted.is_incident.probability(features)


def features_of(ranking: Sequence[tuple[str, float]], suspicions: Sequence[Suspicion]) -> dict[str, float]:
    """Return what a ranking looks like.

    ``first``: log-odds of the first one's suspicion; ``signals``: how many signals suspect it; ``rivals``: how many others are
    at least half as suspect (log).
    """
    first = min(max(ranking[0][1], _LEAST), 1 - _LEAST)
    signals = {item.signal for item in suspicions if item.component == ranking[0][0] and item.strength >= _SUPPORTS}
    return {
        "first": math.log(first / (1 - first)),
        "signals": float(len(signals)),
        "rivals": math.log1p(sum(score >= first / 2 for _, score in ranking[1:])),
    }


@cache
def read_calibration(file: Path = FILE) -> Calibration:
    """Read the fitted weights.

    Raises:
        ParamsError: The file is missing or makes no sense.
    """
    try:
        return Calibration.model_validate(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError) as error:
        raise ParamsError(f"{file}: cannot be read as a calibration: {error}") from error
