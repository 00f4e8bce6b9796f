"""A file that names a provider, and a folder of cases -> what the provider is worth on them; and such runs beside each other.

Comes in: files as :mod:`mimir_core.harness.settings` reads them, case folders and evidence files as :mod:`tasks.bench_diagnosis`
does. Goes out: a report, kept in ``var/bench/runs/NAME`` with all that was asked and answered, and shown in MLflow. Surprises:
all truths are read before anybody is asked, since questions cost money; a case that cannot be read costs that case, and an MLflow
that is away costs the picture.
"""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from mimir_core.analysis.signs import read_signs
from mimir_core.config import Params
from mimir_core.errors import BackendError, InputError
from mimir_core.harness.compare import Comparison, compare, refuse_twins
from mimir_core.harness.reasoners import Turn
from mimir_core.harness.report import ALL, BenchReport, CaseResult, StageResult, summarize
from mimir_core.harness.scores import Known
from mimir_core.harness.settings import BenchSettings, read_bench
from mimir_core.harness.stages import STAGES, Bench, Walk
from mimir_core.harness.times import time_case
from mimir_core.reasoning.prompt import prompt_version
from mimir_core.records import Diagnosis
from mimir_core.safety.policy import SafetyRules, read_safety_rules
from mimir_core.telemetry.files import read_case
from mimir_core.telemetry.times import parse_time
from tasks import paths, wiring
from tasks.bench_diagnosis import read_known, read_truth
from tasks.diagnose import find_cases
from tasks.files import read_document

logger = logging.getLogger(__name__)

_REPORT = "report.json"
_FINISHED = ".json"
_DIAGNOSIS = ("correlation", "rca")
"""The stages that end in a diagnosis."""


class Answered(NamedTuple):
    """One case after its walk, without what was read of it."""

    result: CaseResult
    turns: tuple[Turn, ...]
    diagnosis: Diagnosis | None


def bench_run(file: Path, params: Params, progress: Callable[[str], None]) -> BenchReport:
    """Take every case through the stages that ``file`` names.

    Args:
        file: Settings of the run.
        params: All of params.yaml.
        progress: Told what is going on.

    Raises:
        ParamsError: The file says something that cannot be run.
        InputError: No case can be read, or a truth makes no sense.
        BackendError: A model folder is to be served, and its server did not start.
    """
    return _run(read_bench(file), params, progress)


def bench_compare(files: Sequence[Path], params: Params, progress: Callable[[str], None]) -> Comparison:
    """Hold runs against the first of them: those of ``.json`` files are finished, those of settings are run now.

    Raises:
        InputError: Likewise, or they cannot be compared.
        ParamsError: Likewise.
        BackendError: Likewise.
    """
    runs = [read_document(file, BenchReport) if file.suffix == _FINISHED else read_bench(file) for file in files]
    refuse_twins([run.name for run in runs])
    return compare([run if isinstance(run, BenchReport) else _run(run, params, progress) for run in runs])


def read_known_case(case: Path, rules: SafetyRules) -> Known:
    """Return what is known of a case, the actions that helped and the recovery among it.

    Raises:
        InputError: It makes no sense, or an action is not on the allow-list.
    """
    truth, told = read_truth(case), read_known(case)
    actions, resolved = told.get("actions") or (), told.get("resolved_at")
    if not isinstance(actions, list | tuple) or (strange := [name for name in actions if name not in rules.actions]):
        wrong = actions if not isinstance(actions, list | tuple) else strange[0]
        raise InputError(f"{case}: actions: {wrong!r:.80} is not on the allow-list (safety_rules.yaml)")
    resolved_at = parse_time(resolved)
    if resolved and not resolved_at:
        raise InputError(f"{case}: resolved_at: {resolved!r:.80} is no time")
    return Known(truth, tuple(actions), resolved_at)


def _run(settings: BenchSettings, params: Params, progress: Callable[[str], None]) -> BenchReport:
    started_at, rules = datetime.now(UTC), read_safety_rules()
    known = {case: read_known_case(case, rules) for case in find_cases(Path(settings.data))}
    searcher = wiring.searcher_from(params)
    build_pack = wiring.engine_from(params, searcher).build_pack
    with wiring.provider_from(settings, params) as reasoner:
        bench = Bench(build_pack, reasoner, read_signs(), rules, params.diagnose, settings.prices)

        def answer(case: Path) -> Answered | str:
            progress(f"{settings.name}: {case.name}")
            try:
                return _walk(case, known[case], settings.stages, bench)
            except InputError as error:
                return str(error)

        with ThreadPoolExecutor(settings.concurrency) as pool:
            outcomes = dict(zip(known, pool.map(answer, known), strict=True))
    answered = [outcome for outcome in outcomes.values() if not isinstance(outcome, str)]
    unread = {case.name: outcome for case, outcome in outcomes.items() if isinstance(outcome, str)}
    if not answered:
        raise InputError(f"{settings.data}: no case can be read: {next(iter(unread.values()))}")
    results = [one.result for one in answered]
    report = BenchReport(
        name=settings.name,
        settings={**settings.model_dump(mode="json"), "url": settings.address},
        started_at=started_at,
        prompt_version=prompt_version(rules) if any(one.turns for one in answered) else None,
        index_version=searcher.version,
        cases=tuple(results),
        unread=unread,
        summary=summarize(results),
    )
    folder = _keep(report, answered)
    logger.info("bench: %s: %s cases answered, %s not read, kept in %s", report.name, len(answered), len(unread), folder)
    if settings.track:
        _show(report, folder)
    return report


def _walk(case: Path, known: Known, stages: Sequence[str], bench: Bench) -> Answered:
    walk, results = Walk(read_case(case), known), {}
    for name in stages:
        began = time.perf_counter()
        found = STAGES[name].run(walk, bench)
        results[name] = StageResult(
            seconds=time.perf_counter() - began,
            figures=dict(found.figures),
            beside={other: dict(figures) for other, figures in found.beside.items()},
            result=dict(found.result),
        )
    diagnosis = walk.diagnosis if "rca" in results else None
    seconds = sum(results[name].seconds for name in _DIAGNOSIS if name in results)
    result = CaseResult(
        case=case.name,
        case_hash=_hash(case),
        is_held_out=known.truth.is_held_out,
        stages=results,
        times=time_case(walk.pack, diagnosis, known.resolved_at, seconds) if diagnosis else {},
    )
    return Answered(result, walk.turns, diagnosis)


def _hash(case: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(case.rglob("*")) if case.is_dir() else [case]:
        if file.is_file():
            digest.update(f"{file.relative_to(case)}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _keep(report: BenchReport, answered: Sequence[Answered]) -> Path:
    """Write the report, every diagnosis, and every question with what came of it; return their folder."""
    folder = paths.BENCH_RUNS / report.name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _REPORT).write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")
    _write_lines(folder / "talks.jsonl", _talks(report, answered))
    diagnoses = ({"case": one.result.case, **one.diagnosis.model_dump(mode="json")} for one in answered if one.diagnosis)
    _write_lines(folder / "diagnoses.jsonl", diagnoses)
    return folder


def _talks(report: BenchReport, answered: Sequence[Answered]) -> Iterator[dict[str, Any]]:
    for one in answered:
        for turn in one.turns:
            asked = [message.model_dump() for message in turn.messages]
            said = {"text": turn.text, "failed": turn.failed, "seconds": round(turn.seconds, 3)}
            yield {"case": one.result.case, "prompt_version": report.prompt_version, "messages": asked, **said}


def _write_lines(file: Path, rows: Iterator[Mapping[str, Any]]) -> None:
    with file.open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(row) + "\n" for row in rows)


def _show(report: BenchReport, folder: Path) -> None:
    summary = report.summary
    figures = {name: told["mean"] for name, told in summary["figures"][ALL].items() if told}
    figures |= {
        f"{name}.{other}": told["mean"] for other, found in summary["beside"][ALL].items() for name, told in found.items() if told
    }
    figures |= {
        f"{stage}.seconds_{at}": value for stage, found in summary["latency_seconds"].items() for at, value in found.items()
    }
    figures |= {f"{name}_median_seconds": found["median_seconds"] for name, found in summary["times"].items()}
    figures |= {f"total_{name}": value for name, value in summary["cost"].items()}
    told = {**report.settings, "prompt_version": report.prompt_version, "index_version": report.index_version}
    try:
        wiring.bench_board().record(
            report.name, told, {name: value for name, value in figures.items() if value is not None}, folder
        )
    except BackendError as error:
        logger.warning("%s", error)
