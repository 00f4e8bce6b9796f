"""A diagnosis -> a short answer in plain text: what it is, why, what else was seen, what is less likely.

Comes in: a finished diagnosis. Goes out: at most so many words. Surprise: whole sentences only; what does not fit is left
out, least important last.
"""

from collections.abc import Iterator

from mimir_core.records import Diagnosis, Verdict


def answer_of(diagnosis: Diagnosis, max_words: int = 150) -> str:
    """Return the answer in at most ``max_words`` words."""
    answer = ""
    for sentence in _sentences(diagnosis):
        longer = f"{answer} {sentence}".strip()
        if len(longer.split()) <= max_words and sentence not in answer:
            answer = longer
    return answer


def _sentences(diagnosis: Diagnosis) -> Iterator[str]:
    yield diagnosis.headline
    yield diagnosis.reason
    named = {(cause.component, cause.fault_kind) for cause in diagnosis.causes}
    others = [h.statement for h in diagnosis.hypotheses if (h.component, h.fault_kind) not in named]
    if diagnosis.verdict is Verdict.HEALTHY:
        return
    for claim in diagnosis.symptoms:
        if claim.text not in diagnosis.reason:
            yield f"Seen: {claim.text}."
    for statement in others[:1] if named else others:
        yield f"Less likely: {statement}."
