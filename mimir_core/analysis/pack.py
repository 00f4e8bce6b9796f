"""Signals -> :class:`EvidencePack`: all that a reasoner may see and cite about one incident.

Comes in: the signals of one case. Goes out: the pack: alerts, changed and unchanged series, signs, log templates, fine
states, ranked candidates and the runbook passages that fit them. Surprise: the pack is bounded; what is trimmed is
counted, never the evidence that decided, and trimming shifts no citation because ids are hashes. Where series were read
and none changed, log lines are compared around the time of the alert instead of the onset.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from mimir_core.analysis.charts import draw_charts
from mimir_core.analysis.database import describe_load
from mimir_core.analysis.detect import compare_series, find_onset
from mimir_core.analysis.findings import describe_change, describe_findings
from mimir_core.analysis.kubernetes import examine_objects
from mimir_core.analysis.last_words import find_last_words
from mimir_core.analysis.limits import warn_of_limits
from mimir_core.analysis.lines import LogSpan
from mimir_core.analysis.logs import find_templates
from mimir_core.analysis.rank import rank_candidates
from mimir_core.analysis.root_cause import find_root_cause
from mimir_core.analysis.signs import SignTable, components_that_are_well, find_signs
from mimir_core.analysis.spelling import find_misspellings
from mimir_core.analysis.templates import TemplateGroups
from mimir_core.config import Params
from mimir_core.knowledge.question import Question, question_about
from mimir_core.records import Candidate, Evidence, EvidenceKind, EvidencePack, Incident, Measurement, Passage, Window
from mimir_core.telemetry.signals import Signals, Statement

FINE = "Fine"
"""Subject of evidence that a component's own state says that all is well."""

QUIET = "Quiet"
"""Subject of evidence that a component's log was read and holds no sign of trouble and nothing new."""

DIAGNOSIS, MITIGATION = "diagnosis", "mitigation"
"""What a runbook is asked for, in the words of its headings."""

_LOUD_LEVELS = frozenset({"warn", "warning", "error", "severe", "critical", "fatal", "panic"})
_QUOTED_CHARACTERS = 160
_MORE_SIGNS = 2
_PASSAGES_LOOKED_AT = 30
"""Enough for all sections of the best pages."""


@dataclass(frozen=True)
class EvidenceEngine:
    """Collects, ranks and looks up. Wired once, used for every case; holds no state of a case."""

    search: Callable[[Question, int], list[Passage]]
    """Answers a question with at most so many passages."""
    table: SignTable
    params: Params
    """It needs most sections."""

    def build_pack(self, signals: Signals) -> EvidencePack:
        """Collect the evidence, rank the candidates and add the runbook passages that fit."""
        incident = signals.incident
        onset = find_onset(signals.metrics, incident.opened_at, self.params.detect)
        quiet = onset is None and not signals.metrics.empty
        span = LogSpan.of(signals.statements, incident.opened_at if quiet else onset, is_seen=not quiet)
        statements = [*signals.statements, *examine_objects(signals.manifests), *describe_load(signals.query_loads)]
        statements.extend(find_misspellings(statements))
        compared = list(compare_series(signals.metrics, onset, signals.metrics_origin, self.params.detect))
        found = [
            *_alerts(incident),
            *compared,
            *warn_of_limits(signals.metrics, onset, signals.metrics_origin, self.table, self.params.anomaly),
            *find_signs(statements, span, self.table),
            *find_templates(statements, span, TemplateGroups(self.params.culprits.templates), self.params.logs),
            *_fine_states(statements),
        ]
        found.extend(find_last_words(found, statements))
        found.extend(_quiet_logs(statements, found, self.table))
        cause = find_root_cause(signals, incident.opened_at, self.table, self.params)
        reasons = list(describe_findings(cause, found))
        found.extend(evidence for evidence, _ in reasons)
        found.extend(describe_change(cause.change))
        found = list({item.id: item for item in found}.values())
        candidates = rank_candidates(found, self.table, incident.service, dict(cause.ranking), reasons)
        found.extend(self._passages(incident, candidates, found))
        unique = {item.id: item for item in found}
        kept = _trim(list(unique.values()), incident, candidates, self.params.diagnose.max_evidence)
        dropped = signals.dropped + Counter(
            {
                "evidence beyond diagnose.max_evidence": len(unique) - len(kept),
                "series with fewer points than detect.min_points": signals.metrics.shape[1] - len(compared),
            }
        )
        pack = EvidencePack(
            incident=incident,
            window=_window(signals),
            onset=onset,
            evidence=tuple(kept),
            candidates=_citable(candidates, kept),
            namespaces=_namespaces(signals.statements),
            sources=signals.sources,
            dropped=dict(dropped),
            masked=dict(signals.masked),
        )
        return pack.model_copy(update={"charts": draw_charts(signals, cause, pack, self.table)})

    def look_up_again(self, pack: EvidencePack) -> EvidencePack:
        """Return ``pack`` with the passages that this engine's search finds for it, in the place of those that it has."""
        rest = [item for item in pack.evidence if item.kind is not EvidenceKind.RUNBOOK]
        found = {item.id: item for item in (*rest, *self._passages(pack.incident, pack.candidates, rest))}
        return pack.model_copy(update={"evidence": tuple(found.values())})

    def _passages(self, incident: Incident, candidates: tuple[Candidate, ...], found: list[Evidence]) -> Iterator[Evidence]:
        """Look up what to check and what to do, half of the passages each; for further causes the best of each."""
        half = self.params.diagnose.passages // 2
        further = [
            c for c in candidates[1 : self.params.diagnose.max_hypotheses] if c.score >= self.params.diagnose.min_confidence
        ]
        for candidate in (*(candidates[:1] or (None,)), *further) if half else ():
            about = question_about(incident, _words(candidate, found, self.table) if candidate else "")
            passages = self.search(about, _PASSAGES_LOOKED_AT)
            for wanted in (DIAGNOSIS, MITIGATION):
                fitting = _sections(passages, wanted, self.params.diagnose.min_passage_score)
                for passage in fitting[: 1 if candidate in further else half]:
                    yield _passage_evidence(passage, candidate)


def _alerts(incident: Incident) -> Iterator[Evidence]:
    for alert in incident.alerts:
        words = (alert.annotations.get("summary"), alert.annotations.get("description"))
        yield Evidence(
            kind=EvidenceKind.ALERT,
            component=incident.service or "",
            subject=alert.name,
            origin="alert",
            query=alert.fingerprint,
            observed_at=alert.starts_at,
            score=1.0 if alert.status == "firing" else 0.5,
            excerpt="\n".join(filter(None, (f"{alert.name} ({alert.status}) {incident.service or ''}".strip(), *words)))[:600],
        )


def _fine_states(statements: list[Statement]) -> Iterator[Evidence]:
    """One piece of evidence for each component whose every state is fine."""
    well = components_that_are_well(statements)
    states: dict[str, list[Statement]] = {}
    for statement in statements:
        if statement.state == "fine" and statement.component in well:
            states.setdefault(statement.component, []).append(statement)
    for said in states.values():
        yield _sign_of_health(EvidenceKind.KUBERNETES, FINE, said)


def _quiet_logs(statements: list[Statement], found: list[Evidence], table: SignTable) -> Iterator[Evidence]:
    """One piece of evidence for each component whose log gave no evidence of trouble."""
    loud = {item.component for item in found if item.kind is EvidenceKind.LOG and not table.tells_of_recovery(item)}
    loud |= {statement.component for statement in statements if statement.source == "log" and statement.level in _LOUD_LEVELS}
    lines: dict[str, list[Statement]] = {}
    for statement in statements:
        if statement.source == "log" and statement.component not in loud:
            lines.setdefault(statement.component, []).append(statement)
    for said in lines.values():
        yield _sign_of_health(EvidenceKind.LOG, QUIET, said)


def _sign_of_health(kind: EvidenceKind, subject: str, said: list[Statement]) -> Evidence:
    return Evidence(
        kind=kind,
        component=said[0].component,
        subject=subject,
        origin=said[0].origin,
        query=said[0].query,
        value=Measurement(after=float(len(said)), unit="lines"),
        excerpt=said[-1].text[:300],
    )


def _words(candidate: Candidate, found: list[Evidence], table: SignTable) -> str:
    """What the evidence for a candidate means, and what the deciding line says."""
    deciding, *more = (item for evidence_id in candidate.evidence_ids for item in found if item.id == evidence_id)
    if not (sign := table.sign_of(deciding)):
        return f"{deciding.subject} {deciding.direction.value}"
    meanings = [sign.meaning(deciding.excerpt), deciding.subject]
    signs = ((item, table.sign_of(item)) for item in more[:_MORE_SIGNS])
    meanings.extend(other.meaning(item.excerpt) for item, other in signs if other and other.fault is candidate.fault_kind)
    return " ".join([*dict.fromkeys(meanings), deciding.excerpt.splitlines()[0][:_QUOTED_CHARACTERS]])


def _sections(passages: list[Passage], wanted: str, min_score: float) -> list[Passage]:
    """The passages of the pages that fit, sections with the wanted heading first, the best page's before the next one's."""
    pages = list(dict.fromkeys(passage.chunk.path for passage in passages))
    fit = {passage.chunk.path for passage in passages if passage.score >= min_score}
    return sorted(
        (passage for passage in passages if passage.chunk.path in fit),
        key=lambda passage: (wanted not in passage.chunk.heading.lower(), pages.index(passage.chunk.path), passage.rank),
    )


def _passage_evidence(passage: Passage, candidate: Candidate | None) -> Evidence:
    """A passage, for the component whose trouble it was looked up for."""
    chunk = passage.chunk
    return Evidence(
        kind=EvidenceKind.RUNBOOK,
        component=candidate.component if candidate else "",
        subject=f"{chunk.title} > {chunk.heading}" if chunk.heading else chunk.title,
        origin=chunk.path,
        query=chunk.id,
        score=min(1.0, max(0.0, passage.score)),
        excerpt=chunk.text,
    )


def _trim(found: list[Evidence], incident: Incident, candidates: tuple[Candidate, ...], limit: int) -> list[Evidence]:
    """Keep what decided, the alerts and the passages, what is about the affected component, then what is furthest from normal."""
    deciding = {evidence_id for candidate in candidates[:3] for evidence_id in candidate.evidence_ids}
    always = (EvidenceKind.ALERT, EvidenceKind.RUNBOOK)
    order = sorted(
        found,
        key=lambda item: (item.id not in deciding, item.kind not in always, item.component != incident.service, -item.score),
    )
    kept = {item.id for item in order[:limit]}
    return [item for item in found if item.id in kept]


def _citable(candidates: tuple[Candidate, ...], kept: list[Evidence]) -> tuple[Candidate, ...]:
    """Candidates with the evidence that is still in the pack; one without any is gone with its evidence."""
    ids = {item.id for item in kept}
    left = ((candidate, tuple(i for i in candidate.evidence_ids if i in ids)) for candidate in candidates)
    return tuple(candidate.model_copy(update={"evidence_ids": cited}) for candidate, cited in left if cited)


def _namespaces(statements: list[Statement]) -> dict[str, str]:
    """The namespace that was first read for each component."""
    found: dict[str, str] = {}
    for statement in statements:
        if statement.namespace:
            found.setdefault(statement.component, statement.namespace)
    return found


def _window(signals: Signals) -> Window | None:
    times: list[datetime] = [statement.time for statement in signals.statements if statement.time]
    if not signals.metrics.empty:
        times += [signals.metrics.index[0].to_pydatetime(), signals.metrics.index[-1].to_pydatetime()]
    return Window(start=min(times), end=max(times)) if times else None
