"""Files of incidents as alert events -> a ranking of the instances for each, and how good the rankings are.

Comes in: files, one system each. Goes out: rankings, and figures where ``root_cause_instance`` is given. The other incidents of
the same file are the history, without their truths. Surprise: the truth is read here and nowhere else.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, NamedTuple

from mimir_core.analysis.alert_events import RankedInstances, count_events, guess_fault_kind, rank_instances, weigh_events
from mimir_core.analysis.signs import SignTable, read_signs
from mimir_core.config import EventSettings
from mimir_core.errors import InputError
from mimir_core.evaluation.alert_events import first_right_by_constants, first_right_by_history, rank_by_count, rank_by_walk
from mimir_core.evaluation.calibration import calibration_of
from mimir_core.evaluation.ranking import Hits, hits_of, prior_rankings, random_hits, score_hits
from mimir_core.records import FaultKind
from mimir_core.telemetry.event_files import EventIncident, case_id_of, parse_incidents, read_lines

OURS = "surprise"


class Answer(NamedTuple):
    """What the method says of one incident."""

    case_id: str
    ranked: RankedInstances
    fault_kind: FaultKind | None
    ms: float


def bench_events(
    files: Sequence[Path], settings: EventSettings, rename_seed: int | None, progress: Callable[[str], None]
) -> dict[str, Any]:
    """Rank the instances of every incident.

    Args:
        files: As above.
        settings: The ``events`` section of params.yaml.
        rename_seed: Where given, instances get other names before the method sees them; reported are the true names.
        progress: Told what is going on.

    Raises:
        InputError: A file cannot be read, a line is no incident, or two files or incidents have the same name.
    """
    report: dict[str, Any] = {"cases": [], "methods": {}, "systems": {}}
    table = read_signs()
    for file in files:
        system = file.name.removesuffix(".gz").removesuffix(".jsonl")
        if system in report["systems"]:
            raise InputError(f"{file}: another file is called {system} too")
        lines = read_lines(file)
        incidents, truths = parse_incidents(lines, file), find_truths(lines, file)
        progress(f"{system}: {len(incidents)} incidents, {len(truths)} with truth")
        answers = answer_incidents(incidents, settings, table)
        facts = {"cases": len(incidents), "unscored": len(incidents) - len(truths), "dropped": _dropped(incidents)}
        if rename_seed is not None:
            renamed = answer_renamed(incidents, settings, table, rename_seed)
            pairs = zip(answers, renamed, strict=True)
            facts["same_when_renamed"] = sum(before.ranked.ranking == after.ranked.ranking for before, after in pairs)
            answers = renamed
        report["cases"] += [_row(system, answer) for answer in answers]
        report["systems"][system] = facts | {"ms": round(median(answer.ms for answer in answers), 3)}
        if truths:
            report["methods"][system], scores = _score(incidents, answers, truths)
            progress(f"{system}: shorter histories and other constants")
            scores["history"] = first_right_by_history(incidents, truths, settings)
            scores["sensitivity"] = first_right_by_constants(incidents, truths, settings)
            report["systems"][system] |= scores
    return report


def find_truths(lines: Iterable[tuple[int, Mapping[str, Any]]], file: Path) -> dict[str, str]:
    """Return the instance at fault for each incident where it is known."""
    truths = {case_id_of(content, file, number): content.get("root_cause_instance") for number, content in lines}
    return {case_id: str(truth) for case_id, truth in truths.items() if truth}


def answer_incidents(incidents: Sequence[EventIncident], settings: EventSettings, table: SignTable) -> list[Answer]:
    """Answer each incident with all the others as history."""
    history, answers = count_events(incidents), []
    for incident in incidents:
        started = time.perf_counter()
        weights = weigh_events(incident, history.without(incident), settings)
        ranked = rank_instances(incident, weights, settings)
        fault_kind = guess_fault_kind(ranked.ranking[0], weights, table)
        answers.append(Answer(incident.case_id, ranked, fault_kind, (time.perf_counter() - started) * 1000))
    return answers


def answer_renamed(incidents: Sequence[EventIncident], settings: EventSettings, table: SignTable, seed: int) -> list[Answer]:
    """Answer the incidents with other names for the instances, and put the true names into the answers."""
    names = sorted({name for incident in incidents for name in incident.instances})
    numbers = Random(seed).sample(range(len(names)), len(names))  # noqa: S311  # a drawn name is no secret
    new = {name: f"instance-{number}" for name, number in zip(names, numbers, strict=True)}
    true = {name: old for old, name in new.items()}
    answers = answer_incidents([_rename(incident, new) for incident in incidents], settings, table)
    return [
        answer._replace(ranked=answer.ranked._replace(ranking=tuple(true[name] for name in answer.ranked.ranking)))
        for answer in answers
    ]


def _rename(incident: EventIncident, new: Mapping[str, str]) -> EventIncident:
    """Return ``incident`` with new names, also where the id of a log template or a caller holds one."""
    return replace(
        incident,
        instances=tuple(new[name] for name in incident.instances),
        edges=tuple((new[caller], new[callee]) for caller, callee in incident.edges),
        events=tuple(
            event._replace(
                instance=new[event.instance],
                name=event.name.replace(event.instance, new[event.instance]) if event.signal == "logs" else event.name,
                caller=new.get(event.caller, event.caller),
            )
            for event in incident.events
        ),
    )


def _score(
    incidents: Sequence[EventIncident], answers: Sequence[Answer], truths: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the figures of every method, and how ours compares with the best other and whether its confidence holds."""
    instances = {incident.case_id: incident.instances for incident in incidents}
    rankings = {answer.case_id: answer.ranked.ranking for answer in answers}
    hits = {
        OURS: hits_of(rankings, truths),
        "most events": hits_of({incident.case_id: rank_by_count(incident) for incident in incidents}, truths),
        "walk": hits_of({incident.case_id: rank_by_walk(incident) for incident in incidents}, truths),
        "prior (knows truths)": hits_of(prior_rankings(instances, truths), truths),
        "random": random_hits(instances, truths),
    }
    best = max((name for name in hits if name != OURS), key=lambda name: float(hits[name][:, 0].mean()))
    known = [answer for answer in answers if answer.case_id in truths]
    right = [answer.ranked.ranking[0] == truths[answer.case_id] for answer in known]
    return {name: _figures(of_method) for name, of_method in hits.items()}, {
        "best_baseline": best,
        "ahead_of_best_baseline": _figures(hits[OURS] - hits[best]),
        "calibration": calibration_of([answer.ranked.confidence for answer in known], right)._asdict(),
    }


def _figures(hits: Hits) -> dict[str, Any]:
    return {name: figure._asdict() for name, figure in score_hits(hits).items()}


def _dropped(incidents: Sequence[EventIncident]) -> dict[str, int]:
    return dict(sum((incident.dropped for incident in incidents), Counter()))


def _row(system: str, answer: Answer) -> dict[str, Any]:
    return {
        "system": system,
        "case_id": answer.case_id,
        "ranking": answer.ranked.ranking,
        "confidence": round(answer.ranked.confidence, 4),
        "fault_kind": answer.fault_kind.value if answer.fault_kind else None,
        "ms": round(answer.ms, 3),
    }
