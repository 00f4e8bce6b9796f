"""A seed -> a folder of cases with known truth; docs/simulate.md shows the files."""

import gzip
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from mimir_core.config import SimulateSettings
from mimir_core.simulate.case import SimulatedCase, Telemetry, Truth
from mimir_core.simulate.history import iso
from mimir_core.simulate.incident import draw_case
from mimir_core.telemetry.files import TRUTH_FILE

_PROGRESS_EVERY = 10


def write_cases(out: Path, count: int, seed: int, settings: SimulateSettings, progress: Callable[[str], None]) -> dict[str, Any]:
    """Write ``count`` cases of ``seed`` below ``out`` and return counts of what was drawn."""
    verdicts: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    for number in range(count):
        case = draw_case(seed, number, settings)
        write_case(out / case.name, case)
        verdicts[case.truth.verdict.value] += 1
        faults.update(kind.value for _, kind in case.truth.causes)
        if (number + 1) % _PROGRESS_EVERY == 0 or number + 1 == count:
            progress(f"{number + 1}/{count} cases")
    drawn = {"verdicts": dict(sorted(verdicts.items())), "faults": dict(sorted(faults.items()))}
    return {"out": str(out), "cases": count, "seed": seed, **drawn}


def write_case(folder: Path, case: SimulatedCase) -> None:
    """Write one case. Files of an earlier case of that name are overwritten, others in the folder stay."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / "alert.json", case.alert)
    _write_telemetry(folder, case.telemetry)
    if case.baseline:
        _write_telemetry(folder / "baseline", case.baseline)
    if case.graph is not None:
        _write_json(folder / "graph.json", {"edges": case.graph})
    if case.changes is not None:
        _write_json(folder / "changes.json", case.changes)
    for name, text in case.kubectl.items():
        (folder / "kubectl").mkdir(exist_ok=True)
        (folder / "kubectl" / name).write_text(text, encoding="utf-8")
    (folder / TRUTH_FILE).write_text(yaml.safe_dump(_truth(case.truth), sort_keys=False, width=120), encoding="utf-8")


def _write_telemetry(folder: Path, telemetry: Telemetry) -> None:
    folder.mkdir(exist_ok=True)
    if len(telemetry.metrics.columns) > 1:  # where no series was recorded there is no file, not one of times alone
        telemetry.metrics.to_parquet(folder / "metrics.parquet", index=False)
    if telemetry.traces is not None:
        telemetry.traces.to_parquet(folder / "traces.parquet", index=False)
    if telemetry.logs is not None:
        lines = "".join(json.dumps(line) + "\n" for line in telemetry.logs)
        (folder / "logs.jsonl.gz").write_bytes(gzip.compress(lines.encode(), mtime=0))


def _write_json(file: Path, content: Any) -> None:
    file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _truth(truth: Truth) -> dict[str, Any]:
    return {
        "verdict": truth.verdict.value,
        "causes": [{"component": component, "fault_kind": kind.value} for component, kind in truth.causes],
        "onset": iso(truth.onset) if truth.onset is not None else None,
        "change": truth.change,
        "story": truth.story,
        "victims": list(truth.victims),
        "signs": list(truth.signs),
        "red_herrings": list(truth.red_herrings),
        "system": truth.system,
        "seed": truth.seed,
    }
