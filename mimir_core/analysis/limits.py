"""Series that have a limit -> a warning for each that is on its way there.

Comes in: :attr:`Signals.metrics` and when the incident began. Goes out: evidence that says in how many hours a limit will be met.
Looked at is what fills up, disks and memory: a share has the limit 100 (or 1), what is left has 0. Surprises: only the time
before the onset counts, because a jump is no trend; and a warning speaks against nobody, because it has not come true yet.
"""

import re
from collections.abc import Iterator
from datetime import datetime

import numpy as np
import pandas as pd

from mimir_core.analysis.forecast import forecast_limit
from mimir_core.analysis.signs import SignTable
from mimir_core.config import AnomalySettings
from mimir_core.records import Direction, Evidence, EvidenceKind, FaultKind, Measurement, Window

_FILLS_UP = (FaultKind.DISK, FaultKind.MEMORY, FaultKind.STORAGE)
_SHARE = re.compile(r"percent|pct|ratio|share|utili[sz]ation")
_SCORE = 0.5


def warn_of_limits(
    metrics: pd.DataFrame, onset: datetime | None, origin: str, table: SignTable, settings: AnomalySettings
) -> Iterator[Evidence]:
    """Yield a warning for each series with a trend that meets its limit, in the order of the columns.

    Args:
        metrics: As :attr:`Signals.metrics`.
        onset: When the incident began; None where nothing changed.
        origin: Where the series come from.
        table: What metrics mean, by their names.
        settings: The ``anomaly`` section.
    """
    before = metrics if onset is None else metrics[metrics.index < pd.Timestamp(onset)]
    if before.empty:
        return
    times = before.index.to_numpy(dtype="datetime64[ns]").astype(np.int64) / 1e9
    window = Window(start=before.index[0].to_pydatetime(), end=before.index[-1].to_pydatetime())
    for column in before.columns:
        component, metric = str(column[0]), str(column[1])
        values = before[column].to_numpy(dtype=float)
        limit = _limit_of(metric, values, table)
        if limit is None or (found := forecast_limit(times, values, limit, settings)) is None:
            continue
        latest = "" if found.latest_hours is None else f", {found.latest_hours:.2g} h at the latest"
        yield Evidence(
            kind=EvidenceKind.FORECAST,
            component=component,
            subject=metric,
            origin=origin,
            query=f"{component}:{metric}",
            window=window,
            observed_at=window.end,
            value=Measurement(after=float(f"{found.hours:.2g}"), unit="h"),
            score=_SCORE,
            excerpt=f"{component} {metric} moves {found.slope_per_hour:+.3g} an hour and meets {limit:g} in {found.hours:.2g} h"
            f" ({found.earliest_hours:.2g} h at the earliest{latest})",
        )


def _limit_of(metric: str, values: np.ndarray, table: SignTable) -> float | None:
    """Return what the series cannot go beyond; None where its name and its values do not tell."""
    family = table.family_of(metric)
    if family is None or family.fault not in _FILLS_UP:
        return None
    if family.bad is Direction.DOWN:
        return 0.0
    highest = np.nanmax(values, initial=0.0)
    return next((limit for limit in (1.0, 100.0) if highest <= limit), None) if _SHARE.search(metric.lower()) else None
