"""One case -> whether the engine's answer rests on the right things: not on names, not on exact constants, not on nothing.

Comes in: an :class:`Engine`, signals and a truth. Goes out: :class:`Checks`. Surprise: the engine is called here and nowhere
else in the benchmark.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import pairwise
from random import Random
from typing import Any

import numpy as np

from mimir_core.analysis.root_cause import RootCause, find_root_cause
from mimir_core.analysis.signs import SignTable
from mimir_core.config import Params
from mimir_core.evaluation.perturb import perturb
from mimir_core.evaluation.quiet import cut_quiet_time
from mimir_core.evaluation.rename import rename_components
from mimir_core.evaluation.root_cause import RcaTruth
from mimir_core.telemetry.signals import Signals

_SAME = 1e-9
"""Scores that differ by less are a tie."""


@dataclass(frozen=True)
class Engine:
    """The method under test."""

    params: Params
    table: SignTable

    def rank(self, signals: Signals, noticed: datetime | None) -> RootCause:
        """Find the root cause."""
        return find_root_cause(signals, noticed, self.table, self.params)

    def perturbed(self, seed: int) -> "Engine":
        """Return the engine with other constants."""
        random = Random(seed)  # noqa: S311  # a drawn constant is no secret
        sections = {name: perturb(getattr(self.params, name), random) for name in ("culprits", "onset")}
        return Engine(self.params.model_copy(update=sections), self.table)


@dataclass(frozen=True)
class Checks:
    """What was found out on one case; None where it was not asked, or cannot be known."""

    raises_false_alarm: bool | None
    """In the quiet time before the failure."""
    is_same_renamed: bool | None
    right_when_perturbed: Sequence[bool] | None


@dataclass(frozen=True)
class Doubts:
    """The checks that are asked for."""

    engine: Engine
    rename_seed: int | None
    perturbations: int

    def check(self, signals: Signals, noticed: datetime | None, truth: RcaTruth) -> Checks:
        """Check the answer to one case."""
        engine, others, seed = self.engine, self._perturbed, self.rename_seed
        return Checks(
            raises_false_alarm=_raises_false_alarm(engine, signals, truth.quiet_until) if truth.quiet_until else None,
            is_same_renamed=None if seed is None else _is_same_renamed(engine, signals, noticed, seed),
            right_when_perturbed=[_is_right(other.rank(signals, noticed), truth) for other in others]
            if truth.components
            else None,
        )

    @cached_property
    def _perturbed(self) -> list[Engine]:
        return [self.engine.perturbed(seed) for seed in range(self.perturbations)]


def sum_up(checks: Mapping[str, Sequence[Checks]]) -> dict[str, dict[str, Any]]:
    """Return the figures of each data set."""
    figures = {dataset: _figures(found) for dataset, found in checks.items()}
    runs = {dataset: right.mean(axis=0) for dataset, found in checks.items() if (right := _right_when_perturbed(found)).size}
    for dataset, at_1 in runs.items():
        figures[dataset]["ac@1_when_perturbed"] = {"mean": round(float(at_1.mean()), 4), "min": round(float(at_1.min()), 4)}
        if elsewhere := [other for name, other in runs.items() if name != dataset]:
            figures[dataset]["ac@1_with_constants_best_elsewhere"] = round(float(at_1[np.mean(elsewhere, axis=0).argmax()]), 4)
    return figures


def _figures(checks: Sequence[Checks]) -> dict[str, Any]:
    alarms = [entry.raises_false_alarm for entry in checks if entry.raises_false_alarm is not None]
    same = [entry.is_same_renamed for entry in checks if entry.is_same_renamed is not None]
    figures: dict[str, Any] = {"quiet_times": {"cases": len(alarms), "alarms": sum(alarms)}}
    if same:
        figures["same_when_renamed"] = {"cases": len(same), "same": sum(same)}
    return figures


def _right_when_perturbed(checks: Sequence[Checks]) -> np.ndarray:
    """Shape (cases, runs)."""
    return np.array([entry.right_when_perturbed for entry in checks if entry.right_when_perturbed], dtype=float)


def _raises_false_alarm(engine: Engine, signals: Signals, failed: datetime) -> bool | None:
    quiet = cut_quiet_time(signals, failed, engine.params.culprits.fault_seconds)
    return None if quiet is None else engine.rank(quiet, None).confidence >= engine.params.diagnose.min_confidence


def _is_same_renamed(engine: Engine, signals: Signals, noticed: datetime | None, seed: int) -> bool:
    """Whether the ranking under other names is one that the scores under the true names allow."""
    renamed, new = rename_components(signals, seed)
    before = {new.get(name, name): score for name, score in engine.rank(signals, noticed).ranking}
    after = [name for name, _ in engine.rank(renamed, noticed).ranking]
    in_order = pairwise(before[name] for name in after if name in before)
    return set(before) == set(after) and all(score >= following - _SAME for score, following in in_order)


def _is_right(found: RootCause, truth: RcaTruth) -> bool:
    return bool(found.ranking) and found.ranking[0][0] in truth.components
