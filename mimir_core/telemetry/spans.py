"""Recorded spans -> :attr:`Signals.spans`.

Comes in: a Parquet table, or a list of JSON objects, one a span. Goes out: a frame with the columns :data:`SPAN_COLUMNS`.
Surprise: a parent that was not recorded is as good as none; the span is then a root of its own.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mimir_core.errors import InputError
from mimir_core.telemetry.signals import SPAN_COLUMNS, no_spans, workload_of
from mimir_core.telemetry.times import parse_time

_NAMES = {"trace_id": "trace", "span_id": "span", "parent_id": "parent", "service": "component", "error": "is_error"}
_UNTOLD = "spans without service, operation, start or duration"
_BAD = frozenset({"error", "failed", "2"})  # OpenTelemetry's status code of an error is 2
_MICROSECONDS = {"duration_us": 1.0, "duration_ms": 1e3, "duration_s": 1e6}


def read_span_table(path: Path, name: str, dropped: Counter[str]) -> pd.DataFrame:
    """Read a Parquet table of spans; what has no name, start or duration is dropped and counted.

    Args:
        path: The file.
        name: What messages call it.
        dropped: Counted here, by reason.

    Raises:
        InputError: It cannot be read, or a column is missing.
    """
    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{name}: is no readable parquet table: {error}") from error
    frame = frame.rename(columns={said: ours for said, ours in _NAMES.items() if ours not in frame.columns})
    if missing := [column for column in SPAN_COLUMNS[:-1] if column not in frame.columns]:
        raise InputError(f"{name}: no column {', '.join(missing)}; the columns are {', '.join(map(str, frame.columns[:12]))}")
    if "is_error" not in frame.columns:
        frame["is_error"] = False
    numbers = frame[["start_us", "duration_us"]].apply(pd.to_numeric, errors="coerce")
    frame[["start_us", "duration_us"]] = numbers
    is_told = frame[["component", "operation", "start_us", "duration_us"]].notna().all(axis=1)
    dropped[_UNTOLD] += int((~is_told).sum())
    return frame.loc[is_told, list(SPAN_COLUMNS)].astype({"start_us": "int64"})


def parse_spans(records: Iterable[Any], dropped: Counter[str]) -> pd.DataFrame:
    """Return the spans among ``records``; what has no name, start or duration is dropped and counted."""
    rows = []
    for record in records:
        row = _parse_span(record) if isinstance(record, Mapping) else None
        if row:
            rows.append(row)
        else:
            dropped[_UNTOLD] += 1
    return pd.DataFrame(rows, columns=list(SPAN_COLUMNS)) if rows else no_spans()


def is_span(record: Any) -> bool:
    """Whether a JSON object is a span."""
    return isinstance(record, Mapping) and {"trace_id", "span_id"} <= set(record)


def _parse_span(record: Mapping[str, Any]) -> tuple[Any, ...] | None:
    start = parse_time(record.get("start") or record.get("start_time") or record.get("start_us"))
    duration = next((float(record[key]) * scale for key, scale in _MICROSECONDS.items() if _is_number(record.get(key))), None)
    component = str(record.get("service") or record.get("component") or workload_of(str(record.get("pod") or "")))
    operation = str(record.get("operation") or record.get("name") or "")
    if start is None or duration is None or not component or not operation:
        return None
    failed = bool(record.get("error")) or str(record.get("status") or "").lower() in _BAD
    return (
        str(record.get("trace_id")),
        str(record.get("span_id")),
        str(record.get("parent_id") or ""),
        component,
        operation,
        int(start.timestamp() * 1e6),
        duration,
        failed,
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))
