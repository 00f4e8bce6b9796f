"""Series, and nobody knows whether or when anything failed -> what is odd about them, the oddest first.

Comes in: :attr:`Signals.metrics`. Goes out: an :class:`Oddity` for each unusual time of a series, each break, each limit that
will be met and, if asked, the rows in which the series of one component do not fit together. Surprises: series of a component
that break at the same moments are one oddity, and so is a time at which nothing has a value; and a table of an hour knows nothing
of yesterday, so that the window of params.yaml shrinks until half of a series can be judged.

The order: what happened comes before what was merely not recorded (gaps, flat lines); then by how many series of the component
are odd at that time, as chance seldom moves several at once; then by kind; then the longest.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import pandas as pd

from mimir_core.analysis.anomaly import find_anomalies
from mimir_core.analysis.limits import warn_of_limits
from mimir_core.analysis.outliers import find_outliers
from mimir_core.analysis.series import Break, BreakKind, SeriesKind, describe_series, find_breaks, rate_of, runs_of, sampling_step
from mimir_core.analysis.signs import SignTable
from mimir_core.config import AnomalySettings

EVERYTHING = "*"
"""Whose gap it is where no series has a value."""


class OddityKind(StrEnum):
    """What can be odd, the most urgent first."""

    VANISHED = "vanished"
    ANOMALOUS = "anomalous"
    LIMIT = "limit"
    RESTART = "restart"
    APPEARED = "appeared"
    APART = "apart"
    GAP = "gap"
    FLAT = "flat line"


_KINDS = list(OddityKind)
_UNRECORDED = (OddityKind.GAP, OddityKind.FLAT)
_BREAKS = {
    BreakKind.VANISHED: (OddityKind.VANISHED, "no value since"),
    BreakKind.RESET: (OddityKind.RESTART, "counts from 0 again"),
    BreakKind.APPEARED: (OddityKind.APPEARED, "no value before"),
    BreakKind.GAP: (OddityKind.GAP, "no value"),
    BreakKind.FLAT: (OddityKind.FLAT, "does not move"),
}


class Oddity(NamedTuple):
    """One thing that a person should look at."""

    component: str
    metrics: tuple[str, ...]
    """More than one where they break at the same moments."""
    kind: OddityKind
    start: float
    """Unix seconds: the first unusual point, the last good point before a break, the last point before a limit."""
    stop: float
    """The last unusual point, the next good point, or when the limit will be met."""
    points: int
    """How many points are unusual, or lead to the forecast; of a break, how many steps of the table it lasts."""
    text: str


def find_oddities(
    metrics: pd.DataFrame, method: str, table: SignTable, settings: AnomalySettings, *, together: bool = False
) -> list[Oddity]:
    """Look at every series, with no failure time given, and return what is odd, the oddest first.

    Args:
        metrics: As :attr:`Signals.metrics`.
        method: A key of :data:`mimir_core.analysis.anomaly.METHODS`.
        table: What metrics mean, by their names: which of them have a limit.
        settings: The ``anomaly`` section.
        together: Whether to look, too, for rows in which the series of one component do not fit together, at times of which
            nothing else is told about it.
    """
    metrics = metrics.dropna(how="all")
    if metrics.empty:
        return []
    found = list(_find_limits(metrics, table, settings))
    metrics = metrics.set_axis(metrics.index.to_numpy(dtype="datetime64[ns]").astype(np.int64) / 1e9)
    found += _find_breaks(metrics, settings)
    for column in metrics.columns:
        found += _find_alarms(str(column[0]), str(column[1]), metrics[column].dropna(), method, settings)
    if together:
        found += [one for one in _find_misfits(metrics, settings) if not any(_at_once(one, other) for other in found)]
    return _rank(found)


def _find_alarms(component: str, metric: str, series: pd.Series, method: str, settings: AnomalySettings) -> Iterator[Oddity]:
    """Yield the unusual times of a series. Its window is so short that the second half has ``min_history`` states before it."""
    times, values = series.index.to_numpy(), series.to_numpy()
    fitting = len(series) * settings.states_per_window // (2 * settings.min_history)
    longest = min(settings.max_window_points, max(settings.min_window_points, fitting))
    flags = find_anomalies(times, values, method, settings.model_copy(update={"max_window_points": longest}))
    is_counter = describe_series(times, values).kind is SeriesKind.COUNTER
    shown = rate_of(times, values) if is_counter else values
    for first, last, points in _spells(flags):
        usual = np.nanmedian(shown[:first][~flags[:first]])
        furthest = shown[first + np.nanargmax(np.abs(shown[first : last + 1] - usual))]
        moved = f"{'rose' if furthest > usual else 'fell'} from {_short(usual)} to {_short(furthest)}{' a second' * is_counter}"
        yield Oddity(component, (metric,), OddityKind.ANOMALOUS, float(times[first]), float(times[last]), points, moved)


def _find_breaks(metrics: pd.DataFrame, settings: AnomalySettings) -> Iterator[Oddity]:
    times = metrics.index.to_numpy()
    window, step = (times[0], times[-1]), sampling_step(times)
    of_all = find_breaks(times, np.zeros(len(times)), window, settings)
    shared: defaultdict[tuple[str, Break], list[str]] = defaultdict(list, {(EVERYTHING, one): [EVERYTHING] for one in of_all})
    for column in metrics.columns:
        for one in find_breaks(times, metrics[column].to_numpy(), window, settings):
            if one not in of_all:
                shared[str(column[0]), one].append(str(column[1]))
    for (component, one), names in shared.items():
        kind, text = _BREAKS[one.kind]
        yield Oddity(component, tuple(names), kind, one.start, one.stop, round((one.stop - one.start) / step), text)


def _find_limits(metrics: pd.DataFrame, table: SignTable, settings: AnomalySettings) -> Iterator[Oddity]:
    for warning in warn_of_limits(metrics, None, "", table, settings):
        component, metric = warning.component, warning.subject
        if warning.window and warning.value and warning.value.after is not None:
            end = warning.window.end.timestamp()
            points, text = int(metrics[component, metric].count()), warning.excerpt.removeprefix(f"{component} {metric} ")
            yield Oddity(component, (metric,), OddityKind.LIMIT, end, end + warning.value.after * 3600, points, text)


def _find_misfits(metrics: pd.DataFrame, settings: AnomalySettings) -> Iterator[Oddity]:
    """Yield the rows in which the series of one component do not fit together; the metric is the one to look at first."""
    times = metrics.index.to_numpy()
    for component in metrics.columns.unique(0):
        own = metrics[component].apply(_without_counters)
        if len(own.columns) == 1:
            continue
        outliers = find_outliers(own, settings)
        for first, last, points in _spells(outliers.flagged):
            furthest = [column for row, column in outliers.columns.items() if first <= row <= last]
            metric = Counter(furthest).most_common(1)[0][0]
            text = f"{len(own.columns)} series do not fit together; look at {metric} first"
            yield Oddity(component, (metric,), OddityKind.APART, float(times[first]), float(times[last]), points, text)


def _without_counters(series: pd.Series) -> pd.Series:
    """Return the rate of a counter: its growth alone would set the first rows and the last apart."""
    there = series.dropna()
    times, values = there.index.to_numpy(), there.to_numpy()
    if describe_series(times, values).kind is not SeriesKind.COUNTER:
        return series
    return pd.Series(rate_of(times, values), there.index).reindex(series.index)


def _spells(flags: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """Yield first, last and number of the flagged points of each spell: a calm no longer than the spell before it is no end.

    >>> list(_spells(np.array([0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1], dtype=bool)))
    [(1, 5, 3), (12, 12, 1)]
    """
    runs = runs_of(flags)
    while runs:
        first, stop = runs.pop(0)
        while runs and runs[0][0] - stop <= stop - first:
            _, stop = runs.pop(0)
        yield first, stop - 1, int(flags[first:stop].sum())


def _rank(found: list[Oddity]) -> list[Oddity]:
    by_component = defaultdict(list)
    for one in found:
        by_component[one.component].append(one)

    def urgency(one: Oddity) -> tuple[bool, int, int, int]:
        odd = {metric for other in by_component[one.component] if _at_once(one, other) for metric in other.metrics}
        return one.kind in _UNRECORDED, -len(odd), _KINDS.index(one.kind), -one.points

    return sorted(found, key=urgency)


def _at_once(one: Oddity, other: Oddity) -> bool:
    """Whether something happened to the component of ``one`` at that time: ``other``, which is no mere gap."""
    is_news = other.component == one.component and other.kind not in _UNRECORDED
    return is_news and other.start <= one.stop and one.start <= other.stop


def _short(number: float) -> str:
    return f"{float(f'{number:.4g}'):g}"
