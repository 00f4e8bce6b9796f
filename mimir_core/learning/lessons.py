"""A simulated incident whose truth is known -> the diagnosis that should be written, reasoned in varied words.

Comes in: the pack, focused on what a model is shown, and the truth. Goes out: a verified diagnosis, or why there is none.
Surprises: the built-in reasoner drafts it as if a person had named the cause (``reasoning/correct``), and only the reasons are
worded here; a truth of which the pack shows nothing, or not all, cannot be learned from it, so that it makes no lesson.
"""

import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml

from mimir_core.analysis.signs import SignTable
from mimir_core.config import DiagnoseSettings, Settings
from mimir_core.reasoning.conclude import conclude
from mimir_core.reasoning.correct import correct
from mimir_core.reasoning.diagnose import diagnose
from mimir_core.records import Cause, Claim, Diagnosis, EvidencePack, FaultKind, Hypothesis, SolvedIncident, Verdict
from mimir_core.safety.policy import SafetyRules

_PHRASES = Path(__file__).with_name("phrases.yaml")
_NEGLIGIBLE = 0.05
_MAX_SYMPTOMS, _MAX_CHECKS = 3, 2
"""A small model learns short answers; what the built-in reasoner adds beyond says little."""


class Teacher(NamedTuple):
    """Words the reasons."""

    table: SignTable
    rules: SafetyRules
    settings: DiagnoseSettings
    is_held_out: bool
    """Whether the last wording of each list is used, or all others."""

    def teach(self, solved: SolvedIncident, seed: str) -> Diagnosis | str:
        """Return the diagnosis of ``solved.pack`` that names its truth, or why there is none."""
        found = self._answer(solved)
        if found is None:
            return f"{solved.verdict.value}: the pack shows nothing of it"
        dice = random.Random(seed)  # noqa: S311  # wording, not a secret
        service = solved.pack.incident.service or ""
        hypotheses = [self._worded(hypothesis, found, service, dice) for hypothesis in found.hypotheses]
        dice.shuffle(hypotheses)
        short = {
            "symptoms": found.symptoms[:_MAX_SYMPTOMS],
            "hypotheses": tuple(hypotheses),
            "checks": found.checks[:_MAX_CHECKS],
            "missing": () if found.causes else found.missing,
        }
        return conclude(found.model_copy(update=short), solved.pack)

    def _answer(self, solved: SolvedIncident) -> Diagnosis | None:
        pack = solved.pack
        if solved.verdict is Verdict.CAUSE_FOUND:
            answers = [correct(pack, cause, self.table, self.rules, self.settings) for cause in solved.causes]
            return _join([answer for answer in answers if answer]) if all(answers) else None
        weaker = [c.model_copy(update={"score": min(c.score, _NEGLIGIBLE)}) for c in pack.candidates]
        calm: EvidencePack = pack.model_copy(update={"candidates": tuple(weaker)})
        answer = diagnose(calm, self.table, self.rules, self.settings).diagnosis
        return answer if answer.verdict is solved.verdict else None

    def _worded(self, hypothesis: Hypothesis, answer: Diagnosis, service: str, dice: random.Random) -> Hypothesis:
        """Say why it holds or not; what nothing speaks against is refuted by what decided, if anything did."""
        decided = _decider(answer)
        is_cause = _pair(hypothesis) in map(_pair, answer.causes)
        words = "refuted_by_calm" if answer.causes else "healthy"
        if is_cause:
            words = "cause" if hypothesis.component == service else "cause_felt_elsewhere"
        elif answer.verdict is Verdict.UNDETERMINED:
            words = "open"
        elif not hypothesis.contradicting and decided:
            hypothesis = hypothesis.model_copy(update={"contradicting": (decided,)})
            words = "refuted_by_cause" if answer.causes else words
        seen, calm = (_first_text(claims) for claims in (hypothesis.supporting, hypothesis.contradicting))
        phrases = _phrases()
        how = self._pick(phrases.how[hypothesis.fault_kind], dice)
        cause = answer.causes[0].component if answer.causes else ""
        said = self._pick(phrases.reasons[words], dice).format(
            component=hypothesis.component,
            service=service,
            cause=cause,
            seen=seen,
            calm=calm,
            how=how,
            How=how[0].upper() + how[1:],
        )
        return hypothesis.model_copy(update={"statement": said})

    def _pick(self, wordings: Sequence[str], dice: random.Random) -> str:
        return wordings[-1] if self.is_held_out else dice.choice(wordings[:-1])


def _join(answers: Sequence[Diagnosis]) -> Diagnosis:
    """Return the first answer with the causes of all; other suspicions of the same components are left out."""
    causes = {answer.causes[0].component: answer.causes[0] for answer in reversed(answers)}
    holding = [h for answer in answers for h in answer.hypotheses if _pair(h) == _pair(answer.causes[0])]
    others = [h for h in answers[0].hypotheses if h.component not in causes]
    return answers[0].model_copy(update={"causes": tuple(reversed(causes.values())), "hypotheses": (*holding, *others)})


def _pair(one: Hypothesis | Cause) -> tuple[str, FaultKind]:
    return one.component, one.fault_kind


def _decider(answer: Diagnosis) -> Claim | None:
    """What speaks most for the cause, or for health."""
    if not answer.causes:
        return answer.symptoms[0] if answer.symptoms else None
    holding = (h for h in answer.hypotheses if _pair(h) == _pair(answer.causes[0]) and h.supporting)
    return next((h.supporting[0] for h in holding), None)


def _first_text(claims: Sequence[Claim]) -> str:
    return claims[0].text.rstrip(".") if claims else ""


class _Phrases(Settings):
    """The file of wordings."""

    how: dict[FaultKind, tuple[str, ...]]
    """How a fault of each kind does harm."""
    reasons: dict[str, tuple[str, ...]]


@cache
def _phrases() -> _Phrases:
    return _Phrases.model_validate(yaml.safe_load(_PHRASES.read_text(encoding="utf-8")))
