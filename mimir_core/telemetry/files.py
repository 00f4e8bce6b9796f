"""A case on disk or on standard input -> :class:`Signals`. docs/formats.md shows each format.

Comes in: a case folder, an evidence file, an alert, or any text. Goes out: signals with every text redacted.
Surprise: only input files are opened; ``expected.yaml`` holds the truth of a shipped incident and is not one.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from mimir_core.errors import InputError
from mimir_core.records import Outcome, content_hash
from mimir_core.telemetry.alerts import parse_incident
from mimir_core.telemetry.case_settings import parse_calls, parse_case_settings
from mimir_core.telemetry.metric_table import read_metric_table
from mimir_core.telemetry.reader import CaseReader, parse_json
from mimir_core.telemetry.signals import UNKNOWN_COMPONENT, Signals, workload_of
from mimir_core.telemetry.spans import read_span_table

TRUTH_FILE = "expected.yaml"
_BASELINE = "baseline"
_NAMED_FILE = re.compile(r"(?:describe|logs?|previous)-(?:(?:pods?|deployment|previous)-)?")
_TEXT_SUFFIXES = frozenset({".txt", ".log", ".json", ".yaml", ".yml", ".out"})


def read_case(path: Path) -> Signals:
    """Read a case folder or a single file.

    Raises:
        InputError: There is nothing at ``path``, nothing readable in it, or a file says something impossible.
    """
    if path.is_dir():
        return _read_folder(path)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    reader = CaseReader(path.name)
    text = reader.read_text(path)
    content = parse_json(text)
    if isinstance(content, Mapping) and isinstance(content.get("evidence"), list):
        return reader.finish_evidence(content, path.name)
    if isinstance(content, Mapping) and ({"alerts", "commonLabels"} & set(content) or {"title", "severity"} <= set(content)):
        reader.signals.incident = parse_incident(reader.redacted_leaves(content), path.name)
        return reader.finish()
    reader.add_text(text, UNKNOWN_COMPONENT, path.name)
    return reader.finish()


def read_pasted(text: str) -> Signals:
    """Read text that a person pasted: kubectl output, log lines, JSON.

    Raises:
        InputError: The text is empty.
    """
    reader = CaseReader("pasted text")
    text = reader.redact(text)
    reader.signals.incident = reader.signals.incident.model_copy(update={"id": "i" + content_hash(text)})
    reader.add_text(text, UNKNOWN_COMPONENT, "pasted text")
    return reader.finish()


def _read_folder(folder: Path) -> Signals:
    reader = CaseReader(folder.name)
    if (folder / "case.json").is_file():
        reader.settings = parse_case_settings(reader.read_object(folder / "case.json"), folder)
    if (folder / "alert.json").is_file():
        reader.signals.incident = parse_incident(reader.read_object(folder / "alert.json"), f"{folder.name}/alert.json")
    elif reader.settings.alert:
        reader.signals.incident = parse_incident(reader.settings.alert, f"{folder.name}/case.json: alert", folder.name)
    named = set(reader.settings.baseline.values())
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        is_read_apart = name in ("alert.json", "case.json") or file.resolve() in named
        if file.is_file() and file.name != TRUTH_FILE and not is_read_apart:
            _add_file(reader, file, name)
    for name, file in reader.settings.baseline.items():
        _add_file(reader, file, f"{_BASELINE}/{name}")
    return reader.finish()


def _add_file(reader: CaseReader, file: Path, name: str) -> None:
    """Read a file of a case folder; what lies in ``baseline/`` is a recording of a time without faults."""
    signals, settings, kind = reader.signals, reader.settings, Path(name).name
    reference = signals.reference if name.startswith(f"{_BASELINE}/") else None
    if kind in ("metrics.csv", "metrics.parquet"):
        frame = read_metric_table(file, name, settings.columns, settings.services, signals.dropped)
        if reference:
            reference.metrics = frame
        else:
            reader.add_series(frame, name)
            signals.sources[name] = Outcome.NO_DATA if frame.empty else Outcome.DATA
    elif kind == "traces.parquet":
        spans = read_span_table(file, name, signals.dropped)
        if reference:
            reference.spans = spans
        else:
            reader.add_spans(spans)
    elif kind in ("logs.jsonl", "logs.jsonl.gz"):
        said = list(reader.parse_log_records(reader.read_text(file), name))
        if reference:
            reference.statements.extend(said)
        else:
            signals.statements.extend(said)
            signals.sources[name] = Outcome.DATA if said else Outcome.NO_DATA
    elif kind == "graph.json":
        signals.calls |= parse_calls(reader.read_object(file))
    elif file.suffix in _TEXT_SUFFIXES and not reference:
        reader.add_text(reader.read_text(file), _component_in_name(file), name)
    else:
        signals.dropped[f"file of unknown kind: {file.suffix or 'no suffix'}"] += 1


def _component_in_name(file: Path) -> str:
    """Return the component that a log or a description is named after; other files are named after anything.

    >>> _component_in_name(Path("describe-pod-checkout-api-6d4cf56db6-x7k2p.txt")), _component_in_name(Path("orders-db-0.log"))
    ('checkout-api', 'orders-db')
    >>> _component_in_name(Path("get-events.txt"))
    'unknown'
    """
    named = _NAMED_FILE.match(file.stem)
    if not named and file.suffix != ".log":
        return UNKNOWN_COMPONENT
    return workload_of(file.stem[named.end() :] if named else file.stem) or UNKNOWN_COMPONENT
