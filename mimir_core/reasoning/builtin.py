"""The built-in reasoner: a pack becomes a draft of the five steps, without any model.

Comes in: the pack, the table of signs and the safety rules. Goes out: a draft :class:`Diagnosis` for ``verify`` and
``conclude``. It is the embedded default, the floor that a model must beat, and the answer when a model fails.
Surprise: "healthy" needs proof (something that users feel was measured and is steady, or the component says that it is
fine and its log is quiet); no evidence of trouble alone is "undetermined".
"""

from collections.abc import Iterable, Iterator

from mimir_core.analysis.pack import DIAGNOSIS, FINE, QUIET
from mimir_core.analysis.signs import Sign, SignTable
from mimir_core.config import DiagnoseSettings
from mimir_core.reasoning.claims import claim_about, is_about
from mimir_core.reasoning.proposals import MAX_ACTIONS, namespace_of, passage_for, propose
from mimir_core.reasoning.seen import Sight
from mimir_core.records import (
    Action,
    Candidate,
    Cause,
    Check,
    Claim,
    Diagnosis,
    Direction,
    Evidence,
    EvidenceKind,
    EvidencePack,
    Hypothesis,
    Verdict,
)
from mimir_core.safety.policy import SafetyRules, fill_command

_MAX_CLAIMS = 4
_SECOND_CAUSE = 0.8
"""Another component's candidate must be this strong to be a cause beside the first."""
MAX_CONFIDENCE = 0.95
"""However much speaks for a cause."""
_NEGLIGIBLE = 0.1
_MORE_FACTS = 2


def draft_diagnosis(pack: EvidencePack, table: SignTable, rules: SafetyRules, settings: DiagnoseSettings) -> Diagnosis:
    """Return the five steps as far as the evidence carries them; headline, reason and citations are left to ``conclude``."""
    sight = Sight(pack, table)
    reasoner = _Builtin(pack, table, rules)
    likely = [c for c in pack.candidates if c.score >= settings.min_confidence]
    causes = tuple(reasoner.cause(candidate) for candidate in _choose(likely))
    hypotheses = pack.candidates[: settings.max_hypotheses]
    healthy = not causes and reasoner.is_healthy(sight)
    verdict = Verdict.HEALTHY if healthy else Verdict.CAUSE_FOUND if causes else Verdict.UNDETERMINED
    return Diagnosis(
        incident_id=pack.incident.id,
        verdict=verdict,
        headline="-",
        reason="-",
        symptoms=sight.proofs_of_health() if healthy else sight.symptoms(),
        hypotheses=tuple(reasoner.hypothesis(candidate) for candidate in hypotheses),
        checks=tuple(reasoner.checks(hypotheses)),
        causes=causes,
        actions=() if healthy else tuple(reasoner.actions(causes)),
        missing=tuple(reasoner.missing()),
    )


def _choose(likely: list[Candidate]) -> Iterator[Candidate]:
    """The first candidate, and the strongest one of another kind on another component where it can stand alone.

    The same kind of fault elsewhere is how a victim looks, so it makes no second cause.
    """
    yield from likely[:1]
    for other in likely[1:]:
        first = likely[0]
        if other.score >= _SECOND_CAUSE and other.component != first.component and other.fault_kind is not first.fault_kind:
            yield other
            return


class _Builtin:
    """Reads one pack. Each method is one of the later steps."""

    def __init__(self, pack: EvidencePack, table: SignTable, rules: SafetyRules) -> None:
        self._pack = pack
        self._table = table
        self._rules = rules
        self._by_id = {item.id: item for item in pack.evidence}

    def hypothesis(self, candidate: Candidate) -> Hypothesis:
        """State a candidate with what speaks for it, what drives it, and what speaks against it."""
        driver = self._driver(candidate)
        supporting = [*self._evidence_of(candidate)[: _MAX_CLAIMS - len(driver)], *driver]
        return Hypothesis(
            component=candidate.component,
            fault_kind=candidate.fault_kind,
            statement=f"{candidate.component}: {self._means(candidate)}",
            confidence=min(candidate.score, MAX_CONFIDENCE),
            supporting=tuple(self._claim_for(candidate, item) for item in supporting),
            contradicting=tuple(claim_about(item) for item in self._against(candidate))[:_MAX_CLAIMS],
        )

    def checks(self, candidates: Iterable[Candidate]) -> Iterator[Check]:
        """What was looked at, and what to run next to tell the hypotheses apart."""
        asked: set[str] = set()
        for candidate in candidates:
            for item in self._evidence_of(candidate)[:1]:
                source = item.query or item.origin
                if source not in asked:
                    asked.add(source)
                    yield Check(command=source, would_show=claim_about(item).text, state="done", evidence_ids=(item.id,))
            if (sign := self._sign(candidate)) and (command := self._fill(sign.check, candidate)) and command not in asked:
                asked.add(command)
                passage = passage_for(DIAGNOSIS, candidate.component, self._pack)
                shows = f"whether it is so that {self._means(candidate)}"
                if passage:
                    shows += f"; runbook: {passage.subject}"
                yield Check(command=command, would_show=shows, state="to_do", evidence_ids=(passage.id,) if passage else ())

    def cause(self, candidate: Candidate) -> Cause:
        """Turn a candidate into a cause."""
        return Cause(
            component=candidate.component,
            fault_kind=candidate.fault_kind,
            confidence=min(candidate.score, MAX_CONFIDENCE),
            change_id=next((item.query for item in self._evidence_of(candidate) if item.kind is EvidenceKind.CHANGE), None),
            evidence_ids=tuple(item.id for item in self._evidence_of(candidate) if is_about(candidate.component, item))[
                :_MAX_CLAIMS
            ],
        )

    def actions(self, causes: tuple[Cause, ...]) -> Iterator[Action]:
        """Propose what the signs of each cause ask for, from the allow-list, with the runbook that supports it."""
        proposed = 0
        for cause in causes:
            deciding = self._by_id[cause.evidence_ids[0]]
            sign = self._table.sign_of(deciding)
            undo = ("rollback_deployment",) if deciding.kind is EvidenceKind.CHANGE else ("collect_more_evidence",)
            for name in sign.actions if sign else undo:
                if proposed < MAX_ACTIONS:
                    proposed += 1
                    yield propose(name, cause.component, (deciding.id,), self._pack, self._rules)
        if not causes:
            component = self._pack.incident.service or next((c.component for c in self._pack.candidates), "")
            yield propose("collect_more_evidence", component, (), self._pack, self._rules)

    def is_healthy(self, sight: Sight) -> bool:
        """Whether the affected component is known and proven well, and every candidate is negligible or mere talk.

        Mere talk are lines and past events of a component whose series and states are calm.
        """
        about = [item for item in self._pack.evidence if item.component == self._pack.incident.service]
        naming = [item for item in self._pack.evidence if is_about(self._pack.incident.service or "", item)]
        well = any(map(sight.is_steady_and_felt, about)) or (
            any(item.subject == FINE for item in about) and any(item.subject == QUIET for item in naming)
        )
        if any(map(sight.is_worrying, about)) or self._alert_is_older_than_the_series():
            return False
        suspects = [candidate for candidate in self._pack.candidates if candidate.score >= _NEGLIGIBLE]
        talk = all(item.kind is not EvidenceKind.METRIC for suspect in suspects for item in self._evidence_of(suspect))
        refuted = talk and all(any(self._against(suspect)) for suspect in suspects)
        return refuted and well

    def _alert_is_older_than_the_series(self) -> bool:
        """Steady is no comfort when the alert fired before the first point: it may be steadily broken."""
        since, window = self._pack.incident.opened_at, self._pack.window
        is_firing = any(alert.status == "firing" for alert in self._pack.incident.alerts)
        return is_firing and since is not None and window is not None and since <= window.start

    def missing(self) -> Iterator[str]:
        """What would have helped: kinds of evidence that are absent, and sources that did not answer."""
        kinds = {item.kind for item in self._pack.evidence}
        for kind, words in (
            (EvidenceKind.METRIC, "metrics: no series of any component"),
            (EvidenceKind.LOG, "logs: no line that tells of trouble, or no logs at all"),
            (EvidenceKind.KUBERNETES, "cluster state: nothing that tells a fine component from a broken one"),
            (EvidenceKind.RUNBOOK, "runbooks: no page fits"),
        ):
            if kind not in kinds:
                yield words
        for source, outcome in self._pack.sources.items():
            if outcome.value != "data":
                yield f"{source}: {outcome.value.replace('_', ' ')}"

    def _evidence_of(self, candidate: Candidate) -> list[Evidence]:
        return [self._by_id[evidence_id] for evidence_id in candidate.evidence_ids]

    def _claim_for(self, candidate: Candidate, item: Evidence) -> Claim:
        """An effect may be seen on another component; then the claim is about that one."""
        return claim_about(item, candidate.component if is_about(candidate.component, item) else None)

    def _sign(self, candidate: Candidate) -> Sign | None:
        return next((sign for item in self._evidence_of(candidate) if (sign := self._table.sign_of(item))), None)

    def _means(self, candidate: Candidate) -> str:
        """What the deciding evidence means, and what further signs of the same fault add to it."""
        first, *more = self._evidence_of(candidate)
        if not (sign := self._table.sign_of(first)):
            return claim_about(first).text.removeprefix(candidate.component).lstrip(": ")
        words = sign.meaning(first.excerpt, of_target=candidate.component != first.component)
        facts = (fact for item in more if (other := self._own_sign(item, candidate)) for fact in other.facts_in(item.excerpt))
        new = [fact for fact in dict.fromkeys(facts) if fact.casefold() not in words.casefold()][:_MORE_FACTS]
        new += [f"meanwhile {driver.excerpt.partition(';')[0]}" for driver in self._driver(candidate)]
        return ("; " if ": " in words else ": ").join([words, "; ".join(new)]) if new else words

    def _driver(self, candidate: Candidate) -> list[Evidence]:
        """What is seen on the same component and may bring the deciding sign about: one piece of evidence, or none."""
        sign = self._table.sign_of(self._evidence_of(candidate)[0])
        drivers = sign.driven_by if sign else ()
        return [i for i in self._pack.evidence if i.component == candidate.component and i.subject in drivers][:1]

    def _own_sign(self, item: Evidence, candidate: Candidate) -> Sign | None:
        sign = self._table.sign_of(item)
        return sign if sign and sign.fault is candidate.fault_kind else None

    def _against(self, candidate: Candidate) -> Iterator[Evidence]:
        """Series of the same component and fault that stayed calm, and states that say all is well."""
        for item in self._pack.evidence:
            if item.component != candidate.component:
                continue
            family = self._table.family_of(item.subject) if item.kind is EvidenceKind.METRIC else None
            calm = item.direction is Direction.STEADY and family is not None and family.fault is candidate.fault_kind
            if calm or item.subject == FINE:
                yield item

    def _fill(self, command: str, candidate: Candidate) -> str:
        return fill_command(command, component=candidate.component, namespace=namespace_of(candidate.component, self._pack))
