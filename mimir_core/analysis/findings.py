"""What the engine suspects, and why -> evidence that can be cited.

Comes in: a :class:`RootCause`. Goes out: one piece of evidence for each series, span, step, log or change that decided.
Surprises: a series that is evidence already (``detect``) is not told twice: that evidence then speaks for the suspicion. What
is lost where nobody knows who calls whom may be lost elsewhere, and is no reason.
"""

import math
from collections.abc import Iterable, Iterator
from datetime import datetime

from mimir_core.analysis.changes import ChangeVerdict
from mimir_core.analysis.flow import Loss
from mimir_core.analysis.levels import Shift
from mimir_core.analysis.log_changes import Finding
from mimir_core.analysis.mentions import Mention
from mimir_core.analysis.root_cause import RootCause
from mimir_core.analysis.suspects import Suspicion
from mimir_core.analysis.trace_shape import Break
from mimir_core.analysis.trace_times import Slowness
from mimir_core.records import Evidence, EvidenceKind, Measurement

_LEAST_STRENGTH = 0.2
_MOST = 3
"""Pieces of evidence for one component and signal."""
_SUBJECT_CHARACTERS, _EXCERPT_CHARACTERS = 120, 400


def describe_findings(cause: RootCause, known: Iterable[Evidence]) -> Iterator[tuple[Evidence, Suspicion]]:
    """Yield the evidence for each strong suspicion, the strongest first.

    Args:
        cause: What is suspected.
        known: Evidence that there is; a series in it is not told again, and one that is steady there is no reason.
    """
    series = {(item.component, item.subject): item for item in known if item.kind is EvidenceKind.METRIC}
    connected = {end for call in cause.calls for end in call}
    told: dict[tuple[str, str], int] = {}
    for item in sorted(cause.suspicions, key=lambda item: (-item.strength, item.component, item.signal)):
        key = item.component, item.signal
        is_placed = item.signal != "flow" or item.component in connected
        if item.strength < _LEAST_STRENGTH or told.get(key, 0) >= _MOST or not is_placed:
            continue
        evidence = None
        if isinstance(item.finding, Loss | Shift):
            evidence = series.get((item.finding.component, item.finding.metric))
        if evidence is None:
            evidence = _describe(item, cause.onset)
            if evidence and evidence.kind is EvidenceKind.METRIC:
                series[evidence.component, evidence.subject] = evidence
        if evidence and evidence.score > 0:
            told[key] = told.get(key, 0) + 1
            yield evidence, item


def describe_change(verdict: ChangeVerdict | None) -> Iterator[Evidence]:
    """Yield the change that is blamed, if any, with what speaks for it."""
    if verdict is None or verdict.blamed is None:
        return
    change = verdict.blamed
    reasons = "; ".join(reason.text for reason in change.reasons if reason.log_odds > 0)
    yield Evidence(
        kind=EvidenceKind.CHANGE,
        component=change.service,
        subject=f"{change.kind} {change.id}"[:_SUBJECT_CHARACTERS],
        origin="changes",
        query=change.sha or change.id,
        score=verdict.confidence,
        excerpt=f"{change.kind} {change.id} of {change.service or 'a shared library'}: {reasons}"[:_EXCERPT_CHARACTERS],
    )


def _describe(item: Suspicion, onset: datetime | None) -> Evidence | None:
    found = item.finding
    if isinstance(found, Loss | Shift):
        before, after = _round(found.before), _round(found.after)
        return Evidence(
            kind=EvidenceKind.METRIC,
            component=found.component,
            subject=found.metric,
            origin="metrics",
            query=f"{found.component}:{found.metric}",
            observed_at=onset,
            value=Measurement(before=before, after=after),
            score=item.strength,
            excerpt=f"{found.component} {found.metric}: median {before} before, {after} after"
            + (f"; {found.share:.1%} of what the system usually handles is lost here" if isinstance(found, Loss) else ""),
        )
    if isinstance(found, Slowness) and found.spans:
        what = f"calls of {found.callee}" if found.callee else "own time"
        return Evidence(
            kind=EvidenceKind.TRACE,
            component=item.component,
            subject=f"{found.component}: {what}",
            origin="traces",
            query=f"{found.component} {what}",
            observed_at=onset,
            value=Measurement(before=_ms(found.before_us), after=_ms(found.after_us), unit="ms"),
            score=item.strength,
            excerpt=f"{found.component} {what}: median {_ms(found.before_us)} ms before, {_ms(found.after_us)} ms after; "
            f"{found.share:.0%} of {found.spans} spans are slow",
        )
    if isinstance(found, Break):
        step = f"{found.operation}: {found.previous or 'start'} -> {found.following or 'end'}"
        return Evidence(
            kind=EvidenceKind.TRACE,
            component=item.component,
            subject=step[:_SUBJECT_CHARACTERS],
            origin="traces",
            query=found.operation,
            observed_at=onset,
            value=Measurement(before=_round(100 * found.before), after=_round(100 * found.after), unit="%"),
            score=item.strength,
            excerpt=f"{found.component} {step}: {found.before:.0%} of the calls before, {found.after:.0%} after"[
                :_EXCERPT_CHARACTERS
            ],
        )
    if isinstance(found, Finding):
        return Evidence(
            kind=EvidenceKind.LOG,
            component=item.component,
            subject=(found.template or found.after or found.kind.value)[:_SUBJECT_CHARACTERS],
            origin="logs",
            query=found.kind.value,
            observed_at=onset,
            value=Measurement(before=float(found.reference.made), after=float(found.incident.made), unit="lines"),
            score=item.strength,
            excerpt=found.example[:_EXCERPT_CHARACTERS],
        )
    if isinstance(found, Mention):
        return Evidence(
            kind=EvidenceKind.LOG,
            component=item.component,
            subject=f"errors that name {found.component}"[:_SUBJECT_CHARACTERS],
            origin="logs",
            query=found.component,
            observed_at=onset,
            value=Measurement(before=_round(found.before), after=_round(found.after), unit="lines/min"),
            score=item.strength,
            excerpt=found.example[:_EXCERPT_CHARACTERS],
        )
    return None


def _ms(microseconds: float) -> float | None:
    return _round(microseconds / 1e3)


def _round(number: float) -> float | None:
    return float(f"{number:.4g}") if math.isfinite(number) else None
