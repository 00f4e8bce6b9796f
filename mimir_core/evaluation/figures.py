"""The scores of a variant, case by case -> its figures.

Comes in: scores, confidences and generations. Goes out: one mapping a variant, as reports/evaluate.json has it, and the paired
difference of two variants. Surprises: a mean is over the cases that have the score, and is None where none has; intervals are
those of means alone, since resampling makes a calibration error look larger than it is; tokens and seconds are those of answers
that came.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mimir_core.evaluation.calibration import calibration_of
from mimir_core.evaluation.generations import Generation
from mimir_core.evaluation.ranking import Figure, mean_of
from mimir_core.evaluation.scores import SHARES, Scores

COST = ("input_tokens", "output_tokens", "latency_p50_s", "latency_p95_s")
CALIBRATION = ("ece", "overconfidence", "auroc", "brier")
MAIN = "root_cause_top1"
"""The figure that the gate decides by."""


class Measured(NamedTuple):
    """How well one variant answered."""

    scores: Mapping[str, Scores]
    """Of every case, in their order."""
    figures: dict[str, Any]


def measure(
    scores: Mapping[str, Scores],
    confidences: Sequence[tuple[float, bool]],
    answers: Sequence[Generation],
    counts: Mapping[str, int],
) -> Measured:
    """Return the figures of one variant.

    Args:
        scores: Of every case.
        confidences: Of the answers that state one, and whether each was right.
        answers: The generations that were scored; none where no model was asked.
        counts: What else is told: answers of each kind, cases that were missing, failed, could not be read.
    """
    means = {name: _mean([score for case in scores.values() if (score := case[name]) is not None]) for name in SHARES}
    calibration = calibration_of(*zip(*confidences, strict=True))._asdict() if confidences else {}
    figures = {
        **{name: figure.value if figure else None for name, figure in means.items()},
        **{name: calibration.get(name) for name in CALIBRATION},
        **_cost([answer for answer in answers if answer.failed is None]),
        "counts": {**counts, "confident": len(confidences)},
        "intervals": {name: [figure.low, figure.high] for name, figure in means.items() if figure},
    }
    return Measured(scores, figures)


def difference(one: Measured, other: Measured) -> tuple[Figure, int] | None:
    """Return by how much the first is better in :data:`MAIN`, and over how many cases: those that both have a score of."""
    pairs = [(scores[MAIN], other.scores[case][MAIN]) for case, scores in one.scores.items()]
    differences = [mine - theirs for mine, theirs in pairs if mine is not None and theirs is not None]
    figure = _mean(differences)
    return (figure, len(differences)) if figure else None


def _mean(values: Sequence[float]) -> Figure | None:
    return mean_of(np.array(values, dtype=float)[:, None])[0] if values else None


def _cost(answers: Sequence[Generation]) -> dict[str, float | None]:
    """Return mean tokens, and the percentiles of the seconds, of an answer."""
    if not answers:
        return dict.fromkeys(COST)
    middle, late = np.percentile([answer.seconds for answer in answers], (50, 95))
    read, written = (np.mean([getattr(answer, name) for answer in answers]) for name in COST[:2])
    return dict(zip(COST, (round(float(figure), 3) for figure in (read, written, middle, late)), strict=True))
