"""Claims are checked, not trusted: every claim is recomputed from the evidence that it cites.

Comes in: a diagnosis, whoever wrote it, and the pack that it was written from. Goes out: the diagnosis without what does
not follow from the pack, and the count of what was dropped, by reason. Surprise: a runbook may support an action or a
check, never a symptom or a cause: it says what could be, not what is.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from mimir_core.reasoning.claims import is_about
from mimir_core.records import (
    Action,
    Cause,
    Check,
    Claim,
    Diagnosis,
    Direction,
    Evidence,
    EvidenceKind,
    EvidencePack,
    Hypothesis,
    Outcome,
    Verdict,
)

_RELATIVE_ROUNDING = 0.005
"""Numbers agree when they are equal to about three significant digits."""
_NUMBER = re.compile(r"(?<![\w.-])-?\d+(?:\.\d+)?(?![\w.]*\w)")
_UP_WORDS = re.compile(r"\b(?:rose|rises|rising|increased|grew|climbed|jumped|went up)\b", re.IGNORECASE)
_DOWN_WORDS = re.compile(r"\b(?:fell|falls|falling|decreased|dropped|declined|went down)\b", re.IGNORECASE)
_NEVER_SUPPORTS_A_CLAIM = frozenset({EvidenceKind.RUNBOOK})


class Verified(NamedTuple):
    """What is left of a diagnosis, and why the rest is not."""

    diagnosis: Diagnosis
    rejected: Counter[str]


def reject(claim: Claim, pack: EvidencePack) -> str | None:
    """Return why ``claim`` does not follow from what it cites, or None when it does.

    Each piece of evidence that is cited must support the whole claim by itself: more evidence, more claims.
    """
    for evidence_id in claim.evidence_ids:
        evidence = pack.find(evidence_id)
        if evidence is None:
            return "cites evidence that is not in the pack"
        if reason := _reject_by(claim, evidence):
            return reason
    return None


def verify(diagnosis: Diagnosis, pack: EvidencePack) -> Verified:
    """Drop from ``diagnosis`` every claim, cause, check and action that its citations do not carry.

    A verdict of ``cause_found`` that loses all its causes, and one of ``healthy`` that keeps no claim to show it, become
    ``undetermined``.
    """
    rejected: Counter[str] = Counter()
    causes = tuple(cause for cause in diagnosis.causes if not _count(_reject_cause(cause, pack), rejected))
    verdict = diagnosis.verdict
    symptoms = _kept(diagnosis.symptoms, pack, rejected)
    if (verdict is Verdict.CAUSE_FOUND and not causes) or (verdict is Verdict.HEALTHY and not symptoms):
        verdict = Verdict.UNDETERMINED
    return Verified(
        diagnosis.model_copy(
            update={
                "verdict": verdict,
                "symptoms": symptoms,
                "hypotheses": tuple(_verify_hypothesis(h, pack, rejected) for h in diagnosis.hypotheses),
                "checks": tuple(c for c in diagnosis.checks if not _count(_reject_citations(c, pack), rejected)),
                "causes": causes,
                "actions": tuple(a for a in diagnosis.actions if not _count(_reject_citations(a, pack), rejected)),
            }
        ),
        rejected,
    )


def _reject_by(claim: Claim, evidence: Evidence) -> str | None:
    value = evidence.value
    if evidence.kind in _NEVER_SUPPORTS_A_CLAIM:
        return "a runbook cannot support a symptom or a cause"
    if evidence.outcome is not Outcome.DATA:
        return "cites a source that gave no data"
    if not is_about(claim.component, evidence):
        return "the evidence is about another component"
    if claim.subject != evidence.subject:
        return "the evidence is about something else"
    if claim.direction is not evidence.direction:
        return "the direction is wrong"
    if not (
        numbers_agree(claim.value, value.after if value else None)
        and numbers_agree(claim.before, value.before if value else None)
    ):
        return "a number is wrong"
    if claim.unit != (value.unit if value else ""):
        return "the unit is wrong"
    if claim.window and not (evidence.window and evidence.window.holds(claim.window)):
        return "the window is wrong"
    return _reject_text(claim, evidence)


def _reject_text(claim: Claim, evidence: Evidence) -> str | None:
    """The sentence may say no number and no direction that the evidence does not."""
    source = f"{evidence.component} {evidence.subject} {evidence.excerpt}"
    known = [number for number in (claim.value, claim.before) if number is not None] + numbers_in(source)
    sentence = claim.text.replace(evidence.subject, " ")
    if any(not any(numbers_agree(number, other) for other in known) for number in numbers_in(sentence)):
        return "the text names a number that the evidence does not"
    says_up, says_down = bool(_UP_WORDS.search(sentence)), bool(_DOWN_WORDS.search(sentence))
    if (says_up and claim.direction is Direction.DOWN) or (says_down and claim.direction is Direction.UP):
        return "the text says the other direction"
    return None


def _reject_cause(cause: Cause, pack: EvidencePack) -> str | None:
    for evidence_id in cause.evidence_ids:
        evidence = pack.find(evidence_id)
        if evidence is None:
            return "cites evidence that is not in the pack"
        if evidence.kind in _NEVER_SUPPORTS_A_CLAIM:
            return "a runbook cannot support a symptom or a cause"
        if not is_about(cause.component, evidence):
            return "the evidence is about another component"
    return None


def _reject_citations(step: Check | Action, pack: EvidencePack) -> str | None:
    return None if all(pack.find(i) for i in step.evidence_ids) else "cites evidence that is not in the pack"


def _verify_hypothesis(hypothesis: Hypothesis, pack: EvidencePack, rejected: Counter[str]) -> Hypothesis:
    return hypothesis.model_copy(
        update={
            "supporting": _kept(hypothesis.supporting, pack, rejected),
            "contradicting": _kept(hypothesis.contradicting, pack, rejected),
        }
    )


def _kept(claims: Iterable[Claim], pack: EvidencePack, rejected: Counter[str]) -> tuple[Claim, ...]:
    return tuple(claim for claim in claims if not _count(reject(claim, pack), rejected))


def _count(reason: str | None, rejected: Counter[str]) -> bool:
    if reason:
        rejected[reason] += 1
    return reason is not None


def numbers_agree(said: float | None, found: float | None) -> bool:
    """Whether two numbers are the same to about three significant digits; nothing agrees with nothing alone."""
    if said is None or found is None:
        return said is found
    return math.isclose(said, found, rel_tol=_RELATIVE_ROUNDING, abs_tol=1e-9)


def numbers_of(evidence: Evidence) -> list[float]:
    """Return every number that ``evidence`` holds, in its words and as a measurement."""
    value = evidence.value
    measured = [number for number in (value.before, value.after) if number is not None] if value else []
    return numbers_in(f"{evidence.component} {evidence.subject} {evidence.query} {evidence.excerpt}") + measured


def numbers_in(text: str) -> list[float]:
    """Return the numbers that stand alone in ``text``.

    >>> numbers_in("rose from 12 to 498.5 on web-2 at p95")
    [12.0, 498.5]
    """
    return [float(number) for number in _NUMBER.findall(text)]
