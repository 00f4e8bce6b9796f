"""The five steps in a model's own words: short keys instead of ids, nothing that can be computed.

Comes in: a diagnosis and the prompt that a model would have been asked. Goes out: :class:`Steps`, whose JSON is what a model is
taught to write and is held to when it answers. Surprises: what the prompt did not show cannot be cited; it is
left out; the hypothesis that holds comes first.
"""

from collections.abc import Iterable, Iterator, Mapping

from mimir_core.config import Settings
from mimir_core.reasoning.prompt import Prompt
from mimir_core.records import Cause, Claim, Diagnosis, FaultKind, Hypothesis, Verdict


class Weighed(Settings):
    """A hypothesis, with what speaks for it and against it."""

    suspect: str
    fault_kind: FaultKind
    because: str
    supporting: tuple[str, ...]
    contradicting: tuple[str, ...]


class Asked(Settings):
    """A check that is to be done; what was looked at is cited where it counts."""

    command: str
    shows: str


class Blamed(Settings):
    """A cause."""

    suspect: str
    fault_kind: FaultKind


class Steps(Settings):
    """The whole answer, in the order in which it is reasoned."""

    symptoms: tuple[str, ...]
    """Keys of evidence: what it says is computed."""
    hypotheses: tuple[Weighed, ...]
    checks: tuple[Asked, ...]
    verdict: Verdict
    causes: tuple[Blamed, ...]
    actions: tuple[str, ...]
    missing: tuple[str, ...]


def steps_of(diagnosis: Diagnosis, prompt: Prompt) -> Steps:
    """Return what a model should have answered to ``prompt`` to say what ``diagnosis`` says."""
    evidence = {item: key for key, item in prompt.evidence.items()}
    suspects = {name: key for key, name in prompt.suspects.items()}
    return Steps(
        symptoms=_cited(diagnosis.symptoms, evidence),
        hypotheses=tuple(_weighed(_holding_first(diagnosis), evidence, suspects)),
        checks=tuple(
            Asked(command=check.command, shows=check.would_show) for check in diagnosis.checks if check.state == "to_do"
        ),
        verdict=diagnosis.verdict,
        causes=tuple(_blamed(diagnosis.causes, suspects)),
        actions=tuple(dict.fromkeys(action.name for action in diagnosis.actions)),
        missing=diagnosis.missing,
    )


def _holding_first(diagnosis: Diagnosis) -> list[Hypothesis]:
    causes = {(cause.component, cause.fault_kind) for cause in diagnosis.causes}
    return sorted(diagnosis.hypotheses, key=lambda h: (h.component, h.fault_kind) not in causes)


def _weighed(hypotheses: Iterable[Hypothesis], evidence: Mapping[str, str], suspects: Mapping[str, str]) -> Iterator[Weighed]:
    for hypothesis in hypotheses:
        supporting, contradicting = (_cited(claims, evidence) for claims in (hypothesis.supporting, hypothesis.contradicting))
        if hypothesis.component in suspects and (supporting or contradicting):
            yield Weighed(
                suspect=suspects[hypothesis.component],
                fault_kind=hypothesis.fault_kind,
                because=hypothesis.statement,
                supporting=supporting,
                contradicting=contradicting,
            )


def _blamed(causes: Iterable[Cause], suspects: Mapping[str, str]) -> Iterator[Blamed]:
    for cause in causes:
        if key := suspects.get(cause.component):
            yield Blamed(suspect=key, fault_kind=cause.fault_kind)


def _cited(claims: Iterable[Claim], evidence: Mapping[str, str]) -> tuple[str, ...]:
    """Return the keys of what the claims cite, as far as it was shown."""
    ids = (item for claim in claims for item in claim.evidence_ids)
    return tuple(dict.fromkeys(evidence[item] for item in ids if item in evidence))
