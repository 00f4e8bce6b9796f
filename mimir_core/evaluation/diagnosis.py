"""Diagnoses against truth: categories, causes, and what trivial answers would have scored.

Comes in: answers, and what is known of each case. Goes out: counts with their intervals. Surprises: a case without truth is
unscored, not wrong; findings in words are not scored here, because a match of words is met by whoever pastes the evidence
(the dump baseline shows how far): people or a calibrated judge grade them.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Any, NamedTuple

from mimir_core.records import CATEGORY_OF, Category, Diagnosis, FaultKind, Verdict

_Z95 = 1.96


class Truth(NamedTuple):
    """What is known of a case; what is not known is None or empty."""

    category: Category | None = None
    verdict: Verdict | None = None
    causes: tuple[tuple[str, FaultKind], ...] = ()
    required: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    is_held_out: bool = False
    """Written after the program was frozen, and never fitted: reported apart."""

    @property
    def is_known(self) -> bool:
        """Whether there is anything to compare with."""
        return bool(self.category or self.verdict or self.required)


class Answered(NamedTuple):
    """One case, answered."""

    case_id: str
    diagnosis: Diagnosis
    answer: str
    evidence: str
    """All that was handed in, as text."""
    truth: Truth


def summarize(cases: Sequence[Answered]) -> dict[str, Any]:
    """Return the figures of one run with the baselines beside them; those of held-out cases apart, under ``held_out``."""
    held_out = [case for case in cases if case.truth.is_held_out]
    figures = _figures([case for case in cases if not case.truth.is_held_out])
    return figures | {"held_out": _figures(held_out) if held_out else None}


def _figures(cases: Sequence[Answered]) -> dict[str, Any]:
    with_category = [case for case in cases if case.truth.category]
    healthy = [case for case in cases if Verdict.HEALTHY is case.truth.verdict or Category.HEALTHY is case.truth.category]
    with_cause = [case for case in cases if case.truth.causes]
    with_words = [case for case in cases if case.truth.required]
    return {
        "cases": len(cases),
        "unscored": sum(not case.truth.is_known for case in cases),
        "verdicts": dict(Counter(case.diagnosis.verdict.value for case in cases)),
        "category": share([guess_category(case.diagnosis) is case.truth.category for case in with_category]),
        "verdict": share([case.diagnosis.verdict is case.truth.verdict for case in cases if case.truth.verdict]),
        "cause_component": share([_components(case.diagnosis)[:1] == [case.truth.causes[0][0]] for case in with_cause]),
        "cause_and_fault": share([set(_causes(case.diagnosis)) == set(case.truth.causes) for case in with_cause]),
        "healthy_with_invented_cause": share([bool(case.diagnosis.causes) for case in healthy]),
        "words": share([_says(case.answer, case.truth) for case in with_words]),
        "baselines": {
            "constant_category": _constant_category(with_category),
            "most_frequent_cause": _most_frequent_cause(cases, with_category),
            "evidence_dump": {"words": share([_says(case.evidence, case.truth) for case in with_words])},
        },
    }


def guess_category(diagnosis: Diagnosis) -> Category | None:
    """Return the category of the cause; of the first hypothesis where no cause is named; None without any."""
    first = next(iter(diagnosis.hypotheses), None)
    return diagnosis.category or (CATEGORY_OF[first.fault_kind] if first else None)


def share(outcomes: Sequence[bool]) -> dict[str, Any] | None:
    """Return count, total and share with its 95 % interval (Wilson, JASA 1927); None for nothing.

    >>> share([True, True, True, False])
    {'right': 3, 'of': 4, 'share': 0.75, 'interval': [0.301, 0.954]}
    """
    if not outcomes:
        return None
    n, right = len(outcomes), sum(outcomes)
    p = right / n
    middle = (p + _Z95**2 / (2 * n)) / (1 + _Z95**2 / n)
    half = _Z95 * sqrt(p * (1 - p) / n + _Z95**2 / (4 * n * n)) / (1 + _Z95**2 / n)
    return {"right": right, "of": n, "share": round(p, 4), "interval": [round(middle - half, 3), round(middle + half, 3)]}


def _components(diagnosis: Diagnosis) -> list[str]:
    return [cause.component for cause in diagnosis.causes]


def _causes(diagnosis: Diagnosis) -> list[tuple[str, FaultKind]]:
    return [(cause.component, cause.fault_kind) for cause in diagnosis.causes]


def _says(text: str, truth: Truth) -> bool:
    text = text.casefold()
    required, forbidden = ((word.casefold() for word in words) for words in (truth.required, truth.forbidden))
    return all(word in text for word in required) and not any(word in text for word in forbidden)


def _constant_category(cases: Sequence[Answered]) -> Mapping[str, Any] | None:
    """Always say the category that is right most often: the best that a constant can do."""
    if not cases:
        return None
    best = Counter(case.truth.category for case in cases).most_common(1)[0][0]
    return {"answer": best.value if best else None, "category": share([case.truth.category is best for case in cases])}


def _most_frequent_cause(cases: Sequence[Answered], with_category: Sequence[Answered]) -> Mapping[str, Any] | None:
    """Always say the fault that this run found most often."""
    faults = Counter(cause.fault_kind for case in cases for cause in case.diagnosis.causes[:1])
    if not faults or not with_category:
        return None
    best = faults.most_common(1)[0][0]
    return {"answer": best.value, "category": share([case.truth.category is CATEGORY_OF[best] for case in with_category])}
