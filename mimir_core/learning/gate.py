"""What was measured of a challenger and its rivals -> promote or refuse, with every rule that was asked.

Comes in: the report and the scores of the stage ``evaluate``, the challenger, the champion, the policy. Goes out: rulings, and a
:class:`Verdict`. Method: the gain of the main figure over the same cases, with its percentile bootstrap interval (Efron and
Tibshirani, 1993, chapter 13). Surprises: whatever could not be told refuses, and its ruling says what is missing; a champion that
is a model is compared by what was measured when it was promoted, so the cases must be the same.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any, Literal, NamedTuple, TypeGuard

import numpy as np
from pydantic import BaseModel, ConfigDict

from mimir_core.config import Settings
from mimir_core.evaluation.judge import STEPS
from mimir_core.evaluation.scores import JUDGED
from mimir_core.learning.archive import Sha256
from mimir_core.learning.champion import BUILTIN, Challenger, Champion, Scores
from mimir_core.learning.gate_policy import Better, Guard, Policy
from mimir_core.records import Record

_RESAMPLES = 10_000
_SEED = 0
_DECIMALS = 6
"""Further ones are noise of adding floats."""
_NOISE = "outside_the_noise"


class Grades(BaseModel):
    """What calibration says of a judge's grades of one step."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    may_gate: bool
    reason: str


class Graded(BaseModel):
    """What a judge graded of the variants."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    answers: int


class Judge(Grades):
    """The same of all of its grades together, and of each step."""

    steps: dict[str, Grades]
    graded: Graded | None = None
    """Nothing of a baseline beside a judge, and of one that did not answer."""


class Evaluation(BaseModel):
    """What the gate reads of reports/evaluate.json; the rest is for people."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    profile: str
    cases: int
    cases_hash: str
    variants: dict[str, dict[str, Any]]
    judge: dict[str, Judge]


class CaseScores(Record):
    """A line of data/outcomes.jsonl: how well one variant answered one case."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    case: str
    variant: str
    scores: dict[str, float | None]


class Ruling(Settings):
    """What became of one rule."""

    value: int | float | str | None
    limit: int | float | str | None
    passed: bool | None
    """None: the rule does not apply; the reason says why."""
    reason: str


class Verdict(Record):
    """What the gate says: reports/gate.json."""

    decision: Literal["promote", "refuse"]
    reason: str
    challenger: str
    champion: str
    profile: str
    weights: Sha256
    cases_hash: str
    metric: str
    """The figure that decided."""
    rules: dict[str, Ruling]


class Scored(NamedTuple):
    """How well one variant answered: in figures, and case by case."""

    name: str
    figures: Mapping[str, Any]
    cases: Mapping[str, Scores]

    @property
    def numbers(self) -> dict[str, float]:
        """The figures that could be told."""
        return {name: value for name, value in self.figures.items() if _is_number(value)}


def scored(name: str, evaluation: Evaluation, outcomes: Sequence[CaseScores]) -> Scored:
    """Return what was measured of a variant: nothing where it was not evaluated."""
    return Scored(name, evaluation.variants.get(name, {}), {row.case: row.scores for row in outcomes if row.variant == name})


def compare(ours: Scored, builtin: Scored, champion: Champion, evaluation: Evaluation, policy: Policy) -> dict[str, Ruling]:
    """Hold a challenger against the built-in reasoner, and against the champion where that is a model."""
    rulings = {"enough_cases": _at_least(evaluation.cases, policy.min_cases, "cases were evaluated")}
    rivals = [(builtin, policy.main.min_gain.builtin)]
    if model := champion.model:
        if model.cases_hash == evaluation.cases_hash:
            rivals.append((Scored("champion", model.figures, model.outcomes), policy.main.min_gain.champion))
        else:
            rulings["champion: same_cases"] = _refuse(
                "the champion was not measured on these cases: roll back to one that was (the built-in reasoner always is) and "
                "run the gate again, or let a role of the policy override: docs/gate.md"
            )
    for rival, min_gain in rivals:
        rulings |= {f"{rival.name}: {rule}": ruling for rule, ruling in _against(ours, rival, min_gain, evaluation, policy)}
    return rulings


def is_news(challenger: Challenger, champion: Champion) -> Ruling:
    """Refuse the champion itself, and what people took back."""
    if champion.model and champion.model.weights == challenger.weights:
        return _refuse("the champion is this very model")
    if challenger.weights in champion.rolled_back:
        return _refuse("this model was the champion, and was rolled back: `mimir models promote VERSION` is a person's to say")
    return Ruling(value=challenger.weights, limit=None, passed=True, reason="it was never a champion that was rolled back")


def decide(rules: Mapping[str, Ruling], challenger: Challenger, champion: Champion, policy: Policy) -> Verdict:
    """Promote where no rule fails."""
    failed = [f"{name}: {ruling.reason}" for name, ruling in rules.items() if ruling.passed is False]
    more = f" ({len(failed)} of {len(rules)} rules fail)" if len(failed) > 1 else ""
    return Verdict(
        decision="refuse" if failed else "promote",
        reason=f"refused: {failed[0]}{more}" if failed else f"promote: {rules[f'builtin: {_NOISE}'].reason}",
        challenger=challenger.variant,
        champion=champion.name,
        profile=challenger.profile,
        weights=challenger.weights,
        cases_hash=challenger.cases_hash,
        metric=policy.main.metric,
        rules=dict(rules),
    )


def paired_interval(differences: Sequence[float], confidence: float) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the mean of ``differences``, the same each time.

    >>> paired_interval([1.0] * 30, 0.95), paired_interval([0.0] * 30, 0.95)
    ((1.0, 1.0), (0.0, 0.0))
    """
    values = np.array(differences)
    drawn = np.random.default_rng(_SEED).integers(len(values), size=(_RESAMPLES, len(values)))
    tail = 50 * (1 - confidence)
    low, high = np.percentile(values[drawn].mean(axis=1), (tail, 100 - tail)).round(_DECIMALS)
    return float(low), float(high)


def _against(
    ours: Scored, rival: Scored, min_gain: float, evaluation: Evaluation, policy: Policy
) -> Iterator[tuple[str, Ruling]]:
    for one in (ours, rival):
        if not one.cases or not one.figures:
            yield "same_cases", _refuse(f"{one.name} was not evaluated")
            return
    shared = len(ours.cases.keys() & rival.cases.keys())
    is_same = len(ours.cases) == len(rival.cases) == shared == evaluation.cases
    counts = f"{ours.name} answered {len(ours.cases)} cases, {rival.name} {len(rival.cases)}, {shared} of them are the same"
    reason = f"{counts}; the report counts {evaluation.cases}"
    yield "same_cases", Ruling(value=shared, limit=evaluation.cases, passed=is_same, reason=reason)
    if is_same:
        yield from _gain(ours, rival, min_gain, policy)
        for metric, guard in policy.guards.items():
            if metric in JUDGED:
                yield metric, _opinion(metric, ours, rival, evaluation, policy)
            else:
                yield metric, _loss(metric, guard, ours, rival)


def _gain(ours: Scored, rival: Scored, min_gain: float, policy: Policy) -> Iterator[tuple[str, Ruling]]:
    """Compare case by case; a case that has no score on both sides has no truth for this figure."""
    metric = policy.main.metric
    pairs = {case: (ours.cases[case].get(metric), rival.cases[case].get(metric)) for case in sorted(ours.cases)}
    known = {case: pair for case, pair in pairs.items() if pair != (None, None)}
    numbers = [(mine, theirs) for mine, theirs in known.values() if _is_number(mine) and _is_number(theirs)]
    if missing := _missing(metric, ours, rival):
        yield "gain", missing
    elif len(numbers) < len(known):
        odd = next(case for case, pair in known.items() if not all(map(_is_number, pair)))
        yield "gain", _refuse(f"{metric} of case {odd}: {ours.name} has {known[odd][0]}, {rival.name} {known[odd][1]}")
    elif len(numbers) < policy.min_cases:
        yield "gain", _at_least(len(numbers), policy.min_cases, f"cases are scored by {metric}")
    else:
        differences = [_sign(policy.main.better) * (mine - theirs) for mine, theirs in numbers]
        gain = round(sum(differences) / len(differences), _DECIMALS)
        low, high = paired_interval(differences, policy.main.confidence)
        said = f"{metric} is better by {gain:g} than that of {rival.name}"
        yield "gain", Ruling(value=gain, limit=min_gain, passed=gain >= min_gain, reason=f"{said}; {min_gain:g} is asked")
        interval = f"{100 * policy.main.confidence:g} % interval {low:g} to {high:g} over {len(differences)} cases"
        yield _NOISE, Ruling(value=low, limit=0, passed=low > 0, reason=f"{said}, {interval}")


def _loss(metric: str, guard: Guard, ours: Scored, rival: Scored) -> Ruling:
    if missing := _missing(metric, ours, rival):
        return missing
    return _weigh(metric, guard, ours.figures[metric], rival.figures[metric], rival.name)


def _weigh(metric: str, guard: Guard, mine: float, theirs: float, rival: str) -> Ruling:
    loss = round(_sign(guard.better) * (theirs - mine), _DECIMALS) + 0.0  # never -0.0
    reason = f"{metric} is {mine:g}, that of {rival} {theirs:g}; {guard.max_loss:g} may be lost"
    return Ruling(value=loss, limit=guard.max_loss, passed=loss <= guard.max_loss, reason=reason)


def _opinion(metric: str, ours: Scored, rival: Scored, evaluation: Evaluation, policy: Policy) -> Ruling:
    """Compare a judge's grades, of the cases where both sides have one; a judge that cannot be believed decides nothing."""
    judge, step = policy.judges[metric], STEPS[JUDGED.index(metric)]
    known = evaluation.judge.get(judge)
    if known is None or not (known.graded and known.graded.answers):
        return _refuse(f"the judge {judge} graded no answer")
    if rival.name != BUILTIN:
        return _does_not_apply("it was graded in another run, by another judge maybe")
    for of_what, grades in (("", known), (f" {step}", known.steps[step])):
        if not grades.may_gate:
            return _does_not_apply(f"{judge} may not gate{of_what}: {grades.reason}")
    pairs = [(scores.get(metric), rival.cases[case].get(metric)) for case, scores in ours.cases.items()]
    both = [(mine, theirs) for mine, theirs in pairs if _is_number(mine) and _is_number(theirs)]
    if len(both) < policy.min_cases:
        return _at_least(len(both), policy.min_cases, f"cases of both are graded by {judge}")
    mine, theirs = (fmean(side) for side in zip(*both, strict=True))
    return _weigh(metric, policy.guards[metric], mine, theirs, rival.name)


def _does_not_apply(reason: str) -> Ruling:
    return Ruling(value=None, limit=None, passed=None, reason=reason)


def _missing(metric: str, *sides: Scored) -> Ruling | None:
    for side in sides:
        if not _is_number(value := side.figures.get(metric)):
            return _refuse(f"{metric} of {side.name} is {'missing' if value is None else f'no number: {value!r:.40}'}")
    return None


def _at_least(count: int, least: int, what: str) -> Ruling:
    return Ruling(value=count, limit=least, passed=count >= least, reason=f"{count} {what}, {least} are asked")


def _refuse(reason: str) -> Ruling:
    return Ruling(value=None, limit=None, passed=False, reason=reason)


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and math.isfinite(value)


def _sign(better: Better) -> int:
    return 1 if better == "higher" else -1
