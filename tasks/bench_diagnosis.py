"""A folder of cases -> an answer for each, and how right they are where the truth is known.

Comes in: case folders (truth in ``expected.yaml``) and evidence files (truth in their own keys: ``expected_category``,
``required_keywords``, ``forbidden_keywords``, ``kind``). Goes out: answers and a summary. Surprise: the truth is read here
and nowhere else; the program under test gets the case through the reader that opens input only.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from pydantic import ValidationError

from mimir_core.config import Params
from mimir_core.errors import InputError
from mimir_core.evaluation.diagnosis import Answered, Truth, guess_category, summarize
from mimir_core.reasoning.answer import answer_of
from mimir_core.records import Category, FaultKind, Verdict
from mimir_core.telemetry.files import TRUTH_FILE
from tasks.diagnose import Diagnosed, diagnose_case, find_cases


def bench_diagnosis(folder: Path, params: Params, progress: Callable[[str], None]) -> dict[str, Any]:
    """Answer every case of ``folder``.

    Args:
        folder: As above.
        params: All of params.yaml.
        progress: Told what is going on.

    Raises:
        InputError: There is no case, one cannot be read, or its truth makes no sense.
    """
    cases, answered, rows = find_cases(folder), [], []
    with TemporaryDirectory() as out:
        for number, case in enumerate(cases, start=1):
            progress(f"{number}/{len(cases)} {case.stem}")
            done = diagnose_case(case, params, Path(out))
            answer = answer_of(done.diagnosis)
            answered.append(Answered(case.stem, done.diagnosis, answer, _dump(case), read_truth(case)))
            rows.append(_row(case.stem, answer, done))
    return {"cases": rows, "summary": summarize(answered)}


def read_truth(case: Path) -> Truth:
    """Return what is known of a case.

    Raises:
        InputError: The truth cannot be read, or names a verdict, category or fault that does not exist.
    """
    known = read_known(case)
    try:
        category, verdict = known.get("expected_category"), known.get("verdict")
        if known.get("kind") == "healthy":
            verdict = Verdict.HEALTHY.value
        return Truth(
            category=Category(category) if category else None,
            verdict=Verdict(verdict) if verdict else None,
            causes=tuple((cause["component"], FaultKind(cause["fault_kind"])) for cause in known.get("causes") or ()),
            required=tuple(known.get("required_keywords") or ()),
            forbidden=tuple(known.get("forbidden_keywords") or ()),
            is_held_out=known.get("held_out") is True,
        )
    except (KeyError, TypeError, ValueError, ValidationError) as error:
        raise InputError(f"{_truth_file(case)}: the truth makes no sense: {error!r}") from error


def read_known(case: Path) -> Mapping[str, Any]:
    """Return the keys that tell the truth of a case; none where nobody wrote any down.

    Raises:
        InputError: The file cannot be read.
    """
    file = _truth_file(case)
    if not file.is_file():
        return {}
    try:
        text = file.read_text(encoding="utf-8")
        known = yaml.safe_load(text) if case.is_dir() else json.loads(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(f"{file}: the truth cannot be read: {error}") from error
    if not isinstance(known, Mapping):
        raise InputError(f"{file}: the truth makes no sense: expected keys and values, got {type(known).__name__}")
    return known


def _truth_file(case: Path) -> Path:
    return case / TRUTH_FILE if case.is_dir() else case


def _row(case_id: str, answer: str, done: Diagnosed) -> dict[str, Any]:
    category = guess_category(done.diagnosis)
    return {
        "case_id": case_id,
        "answer": answer,
        "category": category.value if category else None,
        "verdict": done.diagnosis.verdict.value,
        "confidence": done.diagnosis.confidence,
        "citations": [citation.model_dump(mode="json", exclude={"schema_version"}) for citation in done.diagnosis.citations],
        "ms": round(done.run.latency_ms, 1),
    }


def _dump(case: Path) -> str:
    """All the evidence of a case, as an answer that thinks nothing would give it."""
    if case.is_dir():
        files = (file for file in sorted(case.rglob("*")) if file.is_file() and file.name != TRUTH_FILE)
        return "\n".join(file.read_bytes().decode("utf-8", "replace") for file in files)
    content = json.loads(case.read_text(encoding="utf-8"))
    said = [content.get("alert"), content.get("question"), *(entry.get("text") for entry in content.get("evidence") or ())]
    return "\n".join(part if isinstance(part, str) else json.dumps(part) for part in said if part)
