"""A folder of labelled series -> how well each method finds what people marked.

Comes in: a folder of ``*.csv`` or ``*.csv.gz`` with the columns ``time`` (unix seconds or a date), ``value`` and where known
``label`` (1 is anomalous), or a folder of such folders: each is a data set. Goes out: figures per data set and pooled, and the
flagged points of each series. A series without labels is flagged and counted as unscored.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mimir_core.analysis.anomaly import METHODS, find_anomalies
from mimir_core.analysis.series import describe_series, find_breaks
from mimir_core.config import AnomalySettings
from mimir_core.errors import InputError
from mimir_core.evaluation.anomaly import baselines, count, summarize

_DAY = 86400
_MAIN = "combined"
_POOLED = "all"


class Series(NamedTuple):
    """One file."""

    name: str
    times: np.ndarray
    values: np.ndarray
    labels: np.ndarray | None


def bench_anomaly(folder: Path, settings: AnomalySettings, progress: Callable[[str], None]) -> dict[str, Any]:
    """Flag every series of ``folder`` by every method.

    Args:
        folder: As above.
        settings: The ``anomaly`` section.
        progress: Told what is going on.

    Raises:
        InputError: There is no series, or a file is none.
    """
    datasets = {where.resolve().name: [read_series(file) for file in _files(where)] for where in _datasets(folder)}
    flags: dict[str, dict[str, list[np.ndarray]]] = {}
    milliseconds = {}
    for method in METHODS:
        progress(f"{method}: {sum(map(len, datasets.values()))} series")
        started = time.process_time()
        flags[method] = {
            name: [find_anomalies(one.times, one.values, method, settings) for one in series] for name, series in datasets.items()
        }
        milliseconds[method] = (time.process_time() - started) * 1000
    share = float(np.mean(np.concatenate([flagged for found in flags[_MAIN].values() for flagged in found])))
    for name, guess in baselines(share).items():
        flags[name] = {dataset: [guess(one.values) for one in series] for dataset, series in datasets.items()}
    everything = [one for series in datasets.values() for one in series]
    points = sum(len(one.values) for one in everything)
    figures = {
        name: {method: _figures(series, found[name]) for method, found in flags.items()} for name, series in datasets.items()
    }
    pooled = {
        method: _figures(everything, [flagged for part in found.values() for flagged in part]) for method, found in flags.items()
    }
    return {
        "datasets": {**figures, _POOLED: pooled},
        "cpu_ms_per_1000_points": {method: round(spent * 1000 / points, 2) for method, spent in milliseconds.items()},
        "series": [
            _row(name, one, flagged, settings)
            for name, series in datasets.items()
            for one, flagged in zip(series, flags[_MAIN][name], strict=True)
        ],
        "scored": sum(one.labels is not None for one in everything),
        "unscored": sum(one.labels is None for one in everything),
    }


def read_series(path: Path) -> Series:
    """Read one file.

    Raises:
        InputError: It is no csv, a column is missing, a cell is neither a number nor a date, or the times go back; says where.
    """
    try:
        table = pd.read_csv(path, dtype=str, skip_blank_lines=False)
    except (OSError, EOFError, ValueError) as error:  # pandas and gzip raise children of these
        raise InputError(f"{path}: is no csv: {error}") from error
    for column in ("time", "value"):
        if column not in table:
            raise InputError(f"{path}: line 1: has no column {column!r}, but {', '.join(map(str, table.columns))!r:.80}")
    times = pd.to_numeric(table["time"], errors="coerce")
    if not len(table):
        raise InputError(f"{path}: holds no point")
    if times.isna().all():
        dates = pd.to_datetime(table["time"], errors="coerce", utc=True, format="ISO8601")
        times = (dates - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)
    _refuse(path, table["time"], times.isna(), "is no time")
    _refuse(path, table["time"], times.diff() < 0, "the times go back")
    return Series(
        path.name.removesuffix(".gz").removesuffix(".csv"),
        times.to_numpy(dtype=float),
        _numbers(path, table["value"]),
        _numbers(path, table["label"]) > 0 if "label" in table else None,
    )


def _numbers(path: Path, cells: "pd.Series[str]") -> np.ndarray:
    """An empty cell is a missing value, anything else must be a number."""
    numbers = pd.to_numeric(cells, errors="coerce")
    _refuse(path, cells, (numbers.isna() & cells.notna()) | np.isinf(numbers), "is no number")
    return numbers.to_numpy(dtype=float)


def _refuse(path: Path, cells: "pd.Series[str]", bad: "pd.Series[bool]", why: str) -> None:
    if bad.any():
        row = int(bad.to_numpy().argmax())
        raise InputError(f"{path}: line {row + 2}: {why}: {cells.iloc[row]!r}")


def _datasets(folder: Path) -> list[Path]:
    found = [where for where in (folder, *sorted(folder.glob("*/"))) if _files(where)]
    if not found:
        raise InputError(f"{folder}: holds no *.csv or *.csv.gz")
    return found


def _files(folder: Path) -> list[Path]:
    return sorted([*folder.glob("*.csv"), *folder.glob("*.csv.gz")])


def _figures(series: Sequence[Series], flags: Sequence[np.ndarray]) -> dict[str, Any]:
    scored = [
        (one.times, count(flagged, one.labels)) for one, flagged in zip(series, flags, strict=True) if one.labels is not None
    ]
    if not scored:
        return {"series": 0}
    days = sum(float(times[-1] - times[0]) for times, _ in scored) / _DAY
    return {"series": len(scored), **summarize([counted for _, counted in scored], days)}


def _row(dataset: str, one: Series, flagged: np.ndarray, settings: AnomalySettings) -> dict[str, Any]:
    window = (float(one.times[0]), float(one.times[-1]))
    return {
        "dataset": dataset,
        "series": one.name,
        **describe_series(one.times, one.values)._asdict(),
        "breaks": [broken._asdict() for broken in find_breaks(one.times, one.values, window, settings)],
        "flagged": np.flatnonzero(flagged).tolist(),
        "flagged_times": one.times[flagged].tolist(),
        **(count(flagged, one.labels)._asdict() if one.labels is not None else {"unscored": True}),
    }
