"""A pack becomes a finished diagnosis: draft, verify, conclude.

Comes in: the pack and what the built-in reasoner needs. Goes out: the diagnosis and the count of rejected claims.
"""

from mimir_core.analysis.signs import SignTable
from mimir_core.config import DiagnoseSettings
from mimir_core.reasoning.builtin import draft_diagnosis
from mimir_core.reasoning.conclude import conclude
from mimir_core.reasoning.verify import Verified, verify
from mimir_core.records import EvidencePack
from mimir_core.safety.policy import SafetyRules


def diagnose(pack: EvidencePack, table: SignTable, rules: SafetyRules, settings: DiagnoseSettings) -> Verified:
    """Return the diagnosis of ``pack``: the same pack gives the same bytes."""
    verified = verify(draft_diagnosis(pack, table, rules, settings), pack)
    return Verified(conclude(verified.diagnosis, pack), verified.rejected)
