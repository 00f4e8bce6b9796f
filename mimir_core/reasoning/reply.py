"""What a model replied -> the diagnosis that it stands for; the inverse of ``steps_of``.

Comes in: the text of a reply, the prompt that it answers and the pack behind it. Goes out: a draft, and what was rejected, by
reason. Surprises: nothing in the draft is the model's own but its choices and its reasons: claims, confidences, actions and
commands already run are computed from the keys that it cites. A cause needs something that is not normal about its component,
"healthy" needs something that stayed calm; a reason that does not rest on what it cites is replaced by what was seen.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from pydantic import ValidationError

from mimir_core.errors import InputError
from mimir_core.reasoning.builtin import MAX_CONFIDENCE
from mimir_core.reasoning.claims import claim_about, is_about, names
from mimir_core.reasoning.prompt import Prompt
from mimir_core.reasoning.proposals import MAX_ACTIONS, propose
from mimir_core.reasoning.schema import MAX_CAUSES
from mimir_core.reasoning.steps import Asked, Blamed, Steps, Weighed
from mimir_core.reasoning.verify import Verified, reject
from mimir_core.reasoning.words import reject_command, reject_reason, reject_sentence
from mimir_core.records import (
    Action,
    Cause,
    Check,
    Claim,
    Diagnosis,
    Evidence,
    EvidenceKind,
    EvidencePack,
    FaultKind,
    Hypothesis,
    Verdict,
)
from mimir_core.safety.policy import BlastRadius, SafetyRules

Item = TypeVar("Item")

_MOST = 8
"""Of each list that an answer holds; a longer one says nothing more."""
_OTHER_KIND = 0.5
"""What the engine's score of a component counts for a kind of fault that it does not see there."""
_UNSUSPECTED = 0.05
"""The confidence in a component that the engine does not suspect."""


def parse_steps(text: str) -> Steps:
    """Return the five steps in ``text``: its outermost braces, whatever a talkative model says around them.

    Raises:
        InputError: There are none, or they are not as :class:`Steps` has them; says which part.
    """
    try:
        return Steps.model_validate_json(outermost_braces(text))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))[:80] or "the answer"
        raise InputError(f"{where}: {first['msg'][:200]}") from error


def outermost_braces(text: str) -> bytes:
    """Return what stands in them, with them; nothing where there are none."""
    return text[text.find("{") : text.rfind("}") + 1].encode(errors="replace")


def diagnosis_of(steps: Steps, prompt: Prompt, pack: EvidencePack, rules: SafetyRules) -> Verified:
    """Return the draft that ``steps`` stand for, for ``verify`` and ``conclude``, and what of them was rejected.

    Args:
        steps: What was answered.
        prompt: What was asked: it says what the keys mean.
        pack: The pack that the prompt shows a part of.
        rules: Which actions may be proposed.
    """
    reader = _Reader(prompt, pack, rules)
    symptoms = reader.claims(steps.symptoms)
    hypotheses = tuple(reader.hypotheses(steps.hypotheses))
    causes = tuple(reader.causes(steps, hypotheses))
    draft = Diagnosis(
        incident_id=pack.incident.id,
        verdict=reader.verdict(steps.verdict, symptoms, causes),
        headline="-",
        reason="-",
        symptoms=symptoms,
        hypotheses=hypotheses,
        checks=tuple(reader.checks(steps.checks, hypotheses)),
        causes=causes,
        actions=tuple(reader.actions(steps.actions, causes)),
        missing=tuple(reader.missing(steps.missing)),
    )
    return Verified(draft, reader.rejected)


def confidence_of(component: str, fault_kind: FaultKind, supporting: int, contradicting: int, pack: EvidencePack) -> float:
    """Return how sure a suspicion is: what the evidence engine thinks of it, by the share of what is cited that speaks for it.

    How often a model is right is not known before it is evaluated, so its word alone raises nothing. Half of the engine's score
    where it sees another kind of fault on the component.
    """
    about = [candidate for candidate in pack.candidates if candidate.component == component]
    scores = [c.score if c.fault_kind is fault_kind else _OTHER_KIND * c.score for c in about]
    engine = min(max(scores, default=0.0), MAX_CONFIDENCE)
    return round(max(engine, _UNSUSPECTED) * supporting / (supporting + contradicting), 4)


class _Reader:
    """Reads one reply. What it rejects, it counts."""

    def __init__(self, prompt: Prompt, pack: EvidencePack, rules: SafetyRules) -> None:
        self._prompt = prompt
        self._pack = pack
        self._rules = rules
        self.rejected: Counter[str] = Counter()

    def accepts(self, reason: str | None) -> bool:
        """Count the reason, if there is one, and return whether there is none."""
        if reason:
            self.rejected[reason] += 1
        return reason is None

    def claims(self, keys: Iterable[str], component: str = "") -> tuple[Claim, ...]:
        """State what the keys stand for, about ``component`` where they name it."""
        return tuple(claim for key in self._few(keys) if (claim := self._claim(key, component)))

    def hypotheses(self, weighed: Iterable[Weighed]) -> Iterator[Hypothesis]:
        """What is weighed, each suspicion once, as far as there is something to weigh."""
        once = {(one.suspect, one.fault_kind): one for one in weighed}
        for one in self._few(once.values()):
            component, fault_kind = self._component(one.suspect), one.fault_kind
            if component is None:
                continue
            supporting, contradicting = self.claims(one.supporting, component), self.claims(one.contradicting, component)
            if self.accepts(None if supporting or contradicting else "a suspicion cites no evidence"):
                yield Hypothesis(
                    component=component,
                    fault_kind=fault_kind,
                    statement=self._statement(one.because, component, (*supporting, *contradicting)),
                    confidence=confidence_of(component, fault_kind, len(supporting), len(contradicting), self._pack),
                    supporting=supporting,
                    contradicting=contradicting,
                )

    def causes(self, steps: Steps, hypotheses: Sequence[Hypothesis]) -> Iterator[Cause]:
        """Who is blamed, as far as what was weighed carries it."""
        for blamed in self._few(steps.causes, MAX_CAUSES):
            if steps.verdict is not Verdict.CAUSE_FOUND:
                self.accepts("blames somebody under another verdict than cause_found")
            elif cause := self._cause(blamed, hypotheses):
                yield cause

    def verdict(self, said: Verdict, symptoms: Iterable[Claim], causes: Sequence[Cause]) -> Verdict:
        """Return the verdict that the rest carries."""
        if said is Verdict.CAUSE_FOUND and not causes:
            self.accepts("names no cause that holds")
            return Verdict.UNDETERMINED
        if said is Verdict.HEALTHY and not any(self._is_calm(claim) for claim in symptoms):
            self.accepts("says healthy without anything that stayed calm")
            return Verdict.UNDETERMINED
        return said

    def checks(self, asked: Iterable[Asked], hypotheses: Iterable[Hypothesis]) -> Iterator[Check]:
        """What decided each hypothesis was looked at already; then what the model asks for."""
        for claim in dict.fromkeys((h.supporting or h.contradicting)[0] for h in hypotheses):
            item = self._cited(claim)
            yield Check(command=item.query or item.origin, would_show=claim.text, state="done", evidence_ids=claim.evidence_ids)
        for check in self._few(asked):
            if self.accepts(reject_command(check.command) or reject_sentence(check.shows)):
                yield Check(command=check.command.strip(), would_show=check.shows, state="to_do")

    def actions(self, proposed: Iterable[str], causes: Sequence[Cause]) -> Iterator[Action]:
        """What is on the allow-list, about the first cause; where there is none, only what touches nothing."""
        ranked = (candidate.component for candidate in self._pack.candidates)
        about = causes[0].component if causes else self._pack.incident.service or next(ranked, "")
        because = causes[0].evidence_ids[:1] if causes else ()
        for name in self._few(proposed, MAX_ACTIONS):
            if self.accepts(self._reject_action(name, is_proven=bool(causes))):
                yield propose(name, about, because, self._pack, self._rules)

    def missing(self, said: Iterable[str]) -> Iterator[str]:
        """What would have told."""
        return (text for text in self._few(said) if self.accepts(reject_sentence(text)))

    def _few(self, items: Iterable[Item], most: int = _MOST) -> list[Item]:
        """Return the first items, each once; the others are counted."""
        different = list(dict.fromkeys(items))
        if (beyond := len(different) - most) > 0:
            self.rejected["says more than is kept"] += beyond
        return different[:most]

    def _claim(self, key: str, component: str) -> Claim | None:
        item = self._pack.find(self._prompt.evidence.get(key, ""))
        if item is None:
            self.accepts("cites evidence that was not shown")
            return None
        claim = claim_about(item, component if is_about(component, item) else None)
        return claim if self.accepts(reject(claim, self._pack)) else None

    def _component(self, key: str) -> str | None:
        component = self._prompt.suspects.get(key)
        self.accepts(None if component else "names a suspect that was not shown")
        return component

    def _statement(self, because: str, component: str, claims: Sequence[Claim]) -> str:
        """The reason, led by whom it is about; what was seen, where the reason does not rest on it."""
        if self.accepts(reject_reason(because, map(self._cited, claims))):
            words = because.strip().rstrip(".")
            return words if names(words, component) else f"{component}: {words}"
        return claims[0].text if names(claims[0].text, component) else f"{component}: {claims[0].text}"

    def _cause(self, blamed: Blamed, hypotheses: Sequence[Hypothesis]) -> Cause | None:
        component = self._component(blamed.suspect)
        if component is None or not self.accepts("blames no kind of fault" if blamed.fault_kind is FaultKind.NONE else None):
            return None
        about = (hypothesis for hypothesis in hypotheses if hypothesis.component == component)
        weighed = min(about, key=lambda hypothesis: hypothesis.fault_kind is not blamed.fault_kind, default=None)
        carrying = [item for claim in (weighed.supporting if weighed else ()) if _carries(item := self._cited(claim), component)]
        if weighed is None or not self.accepts(None if carrying else "nothing abnormal that is cited carries a cause"):
            return None
        counts = len(weighed.supporting), len(weighed.contradicting)
        return Cause(
            component=component,
            fault_kind=blamed.fault_kind,
            change_id=next((item.query for item in carrying if item.kind is EvidenceKind.CHANGE), None),
            confidence=confidence_of(component, blamed.fault_kind, *counts, self._pack),
            evidence_ids=tuple(item.id for item in carrying),
        )

    def _reject_action(self, name: str, *, is_proven: bool) -> str | None:
        rule = self._rules.actions.get(name)
        if rule is None:
            return "proposes an action that is not on the allow-list"
        return None if is_proven or rule.blast_radius is BlastRadius.NONE else "would change something without a cause"

    def _is_calm(self, claim: Claim) -> bool:
        item = self._cited(claim)
        return item.score == 0 and item.kind is not EvidenceKind.ALERT

    def _cited(self, claim: Claim) -> Evidence:
        item = self._pack.find(claim.evidence_ids[0])
        assert item is not None  # noqa: S101  # claims are made of the pack's own evidence
        return item


def _carries(item: Evidence, component: str) -> bool:
    """Whether ``item`` can carry a cause: not normal, about the component, and more than the alert that is to be explained."""
    return item.score > 0 and item.kind is not EvidenceKind.ALERT and is_about(component, item)
