"""Cases in, diagnoses out: one folder of JSON and HTML a case."""

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from mimir_core.analysis.signs import read_signs
from mimir_core.config import Params
from mimir_core.errors import InputError
from mimir_core.reasoning.diagnose import diagnose
from mimir_core.reasoning.html_page import Row, render_html, render_night_html
from mimir_core.reasoning.model import Reasoned
from mimir_core.records import Diagnosis, EvidencePack, Run, content_hash
from mimir_core.safety.policy import read_safety_rules
from mimir_core.telemetry.files import read_case
from mimir_core.telemetry.signals import Signals
from tasks import wiring


class Investigation(NamedTuple):
    """What was seen, what is concluded, and how that came about."""

    pack: EvidencePack
    diagnosis: Diagnosis
    run: Run


class Diagnosed(NamedTuple):
    """One case and where its report lies."""

    name: str
    pack: EvidencePack
    diagnosis: Diagnosis
    run: Run
    report: Path


def find_cases(folder: Path) -> list[Path]:
    """Return the cases in ``folder``, by name: its folders and its JSON files.

    Raises:
        InputError: There is none.
    """
    cases = sorted(path for path in folder.iterdir() if path.is_dir() or path.suffix == ".json") if folder.is_dir() else []
    if not cases:
        raise InputError(f"{folder}: holds no case folder and no JSON file")
    return cases


def diagnose_case(case: Path, params: Params, out: Path) -> Diagnosed:
    """Diagnose one case folder or file and write ``out/NAME/{pack,diagnosis,run}.json`` and ``report.html``."""
    return diagnose_signals(case.resolve().name, lambda: read_case(case), params, out)


def diagnose_signals(name: str, read: Callable[[], Signals], params: Params, out: Path) -> Diagnosed:
    """Diagnose what ``read`` returns and write it, as above."""
    found = investigate(read, params)
    return Diagnosed(name, *found, write_report(found, out / name))


def investigate(read: Callable[[], Signals], params: Params) -> Investigation:
    """Diagnose what ``read`` returns and write nothing; the time for reading counts as part of the run."""
    started_at, clock = datetime.now(UTC), time.perf_counter()
    searcher, model = wiring.searcher_from(params), wiring.reasoner_from(params)
    pack = wiring.engine_from(params, searcher).build_pack(read())
    reasoned = model.diagnose(pack) if model else Reasoned(*diagnose(pack, read_signs(), read_safety_rules(), params.diagnose))
    run = Run(
        id=uuid.uuid4().hex,
        incident_id=pack.incident.id,
        diagnosis_hash=content_hash(reasoned.diagnosis.model_dump(mode="json"), 64),
        reasoner=reasoned.reasoner,
        model=reasoned.model,
        prompt_hash=reasoned.prompt_hash,
        index_version=searcher.version,
        started_at=started_at,
        latency_ms=(time.perf_counter() - clock) * 1000,
        input_tokens=reasoned.input_tokens,
        output_tokens=reasoned.output_tokens,
        rejected_claims=dict(reasoned.rejected),
    )
    return Investigation(pack, reasoned.diagnosis, run)


def write_report(found: Investigation, folder: Path) -> Path:
    """Write ``folder/{pack,diagnosis,run}.json`` and ``report.html``; return the report."""
    pack, diagnosis, run = found
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pack.json").write_text(pack.model_dump_json(indent=1), encoding="utf-8")
    (folder / "diagnosis.json").write_text(diagnosis.model_dump_json(indent=1), encoding="utf-8")
    (folder / "run.json").write_text(run.model_dump_json(indent=1), encoding="utf-8")
    report = folder / "report.html"
    report.write_text(render_html(diagnosis, pack, run), encoding="utf-8")
    return report


def write_night(night: Sequence[Diagnosed], failed: Mapping[str, str], out: Path) -> Path:
    """Write the summary page of a batch and return its path."""
    page = out / "index.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(render_night_html([Row(done.name, done.pack, done.diagnosis) for done in night], failed), encoding="utf-8")
    return page
