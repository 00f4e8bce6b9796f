"""A folder of log files -> how well each method finds the lines that one statement of a program wrote.

Comes in: a folder of ``*.jsonl`` or ``*.jsonl.gz``, one file a system, one object a line: ``content``, and where known the true
group as ``event_id_corrected`` and ``event_id``. Goes out: figures by system and method. Methods see ``content`` alone. A file
without truth, or with truth on some lines only, is grouped and reported as unscored.
"""

import gzip
import json
import time
from collections.abc import Callable, Hashable
from pathlib import Path
from statistics import fmean
from typing import Any

from mimir_core.analysis.templates import TemplateGroups
from mimir_core.backends.drain import PlainDrain
from mimir_core.config import Params
from mimir_core.errors import InputError
from mimir_core.evaluation.logs import score_groups

_TRUTHS = ("event_id_corrected", "event_id")


def bench_logs(folder: Path, params: Params, progress: Callable[[str], None]) -> dict[str, Any]:
    """Group the lines of every file by every method.

    Args:
        folder: As above.
        params: All of params.yaml.
        progress: Told what is going on.

    Raises:
        InputError: The folder has no such file, or a line of one is no log line.
    """
    files = sorted([*folder.glob("*.jsonl"), *folder.glob("*.jsonl.gz")])
    if not files:
        raise InputError(f"{folder}: no *.jsonl or *.jsonl.gz file")
    methods: dict[str, Callable[[list[str]], list[Hashable]]] = {
        "ours": lambda lines: _ours(lines, TemplateGroups(params.culprits.templates)),
        "drain3 defaults": lambda lines: _drain(lines, PlainDrain()),
        "first token + length": lambda lines: [_first_word_and_length(line) for line in lines],
        "every line its own group": lambda lines: list(range(len(lines))),
    }
    systems: dict[str, Any] = {}
    for file in files:
        progress(f"{file.name}: grouping")
        rows = _read(file)
        lines = [row["content"] for row in rows]
        truths = {key: [row[key] for row in rows] for key in _TRUTHS if all(row.get(key) is not None for row in rows)}
        figures = {name: _measure(group, lines, truths) for name, group in methods.items()}
        systems[file.name.split(".", 1)[0]] = {"lines": len(rows), "scored": bool(truths), "methods": figures}
    return {"systems": systems, "mean": {name: _mean(name, systems) for name in methods}}


def _read(file: Path) -> list[dict[str, Any]]:
    try:
        with gzip.open(file, "rt", encoding="utf-8") if file.suffix == ".gz" else file.open(encoding="utf-8") as lines:
            rows = [_parse(line, f"{file}: line {number}") for number, line in enumerate(lines, start=1)]
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read: {error}") from error
    if not rows:
        raise InputError(f"{file}: holds no line")
    return rows


def _parse(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(f"{where}: is not JSON: {error}") from error
    if not isinstance(row, dict) or not isinstance(row.get("content"), str):
        raise InputError(f"{where}: has no text as content: {line.strip():.80}")
    return row


def _measure(group: Callable[[list[str]], list[Hashable]], lines: list[str], truths: dict[str, list[Hashable]]) -> dict[str, Any]:
    started = time.perf_counter()
    found = group(lines)
    seconds = time.perf_counter() - started
    return {
        "groups": len(set(found)),
        "lines_per_second": round(len(lines) / max(seconds, 1e-6)),
        **{key: score_groups(found, true) for key, true in truths.items()},
    }


def _mean(method: str, systems: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Return the mean over the systems that have the truth, each system counting the same."""
    means = {}
    for key in _TRUTHS:
        scores = [system["methods"][method][key] for system in systems.values() if key in system["methods"][method]]
        if scores:
            means[key] = {figure: fmean(score[figure] for score in scores) for figure in scores[0]}
    return means


def _ours(lines: list[str], groups: TemplateGroups) -> list[Hashable]:
    numbers = [groups.add(line) for line in lines]
    return [groups.current(number) for number in numbers]


def _drain(lines: list[str], drain: PlainDrain) -> list[Hashable]:
    return [drain.add(line) for line in lines]


def _first_word_and_length(line: str) -> tuple[str, int]:
    words = line.split()
    return words[0] if words else "", len(words)
