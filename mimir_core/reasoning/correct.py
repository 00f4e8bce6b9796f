"""A person's correction -> the diagnosis that should have been written.

Comes in: the pack that the wrong diagnosis was made of, and the cause that a person names. Goes out: a diagnosis of the same pack
with that cause first, drafted and verified as any other; None where the pack holds nothing about the component. Surprise: a
correction adds no evidence. What nobody could have seen in the pack cannot be learned from it, so that it makes no example.
"""

from mimir_core.analysis.signs import SignTable
from mimir_core.config import DiagnoseSettings
from mimir_core.reasoning.claims import is_about
from mimir_core.reasoning.diagnose import diagnose
from mimir_core.records import Candidate, Diagnosis, EvidenceKind, EvidencePack, FaultKind, Outcome
from mimir_core.safety.policy import SafetyRules

_SURE = 0.95


def correct(
    pack: EvidencePack, cause: tuple[str, FaultKind], table: SignTable, rules: SafetyRules, settings: DiagnoseSettings
) -> Diagnosis | None:
    """Return the diagnosis of ``pack`` that names this cause; None where no evidence carries it."""
    component, fault_kind = cause
    others = [c for c in pack.candidates if (c.component, c.fault_kind) != cause]
    known = [c for c in pack.candidates if (c.component, c.fault_kind) == cause]
    cited = known[0].evidence_ids if known else _evidence_about(component, pack)
    if not cited:
        return None
    first = Candidate(component=component, fault_kind=fault_kind, score=_SURE, evidence_ids=cited)
    weaker = [c.model_copy(update={"score": min(c.score, settings.min_confidence / 2)}) for c in others]
    corrected = pack.model_copy(update={"candidates": (first, *weaker)})
    diagnosis = diagnose(corrected, table, rules, settings).diagnosis
    return diagnosis if diagnosis.causes else None


def _evidence_about(component: str, pack: EvidencePack) -> tuple[str, ...]:
    """What was seen of a component and is not normal, furthest from normal first."""
    seen = [item for item in pack.evidence if item.kind is not EvidenceKind.RUNBOOK and item.outcome is Outcome.DATA]
    about = [item for item in seen if item.score > 0 and is_about(component, item)]
    return tuple(item.id for item in sorted(about, key=lambda item: (-item.score, item.id)))
