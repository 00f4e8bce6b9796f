"""Answers about root causes and their truths -> the figures of a benchmark.

Comes in: a :class:`RcaAnswer` for each case. Goes out: figures of every method, and facts about ours. Surprises: a case without
truth is unscored, one whose truth names a component that was never seen is a miss; of two faults at once either counts.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from mimir_core.evaluation.calibration import calibration_of
from mimir_core.evaluation.ranking import Hits, hits_of, prior_rankings, random_hits, score_hits
from mimir_core.records import FaultKind, Verdict

OURS = "ours"
NO_COMMIT = "none"
"""What truths and answers call it when no recorded change is to blame."""


@dataclass(frozen=True)
class RcaTruth:
    """What is known of a case; empty where nobody knows."""

    components: tuple[str, ...] = ()
    """Those at fault."""
    fault_type: str = ""
    began: datetime | None = None
    quiet_until: datetime | None = None
    """Before it nothing was wrong, except what is known of earlier incidents."""
    commit: str | None = None
    """The commit to blame, or :data:`NO_COMMIT`."""
    verdict: Verdict | None = None


@dataclass(frozen=True)
class RcaAnswer:
    """What the methods say of one case."""

    dataset: str
    case_id: str
    told: str
    """What the time is that the engine was told."""
    truth: RcaTruth
    components: Sequence[str]
    """All that were seen."""
    rankings: Mapping[str, Sequence[str]]
    """By method, each of all components."""
    confidence: float
    fault_kind: FaultKind
    onset: datetime | None
    ms: Mapping[str, float]
    """By method, and what reading took."""
    commits: Mapping[str, str | None]
    """By method, where changes were recorded."""

    @property
    def is_right(self) -> bool:
        """Whether the first of our ranking is at fault."""
        return any(name in self.truth.components for name in self.rankings[OURS][:1])


def score_answers(answers: Sequence[RcaAnswer], min_confidence: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the figures of each method, and the facts about ours.

    Args:
        answers: Of one data set, at least one.
        min_confidence: Below it an answer is no alarm.
    """
    scored = [answer for answer in answers if answer.truth.components]
    facts: dict[str, Any] = {
        "cases": len(answers),
        "unscored": len(answers) - len(scored),
        "truth_never_seen": sum(not set(answer.truth.components) & set(answer.components) for answer in scored),
        "ms": {name: round(float(np.median([answer.ms[name] for answer in answers])), 1) for name in answers[0].ms},
    }
    for verdict in (Verdict.HEALTHY, Verdict.UNDETERMINED):
        alarms = [answer.confidence >= min_confidence for answer in answers if answer.truth.verdict == verdict]
        if alarms:
            facts[verdict.value] = {"cases": len(alarms), "alarms": sum(alarms)}
    if not scored:
        return {}, facts
    hits = _hits_by_method(scored)
    best = max((name for name in hits if name != OURS), key=lambda name: hits[name].mean(axis=0)[[0, -1]].tolist())
    facts |= {
        "best_baseline": best,
        "ahead_of_best_baseline": _figures(hits[OURS] - hits[best]),
        "first_right_by_fault_type": _first_right_by_fault_type(scored),
        "onset_error_seconds": _onset_errors(scored),
        "commits": _right_commits(answers),
        "calibration": calibrate(scored),
    }
    return {name: _figures(of_method) for name, of_method in hits.items()}, facts


def calibrate(answers: Sequence[RcaAnswer]) -> dict[str, Any]:
    """Return what our confidence is worth on the cases with a truth; nothing where there is none."""
    scored = [answer for answer in answers if answer.truth.components]
    if not scored:
        return {}
    return calibration_of([answer.confidence for answer in scored], [answer.is_right for answer in scored])._asdict()


def _hits_by_method(scored: Sequence[RcaAnswer]) -> dict[str, Hits]:
    truths = {answer.case_id: answer.truth.components[0] for answer in scored}
    seen = {answer.case_id: _either(answer.components, answer.truth) for answer in scored}
    hits = {
        method: hits_of({answer.case_id: _either(answer.rankings[method], answer.truth) for answer in scored}, truths)
        for method in scored[0].rankings
    }
    return hits | {"prior (knows truths)": hits_of(prior_rankings(seen, truths), truths), "random": random_hits(seen, truths)}


def _either(names: Sequence[str], truth: RcaTruth) -> list[str]:
    """Give all components at fault the name of the first of them."""
    return list(dict.fromkeys(truth.components[0] if name in truth.components else name for name in names))


def _first_right_by_fault_type(scored: Sequence[RcaAnswer]) -> dict[str, str]:
    groups: dict[str, list[bool]] = defaultdict(list)
    for answer in scored:
        groups[answer.truth.fault_type or "unknown"].append(answer.is_right)
    return {kind: f"{sum(right)}/{len(right)}" for kind, right in sorted(groups.items())}


def _onset_errors(scored: Sequence[RcaAnswer]) -> dict[str, float]:
    """How much later than it began we say that it did; the 10 % and 90 % quantiles beside the median."""
    errors = [(answer.onset - answer.truth.began).total_seconds() for answer in scored if answer.onset and answer.truth.began]
    if not errors:
        return {}
    low, median, high = np.percentile(errors, (10, 50, 90)).round(1).tolist()
    return {"cases": len(errors), "p10": low, "median": median, "p90": high}


def _right_commits(answers: Sequence[RcaAnswer]) -> dict[str, int]:
    """In how many cases each method names the very commit."""
    judged = [answer for answer in answers if answer.truth.commit and answer.commits]
    if not judged:
        return {}
    right = {method: sum(answer.commits[method] == answer.truth.commit for answer in judged) for method in judged[0].commits}
    return {"cases": len(judged), **right}


def _figures(hits: Hits) -> dict[str, Any]:
    return {name: figure._asdict() for name, figure in score_hits(hits).items()}
