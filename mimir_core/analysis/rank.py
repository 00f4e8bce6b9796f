"""Evidence -> candidates: which component, which kind of fault, because of which evidence.

Comes in: the evidence of one incident. Goes out: candidates, best first.
Method: every piece of evidence speaks for one (component, fault kind) with a weight; weights for the same pair are fused
by noisy-or, 1 - product(1 - weight) (Pearl, "Probabilistic Reasoning in Intelligent Systems", 1988), because each is a
separate reason. Surprise: a complaint that names another known component speaks against that one, not against the speaker.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from math import prod
from typing import NamedTuple

from mimir_core.analysis.signs import SignTable, blamed_component
from mimir_core.records import Candidate, Direction, Evidence, EvidenceKind, FaultKind, Outcome

_WORD = re.compile(r"[A-Za-z0-9][\w.-]*")
_COMPLAINTS = frozenset({FaultKind.DATABASE, FaultKind.DEPENDENCY, FaultKind.LATENCY, FaultKind.NETWORK, FaultKind.QUEUE})
"""Faults that are felt by the caller: its complaint may name the culprit."""


class _Vote(NamedTuple):
    component: str
    fault_kind: FaultKind
    weight: float


def rank_candidates(evidence: Iterable[Evidence], table: SignTable) -> tuple[Candidate, ...]:
    """Return the possible causes, best first; ties in the order of names, so that the same evidence ranks the same."""
    items = [item for item in evidence if item.outcome is Outcome.DATA]
    components = {item.component for item in items if item.component}
    votes: dict[tuple[str, FaultKind], list[tuple[float, str]]] = defaultdict(list)
    for item in items:
        if vote := _vote(item, components, table):
            votes[vote.component, vote.fault_kind].append((vote.weight, item.id))
    candidates = []
    for (component, fault_kind), reasons in votes.items():
        reasons.sort(key=lambda reason: (-reason[0], reason[1]))
        score = 1 - prod(1 - weight for weight, _ in reasons)
        candidates.append(
            Candidate(
                component=component,
                fault_kind=fault_kind,
                score=round(score, 4),
                evidence_ids=tuple(evidence_id for _, evidence_id in reasons),
            )
        )
    return tuple(sorted(candidates, key=lambda candidate: (-candidate.score, candidate.component, candidate.fault_kind)))


def _vote(item: Evidence, components: set[str], table: SignTable) -> _Vote | None:
    if sign := table.sign_of(item):
        blamed = blamed_component(item, sign)
        if blamed == item.component and sign.fault in _COMPLAINTS:
            blamed = _other_component_in(item, components) or blamed
        return _Vote(blamed, sign.fault, sign.weight * item.score)
    if item.kind is EvidenceKind.METRIC and item.score > 0 and (family := table.family_of(item.subject)):
        if item.direction is family.bad:
            return _Vote(item.component, family.fault, family.weight * (0.5 + 0.5 * item.score))
        if family.bad is Direction.UP and item.direction is Direction.DOWN and family.fault is FaultKind.TRAFFIC:
            return _Vote(item.component, FaultKind.TRAFFIC, family.weight * 0.25)
    return None


def _other_component_in(item: Evidence, components: set[str]) -> str | None:
    """Return the longest known component, other than the speaker, that the excerpt names as a whole word."""
    words = set(_WORD.findall(item.excerpt)) | {part for word in _WORD.findall(item.excerpt) for part in word.split(".")}
    return max((words & components) - {item.component}, key=lambda name: (len(name), name), default=None)
