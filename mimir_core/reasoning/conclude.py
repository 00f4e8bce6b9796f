"""The last word: headline, reason and citations, written from what survived verification.

Comes in: a verified draft and its pack. Goes out: the finished :class:`Diagnosis`. Whoever drafted the steps, a model or
the built-in reasoner, the two lines that an engineer reads first are written here, from checked parts only.
"""

from collections.abc import Iterator, Sequence

from mimir_core.records import CATEGORY_OF, Citation, Claim, Diagnosis, EvidencePack, Hypothesis, Verdict

_REASONS = 3


def conclude(draft: Diagnosis, pack: EvidencePack) -> Diagnosis:
    """Write headline, reason and citations."""
    numbers = {evidence_id: number for number, evidence_id in enumerate(dict.fromkeys(_cited(draft)), start=1)}
    citations = []
    for evidence_id, number in numbers.items():
        if evidence := pack.find(evidence_id):
            citations.append(Citation(number=number, evidence_id=evidence_id, origin=evidence.origin, query=evidence.query))
    headline, reason = _two_lines(draft, pack, numbers)
    return draft.model_copy(update={"headline": headline, "reason": reason, "citations": tuple(citations)})


def _two_lines(draft: Diagnosis, pack: EvidencePack, numbers: dict[str, int]) -> tuple[str, str]:
    subject = pack.incident.service or pack.incident.title
    if draft.verdict is Verdict.HEALTHY:
        over = next((f" Over now: {h.statement}." for h in draft.hypotheses if _is_over(h, pack)), "")
        return f"Nothing is wrong with {subject} now.", f"Because: {_reasons(draft.symptoms, numbers)}.{over}"
    if draft.verdict is Verdict.UNDETERMINED:
        guess = f" Closest guess: {draft.hypotheses[0].statement}." if draft.hypotheses else ""
        missing = "; ".join(draft.missing[:3]) or "nothing that was read tells the hypotheses apart"
        return f"Undetermined: what was read about {subject} does not carry a cause.{guess}", f"Because: {missing}."
    cause = draft.causes[0]
    by_cause = {(hypothesis.component, hypothesis.fault_kind): hypothesis for hypothesis in draft.hypotheses}
    first = by_cause.get((cause.component, cause.fault_kind))
    others = [f"{other.component} ({other.fault_kind.value})" for other in draft.causes[1:]]
    statement = first.statement if first else f"{cause.component}: {cause.fault_kind.value}"
    beside = f"; also {', '.join(others)}" if others else ""
    kind = f"{cause.fault_kind.value}, {CATEGORY_OF[cause.fault_kind].value.replace('_', ' ')}"
    headline = f"{statement} ({kind}, confidence {cause.confidence:.0%}){beside}."
    return headline, f"Because: {_reasons(first.supporting if first else (), numbers) or 'see the evidence'}."


def _reasons(claims: Sequence[Claim], numbers: dict[str, int]) -> str:
    return "; ".join(f"{claim.text} [{numbers[claim.evidence_ids[0]]}]" for claim in claims[:_REASONS])


def _is_over(hypothesis: Hypothesis, pack: EvidencePack) -> bool:
    """Whether what speaks for it most was seen before, and is not seen now: what is over weighs less than what is not."""
    cited = (pack.find(evidence_id) for claim in hypothesis.supporting[:1] for evidence_id in claim.evidence_ids)
    return bool(hypothesis.supporting) and all(item is not None and item.score < 1 for item in cited)


def _cited(draft: Diagnosis) -> Iterator[str]:
    """Every evidence id, in the order of reading: the causes first."""
    for cause in draft.causes:
        yield from cause.evidence_ids
    for hypothesis in draft.hypotheses:
        for claim in (*hypothesis.supporting, *hypothesis.contradicting):
            yield from claim.evidence_ids
    for claim in draft.symptoms:
        yield from claim.evidence_ids
    for check in draft.checks:
        yield from check.evidence_ids
    for action in draft.actions:
        yield from action.evidence_ids
