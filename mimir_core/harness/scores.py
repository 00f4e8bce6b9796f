"""One answer to a recorded case against what is known of it -> its scores.

Comes in: what was said, and the truth. Goes out: a number a score, None where the case or the answer has nothing to score.
Surprises: an answer that did not come is wrong, whoever answered instead; where nobody wrote down which actions helped, those
stand in that the built-in reasoner proposes when it is told the true cause.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import NamedTuple

from mimir_core.analysis.signs import SignTable
from mimir_core.config import DiagnoseSettings
from mimir_core.evaluation.answers import Said
from mimir_core.evaluation.diagnosis import Truth, guess_category
from mimir_core.evaluation.scores import score_answer
from mimir_core.reasoning.correct import correct
from mimir_core.records import Action, Cause, Diagnosis, EvidencePack, Verdict
from mimir_core.safety.policy import SafetyRules
from mimir_core.telemetry.files import TRUTH_FILE

Figures = Mapping[str, bool | float | None]
"""By name, of one case; what is a bool is a share over all cases."""

_SHARED = {
    "root_cause": "root_cause_top1",
    "root_cause_in_three": "root_cause_top3",
    "fault_kind": "fault_kind",
    "verdict": "abstention",
}
"""What docs/evaluate.md calls it, where that is asked of what a model said before any check; here of what is left of it."""


class Known(NamedTuple):
    """What is known of a recorded case."""

    truth: Truth = Truth()
    actions: tuple[str, ...] = ()
    """What helped; empty where nobody wrote it down."""
    resolved_at: datetime | None = None


def score_cause(said: Said, known: Known, rules: SafetyRules) -> Figures:
    """Return how right an answer is about verdict and cause."""
    truth = known.truth
    diagnosis = _as_diagnosis(truth)
    scored = score_answer(said, diagnosis, rules) if diagnosis else {}
    scores = {name: None if (score := scored.get(theirs)) is None else score == 1 for name, theirs in _SHARED.items()}
    category = guess_category(said.standing) if said.standing else None
    is_kind_untold = said.verdict is not None and said.standing is None
    scores["category"] = None if truth.category is None or is_kind_untold else category is truth.category
    scores["invented_cause"] = None if truth.causes or not diagnosis else bool(said.causes)
    return scores


def score_actions(said: Said, known: Known, helping: Collection[Action], rules: SafetyRules) -> Figures:
    """Return how right an answer is about what to do.

    Args:
        said: The answer.
        known: The truth.
        helping: What would have helped, as :func:`find_helping` returns it.
        rules: The allow-list.
    """
    diagnosis = _as_diagnosis(known.truth)
    if diagnosis is None:
        return {"right_action": None, "safe_actions": None}
    names = {action.name for action in helping}
    is_aimed_right = bool(said.causes) and said.causes[0][0] in {cause.component for cause in diagnosis.causes}
    told = diagnosis.model_copy(update={"actions": tuple(helping)})
    return {
        "right_action": is_aimed_right and not names.isdisjoint(said.actions) if names else None,
        "safe_actions": score_answer(said, told, rules)["safe_actions"],
    }


def find_helping(
    pack: EvidencePack, known: Known, table: SignTable, rules: SafetyRules, settings: DiagnoseSettings
) -> list[Action]:
    """Return what would have helped; nothing where nobody can tell.

    Raises:
        InputError: What somebody wrote down is not on the allow-list.
    """
    if known.actions:
        component = known.truth.causes[0][0] if known.truth.causes else ""
        return [rules.propose(name, component=component, namespace="") for name in known.actions]
    told = [correct(pack, cause, table, rules, settings) for cause in known.truth.causes]
    return [action for diagnosis in told if diagnosis for action in diagnosis.actions]


def _as_diagnosis(truth: Truth) -> Diagnosis | None:
    """Return what somebody who knew would have said; None where neither verdict nor cause is known."""
    verdict = Verdict.CAUSE_FOUND if truth.causes else truth.verdict
    causes = [
        Cause(component=component, fault_kind=kind, confidence=1, evidence_ids=(TRUTH_FILE,)) for component, kind in truth.causes
    ]
    return Diagnosis(incident_id="", verdict=verdict, headline="", reason="", causes=tuple(causes)) if verdict else None
