"""Folders of cases -> a ranking of the components for each, by the engine and by baselines, and how good the rankings are.

Comes in: folders as :mod:`tasks.rca_cases` reads them. Goes out: rankings, and figures where the truth is known. Surprises: the
engine gets what the reader of signals found and a time when it was noticed, never the truth; baselines that are not defined
without a failure time are told one even where the engine is not.
"""

import resource
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from mimir_core.analysis.changes import ChangeVerdict
from mimir_core.analysis.signs import read_signs
from mimir_core.backends.baro import rank_by_baro
from mimir_core.config import Params
from mimir_core.errors import InputError
from mimir_core.evaluation.commit_baselines import last_deployed
from mimir_core.evaluation.metric_baselines import rank_by_deviation
from mimir_core.evaluation.root_cause import NO_COMMIT, OURS, RcaAnswer, calibrate, score_answers
from mimir_core.telemetry.changes import Changes
from mimir_core.telemetry.files import read_case
from mimir_core.telemetry.signals import UNKNOWN_COMPONENT, Reference, Signals, no_spans
from tasks.rca_cases import RcaCase, find_rca_cases
from tasks.rca_checks import Checks, Doubts, Engine, sum_up

_METRIC_BASELINES = {"N-sigma": rank_by_deviation, "BARO": rank_by_baro}
_ALERT, _NOTHING = "alert", "nothing"
_SERIES_ALONE = f"{OURS}, series alone"


@dataclass(frozen=True)
class RcaOptions:
    """What is measured."""

    late_seconds: Sequence[int] = (0,)
    """How long after the failure time it is noticed; the cases are ranked for each."""
    tells_time: bool = True
    """Whether the engine is told when it was noticed."""
    rename_seed: int | None = None
    """Where given, cases are also ranked under other names."""
    perturbations: int = 0
    """How often cases are also ranked with other constants."""


class _ReadCase(NamedTuple):
    """A case, what the reader of signals found in it, and how long that took."""

    case: RcaCase
    signals: Signals
    ms: float


def bench_rca(folders: Sequence[Path], options: RcaOptions, params: Params, progress: Callable[[str], None]) -> dict[str, Any]:
    """Rank the components of every case.

    Args:
        folders: As above.
        options: As above.
        params: All of params.yaml.
        progress: Told what is going on.

    Raises:
        InputError: A folder holds no case, a case cannot be read, or two cases have the same name.
    """
    cases = [case for folder in folders for case in find_rca_cases(folder)]
    _refuse_twins(cases)
    engine = Engine(params, read_signs())
    doubts = Doubts(engine, options.rename_seed, options.perturbations)
    answers: list[RcaAnswer] = []
    checks: dict[str, list[Checks]] = defaultdict(list)
    for number, case in enumerate(cases, start=1):
        progress(f"{number}/{len(cases)} {case.dataset} {case.case_id}")
        read = _read(case)
        times = _times_told(read, options)
        answers += [_answer(read, engine, told, noticed) for told, noticed in times.items()]
        checks[case.dataset].append(doubts.check(read.signals, next(iter(times.values())), case.truth))
    return {
        "cases": [_row(answer) for answer in answers],
        **_score(answers, checks, params.diagnose.min_confidence),
        "calibration": _calibrate(answers),
        "peak_memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),  # Linux counts KiB
    }


def _refuse_twins(cases: Sequence[RcaCase]) -> None:
    for one, other in pairwise(sorted(cases, key=lambda case: (case.dataset, case.case_id))):
        if (one.dataset, one.case_id) == (other.dataset, other.case_id):
            raise InputError(f"{other.folder}: {one.folder} is case {one.case_id!r} of {one.dataset!r}, too")


def _read(case: RcaCase) -> _ReadCase:
    started = time.perf_counter()
    try:
        signals = read_case(case.folder)
    except InputError as error:
        raise InputError(f"{case.folder}: {error}") from error
    return _ReadCase(case, signals, _ms_since(started))


def _times_told(read: _ReadCase, options: RcaOptions) -> dict[str, datetime | None]:
    """Return when the engine is told that the incident was noticed, by what that time is."""
    if not options.tells_time:
        return {_NOTHING: None}
    if read.case.failed is None:
        return {_ALERT: read.signals.incident.opened_at}
    return {f"+{late} s": read.case.failed + timedelta(seconds=late) for late in options.late_seconds}


def _answer(read: _ReadCase, engine: Engine, told: str, noticed: datetime | None) -> RcaAnswer:
    case, signals = read.case, read.signals
    started = time.perf_counter()
    found = engine.rank(signals, noticed)
    ms = {"read": read.ms, OURS: _ms_since(started)}
    started = time.perf_counter()
    engine.rank(_series_alone(signals), noticed)
    ms[_SERIES_ALONE] = _ms_since(started)
    rankings = {OURS: [name for name, _ in found.ranking]}
    split = noticed or case.failed or signals.incident.opened_at
    for method, rank in _METRIC_BASELINES.items():
        started = time.perf_counter()
        rankings[method] = rank(signals.metrics, signals.reference.metrics, split) if split else []
        ms[method] = _ms_since(started)
    seen = sorted(_seen_in(signals).union(*rankings.values()))
    return RcaAnswer(
        dataset=case.dataset,
        case_id=case.case_id,
        told=told,
        truth=case.truth,
        components=seen,
        rankings={method: list(dict.fromkeys([*ranking, *seen])) for method, ranking in rankings.items()},
        confidence=found.confidence,
        fault_kind=found.fault_kind,
        onset=found.onset,
        ms=ms,
        commits=_commits(signals, found.change, noticed),
    )


def _series_alone(signals: Signals) -> Signals:
    """Leave out what the baselines do not read: spans, logs and changes."""
    reference = Reference(metrics=signals.reference.metrics)
    return replace(signals, spans=no_spans(), statements=[], changes=Changes(), reference=reference)


def _seen_in(signals: Signals) -> set[str]:
    """Return the components with a series, a span, a log line or a place in the graph."""
    said = {statement.component for statement in signals.statements if statement.source == "log"} - {UNKNOWN_COMPONENT}
    called = {name for call in signals.calls for name in call}
    return {*signals.metrics.columns.get_level_values(0), *signals.spans["component"]} | said | called


def _commits(signals: Signals, change: ChangeVerdict | None, noticed: datetime | None) -> dict[str, str | None]:
    """Return the commit that each method blames; nothing where no changes were recorded."""
    if signals.changes.is_empty:
        return {}
    return {
        OURS: _commit_of(change) if change else None,
        "always none": NO_COMMIT,
        "last deploy": last_deployed(signals.changes, noticed),
        "last deploy of the alerting service": last_deployed(signals.changes, noticed, signals.incident.service or ""),
    }


def _commit_of(change: ChangeVerdict) -> str | None:
    """Return the commit that is blamed, or None where the change that is blamed belongs to no recorded commit."""
    return (change.blamed.sha or None) if change.blamed else NO_COMMIT


def _score(answers: Sequence[RcaAnswer], checks: dict[str, list[Checks]], min_confidence: float) -> dict[str, Any]:
    """Return the figures by data set and by what the engine was told."""
    groups: dict[str, dict[str, list[RcaAnswer]]] = defaultdict(lambda: defaultdict(list))
    for answer in answers:
        groups[answer.dataset][answer.told].append(answer)
    scored = {
        dataset: {told: score_answers(group, min_confidence) for told, group in by_told.items()}
        for dataset, by_told in groups.items()
    }
    return {
        "methods": {dataset: {told: methods for told, (methods, _) in found.items()} for dataset, found in scored.items()},
        "datasets": {dataset: {told: facts for told, (_, facts) in found.items()} for dataset, found in scored.items()},
        "checks": sum_up(checks),
    }


def _calibrate(answers: Sequence[RcaAnswer]) -> dict[str, Any]:
    """Return what our confidence is worth over all cases, for each lateness; an alert comes when it comes."""
    lateness = dict.fromkeys(answer.told for answer in answers if answer.told != _ALERT) or {_ALERT: None}
    return {told: calibrate([answer for answer in answers if answer.told in (told, _ALERT)]) for told in lateness}


def _row(answer: RcaAnswer) -> dict[str, Any]:
    return {
        "case_id": answer.case_id,
        "dataset": answer.dataset,
        "told": answer.told,
        "ranking": answer.rankings[OURS],
        "confidence": round(answer.confidence, 4),
        "fault_kind": answer.fault_kind.value,
        "commit": answer.commits.get(OURS),
        "ms": round(answer.ms[OURS], 1),
        "read_ms": round(answer.ms["read"], 1),
        "onset": answer.onset.isoformat() if answer.onset else None,
        "scored": bool(answer.truth.components),
    }


def _ms_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
