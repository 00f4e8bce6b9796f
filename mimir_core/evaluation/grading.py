"""What variants answered -> a judge's grades of it.

Comes in: answers by case. Goes out: the scores of :data:`~mimir_core.evaluation.scores.JUDGED`. Surprises: only some of the cases
are graded, of every variant the same ones; an answer that cannot be read is wrong in every step, and nobody is asked about it.
"""

from collections.abc import Collection, Mapping
from typing import Any

from mimir_core.evaluation.judge import STEPS, Answer, Asker, Judgement, cost_of, judge
from mimir_core.evaluation.scores import JUDGED, Scores

_BEST = 2
_ALL_WRONG: Scores = dict.fromkeys(JUDGED, 0.0)


class Grader:
    """Has a judge grade answers to some cases, and keeps count."""

    def __init__(self, asker: Asker, votes: int, cases: Collection[str]) -> None:
        """Ask nothing yet.

        Args:
            asker: The judge.
            votes: On each answer.
            cases: Whose answers are graded.
        """
        self._asker, self._votes, self._cases = asker, votes, frozenset(cases)
        self._judgements: list[Judgement] = []

    def grade(self, answers: Mapping[str, Answer | None]) -> dict[str, Scores]:
        """Return the scores of each case that is to be graded.

        Args:
            answers: By case; None cannot be read.
        """
        chosen = {case: answer for case, answer in answers.items() if case in self._cases}
        readable = {case: answer for case, answer in chosen.items() if answer}
        judgements = judge(list(readable.values()), self._asker, self._votes)
        self._judgements += judgements
        graded = dict(zip(readable, map(_scores, judgements), strict=True))
        return {case: graded.get(case, _ALL_WRONG) for case in chosen}

    def told(self) -> dict[str, Any]:
        """Return what was graded so far, and what that took."""
        grades = [getattr(judgement.grades, step) for judgement in self._judgements for step in STEPS]
        counts = {"cases": len(self._cases), "answers": len(self._judgements), "ungraded": grades.count(None)}
        return {**counts, **cost_of(self._judgements)}


def _scores(judgement: Judgement) -> Scores:
    grades = [getattr(judgement.grades, step) for step in STEPS]
    return {name: None if grade is None else grade / _BEST for name, grade in zip(JUDGED, grades, strict=True)}
