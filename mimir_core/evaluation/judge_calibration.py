"""What a judge is worth: how far it agrees with grades that were given by hand.

Comes in: answers graded by hand, twice, and judges. Goes out: figures for each judge and step, and whether it may gate.
Surprises: a judge is asked in two independent rounds; the first is compared with both gradings, the second only tells how many
grades flip; it may gate as a whole and in each step. Beside the judges stand one that finds everything right, one that
throws dice, and one that reads no word and counts what answer and reference have in common: a model that grades no better than
that one adds nothing.

Agreement is Cohen's kappa with quadratic weights (Psychological Bulletin, 1968): 0 and 2 are four times as far apart as 1 and 2.
"""

import random
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple, TypeVar

from sklearn.metrics import cohen_kappa_score

from mimir_core.config import JudgeSettings
from mimir_core.errors import BackendError, InputError, ParamsError
from mimir_core.evaluation.judge import (
    STEPS,
    Answer,
    Asker,
    Grade,
    Judgement,
    Opinion,
    PerStep,
    cost_of,
    judge,
    read_question,
    rubric_version,
)
from mimir_core.reasoning.model import Answered
from mimir_core.reasoning.reply import parse_steps
from mimir_core.reasoning.steps import Steps
from mimir_core.records import Message

_GRADES = (0, 1, 2)
_SEED = 1

Item = TypeVar("Item")


class HandGraded(NamedTuple):
    """An answer with the grades that it was given by hand, twice."""

    answer: Answer
    first: PerStep[Grade]
    second: PerStep[Grade]


class ConstantJudge:
    """Finds everything right."""

    def ask_all(self, chats: Sequence[Sequence[Message]], schema: Mapping[str, Any] | None) -> list[Answered | BackendError]:  # noqa: ARG002  # it reads nothing
        """Return the same vote each time."""
        return [_vote([2] * len(STEPS)) for _ in chats]


class RandomJudge:
    """Throws dice."""

    def __init__(self) -> None:
        self._dice = random.Random(_SEED)  # noqa: S311  # a baseline, not a secret

    def ask_all(self, chats: Sequence[Sequence[Message]], schema: Mapping[str, Any] | None) -> list[Answered | BackendError]:  # noqa: ARG002  # it reads nothing
        """Return a vote for each."""
        return [_vote(self._dice.choices(_GRADES, k=len(STEPS))) for _ in chats]


class OverlapJudge:
    """Counts what answer and reference have in common: keys of evidence and suspects, kinds, names of actions; no words."""

    def ask_all(self, chats: Sequence[Sequence[Message]], schema: Mapping[str, Any] | None) -> list[Answered | BackendError]:  # noqa: ARG002  # one form
        """Return the same vote each time."""
        return [_vote(list(self._grade(read_question(chat)))) for chat in chats]

    def _grade(self, given: Answer) -> Iterator[int]:
        wanted = parse_steps(given.reference)
        try:
            said = parse_steps(given.text)
        except InputError:
            yield from [0] * len(STEPS)
            return
        yield round(2 * _overlap(said.symptoms, wanted.symptoms))
        yield round(2 * _overlap(_reasons(said), _reasons(wanted)))
        yield 2 if said.checks or not wanted.checks else 0
        suspects = _overlap([cause.suspect for cause in said.causes], [cause.suspect for cause in wanted.causes])
        yield round(suspects + _overlap(said.causes, wanted.causes)) if said.verdict is wanted.verdict else 0
        yield round(2 * _overlap(said.actions, wanted.actions))


def report_judges(graded: Sequence[HandGraded], judges: Mapping[str, Asker], settings: JudgeSettings) -> dict[str, Any]:
    """Return the figures of each judge, by its name, with the three baselines behind them.

    Raises:
        ParamsError: A judge has the name of a baseline.
    """
    baselines: dict[str, Asker] = {"constant": ConstantJudge(), "random": RandomJudge(), "overlap": OverlapJudge()}
    if taken := sorted(set(judges) & set(baselines)):
        raise ParamsError(f"evaluate.judge: {taken[0]} is the name of a baseline that stands beside each judge")
    askers = {**judges, **baselines}
    return {name: calibrate(graded, asker, settings) for name, asker in askers.items()}


def calibrate(graded: Sequence[HandGraded], asker: Asker, settings: JudgeSettings) -> dict[str, Any]:
    """Have ``asker`` grade every answer in two rounds and hold it against the grades given by hand.

    Args:
        graded: At least one.
        asker: Asked ``2 * settings.votes`` times an answer.
        settings: The ``judge`` section of params.yaml.

    Returns:
        ``kappa``, ``human_kappa`` and ``flip_rate`` (None where they are undefined), ``coverage``, ``may_gate``, and if not, the
        ``reason``, over all steps and in ``steps`` for each; ``ungraded`` grades of the first round; the cost of both rounds.
    """
    rounds = [judge([item.answer for item in graded], asker, settings.votes) for _ in range(2)]
    judgements = [judgement for one in rounds for judgement in one]
    return {
        **_figures(graded, rounds, STEPS, settings),
        "steps": {step: _figures(graded, rounds, [step], settings) for step in STEPS},
        "answers": len(graded),
        "ungraded": _grades((judgement.grades for judgement in rounds[0]), STEPS).count(None),
        **cost_of(judgements),
        "rubric": rubric_version(),
    }


def kappa(pairs: Sequence[tuple[Grade, Grade]]) -> float | None:
    """Return how far two graders agree beyond chance, None where chance alone would make them agree.

    >>> kappa([(0, 0), (2, 2), (1, 2)]), kappa([(0, 2), (2, 0)]), kappa([(2, 2), (2, 2)])
    (0.8, -1.0, None)
    """
    if len({grade for pair in pairs for grade in pair}) < 2:
        return None
    one, other = zip(*pairs, strict=True)
    return round(float(cohen_kappa_score(one, other, labels=_GRADES, weights="quadratic")), 4)


def write_table(report: Mapping[str, Any]) -> str:
    """Return :func:`report_judges` as a Markdown table, one judge a row."""
    rows = [
        f"| {name} | {_shown(r['kappa'])} | {' | '.join(_shown(r['steps'][step]['kappa']) for step in STEPS)} "
        f"| {_shown(r['human_kappa'])} | {_shown(r['flip_rate'])} | {_shown(r['coverage'])} | {r['votes']} | {r['input_tokens']} "
        f"| {r['reason'] or 'yes'} |"
        for name, r in report.items()
    ]
    columns = ["judge", "kappa", *STEPS, "by hand, twice", "flips", "coverage", "votes", "tokens read", "may gate"]
    return "\n".join([f"| {' | '.join(columns)} |", "|" + "---|" * len(columns), *rows]) + "\n"


def say_judge(name: str, figures: Mapping[str, Any]) -> str:
    """Return whether the grades of a judge count.

    >>> say_judge("house", {"kappa": 0.5, "reason": "kappa 0.50, judge.min_kappa 0.6"})
    'house: kappa 0.50; its grades decide nothing (kappa 0.50, judge.min_kappa 0.6).'
    """
    may = f"its grades decide nothing ({figures['reason']})" if figures["reason"] else "its grades may gate"
    return f"{name}: kappa {_shown(figures['kappa'])}; {may}."


def _figures(
    graded: Sequence[HandGraded], rounds: Sequence[Sequence[Judgement]], steps: Sequence[str], settings: JudgeSettings
) -> dict[str, Any]:
    first, second = _grades((item.first for item in graded), steps), _grades((item.second for item in graded), steps)
    one, other = (_grades((judgement.grades for judgement in judgements), steps) for judgements in rounds)
    by_both = [(mine, hand) for hands in (first, second) for mine, hand in zip(one, hands, strict=True) if mine is not None]
    flips = [a != b for a, b in zip(one, other, strict=True) if a is not None and b is not None]
    figures = {
        "kappa": kappa(by_both),
        "human_kappa": kappa(list(zip(first, second, strict=True))),
        "flip_rate": round(fmean(flips), 4) if flips else None,
        "coverage": round(1 - one.count(None) / len(one), 4),
    }
    reason = _reason_against(figures, settings)
    return {**figures, "may_gate": not reason, "reason": reason}


def _grades(items: Iterable[PerStep[Item]], steps: Sequence[str]) -> list[Item]:
    return [getattr(item, step) for item in items for step in steps]


def _reason_against(figures: Mapping[str, Any], settings: JudgeSettings) -> str:
    agreement, flips, coverage = figures["kappa"], figures["flip_rate"], figures["coverage"]
    if agreement is None or agreement < settings.min_kappa:
        return f"kappa {_shown(agreement)}, judge.min_kappa {settings.min_kappa}"
    if flips is None or flips > settings.max_flip_rate:
        return f"flips {_shown(flips)}, judge.max_flip_rate {settings.max_flip_rate}"
    if coverage < settings.min_coverage:
        return f"coverage {_shown(coverage)}, judge.min_coverage {settings.min_coverage}"
    return ""


def _overlap(said: Iterable[Hashable], wanted: Iterable[Hashable]) -> float:
    """Return F1 of two sets; two empty ones are the same.

    >>> _overlap("ab", "bc"), _overlap("", "")
    (0.5, 1.0)
    """
    one, other = set(said), set(wanted)
    return 2 * len(one & other) / (len(one) + len(other)) if one or other else 1.0


def _reasons(steps: Steps) -> list[tuple[str, str]]:
    return [(one.suspect, key) for one in steps.hypotheses for key in one.supporting]


def _vote(grades: Sequence[int]) -> Answered:
    opinions = {step: {"why": "-", "grade": grade} for step, grade in zip(STEPS, grades, strict=True)}
    return Answered(PerStep[Opinion].model_validate(opinions).model_dump_json(), 0, 0)


def _shown(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:.2f}"
