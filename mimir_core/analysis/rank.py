"""Evidence -> candidates: which component, which kind of fault, because of which evidence.

Comes in: the evidence of one incident. Goes out: candidates, best first.
Method: every piece of evidence speaks for one (component, fault kind) with a weight; weights for the same pair are fused
by noisy-or, 1 - product(1 - weight) (Pearl, "Probabilistic Reasoning in Intelligent Systems", 1988), because each is a
separate reason. Surprises: a complaint that names another known component speaks against that one, not against the speaker;
what a sign explains (sign_table: ``explains``) speaks for that sign's fault, and less for one of its own; a fault far from
what the incident is about, with nothing that connects the two, counts half.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import prod
from typing import NamedTuple

from mimir_core.analysis.last_words import LAST_WORDS
from mimir_core.analysis.signs import SignTable, blamed_component
from mimir_core.analysis.suspects import Suspicion, out_of_bounds
from mimir_core.records import Candidate, Direction, Evidence, EvidenceKind, FaultKind, Outcome
from mimir_core.telemetry.signals import UNKNOWN_COMPONENT, are_related

_WORD = re.compile(r"[A-Za-z0-9][\w.-]*")
_SHORTAGES = frozenset({FaultKind.DATABASE, FaultKind.MEMORY, FaultKind.QUOTA})
"""A state that tells of one of these is the component's own; one of a failed connection may be anybody's."""
_LAST_WORDS_WEIGHT = 0.2
_EXPLAINED = 0.5
"""An effect counts half for the fault that explains it, and half for a fault of its own."""
_UNCONNECTED = 0.5
_UNSUSPECTED = 0.6
"""What series count of a component that the comparison with all others does not suspect at all."""
_SIGNAL_WEIGHTS = {"time": 0.6, "shape": 0.6, "log": 0.5, "mention": 0.4, "flow": 0.7, "traffic": 0.5}
"""What a suspicion counts as a vote; a level votes by the family of its metric, like all series."""
_WHERE = ("flow", "time")
"""Signals that say where time and requests are lost, but not by what."""
_CHANGE_WEIGHT = 0.9
_ONLY_FELT = 0.5
"""What users feel is what is to be explained: alone it carries no cause."""


class _Vote(NamedTuple):
    component: str
    fault_kind: FaultKind
    weight: float
    item: Evidence


def rank_candidates(
    evidence: Iterable[Evidence],
    table: SignTable,
    affected: str | None = None,
    suspected: Mapping[str, float] | None = None,
    reasons_of: Sequence[tuple[Evidence, Suspicion]] = (),
) -> tuple[Candidate, ...]:
    """Return the possible causes, best first; ties in the order of names, so that the same evidence ranks the same.

    Args:
        evidence: What was found.
        table: What it means.
        affected: The component that the incident is about, where that is known.
        suspected: How suspect the numbers make each component that has any, in [0, 1].
        reasons_of: Evidence made of suspicions, with what it speaks for.
    """
    suspected = suspected or {}
    highest = max(suspected.values(), default=0.0)
    items = [item for item in evidence if item.outcome is Outcome.DATA]
    components = {item.component for item in items if item.component}
    suspicious = list(_votes_of(reasons_of))
    told = {vote.item.id for vote in suspicious}
    own = [vote for item in items if item.id not in told and (vote := _vote(item, components, table))]
    votes = [*_explain(_settle(own, table, affected), table), *suspicious]
    by_pair: dict[tuple[str, FaultKind], list[_Vote]] = defaultdict(list)
    for vote in votes:
        by_pair[vote.component, vote.fault_kind].append(vote)
    near = _near(items, affected)
    candidates = []
    for (component, fault_kind), reasons in by_pair.items():
        reasons.sort(key=lambda vote: (-vote.weight, vote.item.id))
        score = 1 - prod(1 - vote.weight for vote in reasons)
        if all(vote.item.id not in told and _is_felt(vote.item, table) for vote in reasons):
            score *= _ONLY_FELT
        if highest and component in suspected and all(vote.item.kind is EvidenceKind.METRIC for vote in reasons):
            score *= _UNSUSPECTED + (1 - _UNSUSPECTED) * suspected[component] / highest
        candidates.append(
            Candidate(
                component=component,
                fault_kind=fault_kind,
                score=round(score if near is None or component in near else score * _UNCONNECTED, 4),
                evidence_ids=tuple(dict.fromkeys(vote.item.id for vote in reasons)),
            )
        )
    return tuple(sorted(candidates, key=lambda candidate: (-candidate.score, candidate.component, candidate.fault_kind)))


def _votes_of(reasons: Sequence[tuple[Evidence, Suspicion]]) -> Iterator[_Vote]:
    """Yield what suspicions speak for; what is lost at a component speaks for what is out of bounds there, too."""
    causes = out_of_bounds(item for _, item in reasons)
    for evidence, item in reasons:
        if item.signal not in _SIGNAL_WEIGHTS:
            continue
        vote = _Vote(item.component, item.fault_kind, item.strength * _SIGNAL_WEIGHTS[item.signal], evidence)
        if item.signal in _WHERE and item.component in causes:
            vote = vote._replace(weight=vote.weight * _EXPLAINED)
            yield vote._replace(fault_kind=causes[item.component])
        yield vote


def _vote(item: Evidence, components: set[str], table: SignTable) -> _Vote | None:
    if item.kind is EvidenceKind.CHANGE:
        fault = FaultKind.CONFIGURATION if item.subject.startswith("flag ") else FaultKind.CODE_CHANGE
        return _Vote(item.component, fault, _CHANGE_WEIGHT * item.score, item)
    if item.subject == LAST_WORDS:
        return _Vote(item.component, FaultKind.CRASH, _LAST_WORDS_WEIGHT, item)
    if sign := table.sign_of(item):
        if sign.fault is FaultKind.NONE:
            return None
        blamed = next((name for name in sign.blames if name in components), None) or blamed_component(item, sign)
        if blamed == item.component and sign.of_another:
            blamed = _other_component_in(item, components) or blamed
        return _Vote(blamed, sign.fault, sign.weight * item.score, item)
    if item.kind is EvidenceKind.METRIC and item.score > 0 and (family := table.family_of(item.subject)):
        if item.direction is family.bad:
            return _Vote(item.component, family.fault, family.weight * (0.5 + 0.5 * item.score), item)
        if family.bad is Direction.UP and item.direction is Direction.DOWN and family.fault is FaultKind.TRAFFIC:
            return _Vote(item.component, FaultKind.TRAFFIC, family.weight * 0.25, item)
    return None


def _settle(votes: Sequence[_Vote], table: SignTable, affected: str | None) -> list[_Vote]:
    """Return the votes with shared complaints turned against one culprit.

    That is who shows the shortage in its own state; else, of the affected component and one that it names or that names
    it, the other one.
    """
    complaints = [vote for vote in votes if (sign := table.sign_of(vote.item)) and sign.of_another]
    stated = {
        vote.item.subject: vote.item.component
        for vote in complaints
        if vote.item.kind is EvidenceKind.KUBERNETES and vote.fault_kind in _SHORTAGES
    }
    culprits = dict(stated)
    for mine in (vote.item for vote in complaints if vote.item.component == affected and vote.item.subject not in culprits):
        for other in (vote.item for vote in complaints if vote.item.component != affected and vote.item.subject == mine.subject):
            if other.component in _names_in(mine) or affected in _names_in(other):
                culprits[mine.subject] = other.component
    shared = {id(vote): culprits[vote.item.subject] for vote in complaints if vote.item.subject in culprits}
    return [
        vote._replace(component=shared[id(vote)])
        if id(vote) in shared and (vote.item.subject in stated or vote.item.component in (affected, shared[id(vote)]))
        else vote
        for vote in votes
    ]


def _explain(votes: Sequence[_Vote], table: SignTable) -> list[_Vote]:
    """Add a vote for each effect to the fault that explains it; a vote for an explained effect counts less by itself.

    Where two faults explain each other's effects, both stand: the votes that decide are those that nothing explains.
    """
    names = {vote.item.id: table.name_of(vote.item) for vote in votes}
    explained: set[str] = set()
    added: list[_Vote] = []
    for cause in votes:
        sign = table.sign_of(cause.item)
        for effect in votes:
            name = names[effect.item.id]
            if sign is None or effect is cause or name is None:
                continue
            if name in sign.explains_elsewhere or (name in sign.explains and _are_connected(cause, effect)):
                explained.add(effect.item.id)
                added.append(_Vote(cause.component, cause.fault_kind, effect.weight * cause.item.score * _EXPLAINED, effect.item))
    own = [vote._replace(weight=vote.weight * _EXPLAINED) if vote.item.id in explained else vote for vote in votes]
    return [*own, *(vote for vote in added if (vote.component, vote.fault_kind) not in _pairs_of(own, vote.item))]


def _is_felt(item: Evidence, table: SignTable) -> bool:
    """Whether it is what users feel: a symptom, and no reason for one."""
    family = table.family_of(item.subject) if item.kind is EvidenceKind.METRIC else None
    return family is not None and family.felt


def _are_connected(cause: _Vote, effect: _Vote) -> bool:
    """Whether one may be the effect of the other: on the same or a related component, or on one that the cause names."""
    effects = {effect.component, effect.item.component}
    return any(are_related(cause.component, name) for name in effects) or bool(effects & _names_in(cause.item))


def _pairs_of(votes: Sequence[_Vote], item: Evidence) -> set[tuple[str, FaultKind]]:
    """The pairs that ``item`` speaks for by itself: it must not count twice for one."""
    return {(vote.component, vote.fault_kind) for vote in votes if vote.item.id == item.id}


def _near(items: Sequence[Evidence], affected: str | None) -> set[str] | None:
    """The components with a connection to the affected one; None when it is not known or was not seen.

    A connection is: a name that belongs to it, a series in the same tables, one component's lines naming the other.
    """
    if not affected or not any(item.component == affected for item in items):
        return None
    near = {item.component for item in items if item.kind is EvidenceKind.METRIC and item.score > 0}
    near.discard(UNKNOWN_COMPONENT)
    near |= {item.component for item in items if are_related(item.component, affected)}
    named = {word for item in items if item.component == affected for word in _names_in(item)}
    speakers = {item.component for item in items if affected in _names_in(item)}
    return near | named | speakers


def _other_component_in(item: Evidence, components: set[str]) -> str | None:
    """Return the longest known component, other than the speaker, that the excerpt names as a whole word."""
    return max((_names_in(item) & components) - {item.component}, key=lambda name: (len(name), name), default=None)


def _names_in(item: Evidence) -> set[str]:
    words = _WORD.findall(item.excerpt)
    return set(words) | {part for word in words for part in word.split(".")}
