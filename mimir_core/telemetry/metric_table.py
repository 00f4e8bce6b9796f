"""A table of series (CSV or Parquet) -> :attr:`Signals.metrics`.

Comes in: a file with a column ``time`` and one column a series. Goes out: a frame with one column per (component, metric).
Surprise: a column says whose it is by the case's own list of columns, else by its last colon, else by the longest known
service that it begins with; names of services hold ``_``, ``-``, ``:`` and ``/``, so no rule could tell it from the name alone.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from mimir_core.errors import InputError
from mimir_core.telemetry.signals import UNKNOWN_COMPONENT
from mimir_core.telemetry.times import parse_time

Columns = Mapping[str, tuple[str, str]]
"""Column to component and metric."""


def read_metric_table(path: Path, name: str, columns: Columns, services: Sequence[str], dropped: Counter[str]) -> pd.DataFrame:
    """Return the table as :attr:`Signals.metrics`; what is no number, or is there twice, is dropped and counted.

    Args:
        path: The file.
        name: What messages call it.
        columns: What single columns are, where the case says so.
        services: Known names of components.
        dropped: Counted here, by reason.

    Raises:
        InputError: It cannot be read, or has no times or no series.
    """
    try:
        frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{name}: is no readable {path.suffix[1:]} table: {error}") from error
    if "time" not in frame.columns:
        raise InputError(f"{name}: line 1: no column `time`; the columns are {', '.join(map(str, frame.columns[:8]))}")
    said = frame.pop("time").tolist()
    times = [parse_time(value) for value in said]
    if frame.columns.empty:
        raise InputError(f"{name}: line 1: no series beside `time`")
    if None in times:
        row = times.index(None)
        place = f"row {row + 1}" if path.suffix == ".parquet" else f"line {row + 2}"
        raise InputError(f"{name}: {place}: column `time` holds no time: {said[row]!r:.80}")
    is_number = frame.dtypes.map(pd.api.types.is_numeric_dtype)
    words = frame.loc[:, ~is_number]
    numbers = words.apply(pd.to_numeric, errors="coerce")
    dropped[f"{name}: cells that are no number"] += int((numbers.isna() & words.notna()).to_numpy().sum())
    frame = pd.concat([frame.loc[:, is_number], numbers], axis=1)[list(frame.columns)] if len(words.columns) else frame
    frame = frame.astype(float).replace([math.inf, -math.inf], math.nan)
    longest_first = sorted(services, key=len, reverse=True)
    frame.columns = pd.MultiIndex.from_tuples([split_column(str(column), columns, longest_first) for column in frame.columns])
    frame.index = pd.DatetimeIndex(times)
    again, twice = frame.index.duplicated(), frame.columns.duplicated()
    dropped[f"{name}: rows with a time that was there before"] += int(again.sum())
    dropped[f"{name}: series that were there before"] += int(twice.sum())
    return pd.DataFrame(frame.loc[~again, ~twice].sort_index())


def split_column(column: str, columns: Columns, services: Sequence[str]) -> tuple[str, str]:
    """Return component and metric of a column; ``services`` longest first.

    >>> split_column("orders-db:connections_active", {}, []), split_column("a_b_cpu", {}, ["a_b", "a"])
    (('orders-db', 'connections_active'), ('a_b', 'cpu'))
    """
    if known := columns.get(column):
        return known
    for service in services:
        if column.startswith(f"{service}_"):
            return service, column[len(service) + 1 :]
    component, _, metric = column.rpartition(":")
    return (component, metric) if component and metric else (UNKNOWN_COMPONENT, column)
