"""What decided -> the series to look at: those that speak against the cause, and what users feel.

Comes in: the signals, the suspicions and what the charts are about (:class:`Focus`). Goes out: :class:`Chart` records of series.
Surprises: a series that is another one in a different unit is not drawn twice; long series keep the lowest and the highest
value of each block, so that no peak is lost; what spans took is drawn as a series, too, with an edge of its bins at the onset.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import pandas as pd

from mimir_core.analysis.flow import Loss
from mimir_core.analysis.levels import Shift
from mimir_core.analysis.signs import SignTable
from mimir_core.analysis.span_tree import link_spans
from mimir_core.analysis.suspects import Suspicion
from mimir_core.analysis.trace_times import Slowness
from mimir_core.records import Chart, Direction, Evidence, EvidenceKind, EvidencePack
from mimir_core.telemetry.signals import Signals

_MOST, _MAX_POINTS = 3, 120
_SPAN_BINS = 60
_DECIDING_SHARE = 0.1
"""A suspicion below this share of the strongest against the same component decides nothing."""
_ALIKE = 0.9999
"""Two series with a higher correlation are one, in two units."""
_MIN_ALIKE_POINTS = 5
_MISSED_STEPS = 3
"""As many of a series' own steps without a value are a gap."""
_DIGITS = 6
_US_PER_MS = 1000.0


class Focus(NamedTuple):
    """What the charts of an incident are about."""

    onset: float
    """Unix seconds, in whole milliseconds."""
    cause: str | None
    pack: EvidencePack
    """What charts can point to."""
    table: SignTable

    @property
    def affected(self) -> str | None:
        """The component that the incident is about."""
        return self.pack.incident.service

    @property
    def deciding(self) -> set[str]:
        """The ids of the evidence that speaks for the first candidate."""
        return {evidence_id for candidate in self.pack.candidates[:1] for evidence_id in candidate.evidence_ids}

    def rank(self, kind: EvidenceKind, components: Sequence[str | None]) -> list[Evidence]:
        """Return the evidence of a kind that decided, then what else is about ``components``; furthest from normal first."""
        deciding = self.deciding
        order = {component: place for place, component in reversed([*enumerate(components)])}
        found = [item for item in self.pack.evidence if item.kind is kind and item.score > 0]
        wanted = [item for item in found if item.id in deciding or item.component in order]
        return sorted(wanted, key=lambda item: (item.id not in deciding, order.get(item.component, len(order)), -item.score))


class _Line(NamedTuple):
    """A series that may be drawn."""

    component: str
    name: str
    values: pd.Series
    """Index: time. NaN where missing."""
    unit: str = ""


def draw_series(signals: Signals, suspicions: Iterable[Suspicion], focus: Focus) -> Iterator[Chart]:
    """Yield at most three series that speak against the cause, then what users feel of the affected component."""
    lines = [*islice(_unlike(_deciding_lines(signals, suspicions, focus)), _MOST)]
    if focus.affected:
        lines += _felt_line(signals.metrics, focus.affected, "", focus)
    for line in _unlike(lines):
        yield _draw(line, focus)


def _deciding_lines(signals: Signals, suspicions: Iterable[Suspicion], focus: Focus) -> Iterator[_Line]:
    """Yield the series that the suspicions against the cause rest on, then its others that moved; strongest first."""
    linked = link_spans(signals.spans)
    against = sorted((item for item in suspicions if item.component == focus.cause), key=lambda item: -item.strength)
    for suspicion in against:
        finding = suspicion.finding
        if suspicion.strength < _DECIDING_SHARE * against[0].strength:
            break
        if isinstance(finding, Shift | Loss):
            yield from _column(signals.metrics, finding.component, finding.metric)
        elif isinstance(finding, Slowness):
            if finding.callee:
                yield from _felt_line(signals.metrics, finding.component, finding.callee, focus)
            yield from _span_times(linked, finding, focus.onset)
    for item in focus.rank(EvidenceKind.METRIC, [focus.cause]):
        yield from _column(signals.metrics, item.component, item.subject)


def _column(metrics: pd.DataFrame, component: str, metric: str) -> Iterator[_Line]:
    if (component, metric) in metrics.columns:
        yield _Line(component, metric, metrics[component, metric])


def _felt_line(metrics: pd.DataFrame, component: str, about: str, focus: Focus) -> list[_Line]:
    """Return what is felt of a component: of its series with ``about`` in their name, the one that got worse by most.

    That is by the largest share of what the medians before and after the onset are together: a share has no unit.
    """
    worst, found = 0.0, []
    is_after = metrics.index >= pd.Timestamp(focus.onset, unit="s", tz="UTC")
    for metric in metrics[component].columns if component in metrics.columns.get_level_values(0) else ():
        family = focus.table.family_of(metric) if about in metric else None
        if family and family.felt:
            values = metrics[component, metric]
            before, after = values[~is_after].median(), values[is_after].median()
            worse = (after - before) * (1 if family.bad is Direction.UP else -1)
            if worse > worst * (abs(before) + abs(after)):
                worst, found = worse / (abs(before) + abs(after)), [_Line(component, metric, values)]
    return found


def _span_times(linked: pd.DataFrame, slow: Slowness, onset: float) -> Iterator[_Line]:
    """Yield the mean time of the spans that became slow, without the time of their children."""
    slowed = linked[(linked["component"] == slow.component) & (linked["callee"] == slow.callee)]
    if slowed.empty:
        return
    since = slowed["start_us"].to_numpy(dtype=float) / 1e6 - onset
    width = max(1.0, math.ceil((since.max() - since.min()) / _SPAN_BINS))
    means = (slowed["own_us"] / _US_PER_MS).groupby(onset + since // width * width).mean()
    name = f"calls of {slow.callee}" if slow.callee else "own time"
    yield _Line(slow.component, name, means.set_axis(pd.to_datetime(means.index, unit="s", utc=True)), "ms, mean")


def _unlike(lines: Iterable[_Line]) -> Iterator[_Line]:
    """Yield each series that is not one of those before, nor one of them in another unit."""
    seen: list[_Line] = []
    for line in lines:
        if not any(line[:2] == other[:2] or _are_alike(line.values, other.values) for other in seen):
            seen.append(line)
            yield line


def _are_alike(one: pd.Series, other: pd.Series) -> bool:
    return one.index.equals(other.index) and one.corr(other, min_periods=_MIN_ALIKE_POINTS) > _ALIKE


def _draw(line: _Line, focus: Focus) -> Chart:
    times, values = thin(*_with_gaps(line.values))
    return Chart(
        kind="series",
        title=f"{line.component} {line.name}",
        component=line.component,
        evidence_ids=tuple(
            item.id
            for item in focus.pack.evidence
            if (item.kind is EvidenceKind.METRIC and (item.component, item.subject) == line[:2])
            or (item.kind is EvidenceKind.TRACE and item.subject == f"{line.component}: {line.name}")
        ),
        onset=focus.onset,
        unit=line.unit,
        times=tuple(np.round(times, 3).tolist()),
        values=tuple(None if math.isnan(value) else float(f"{value:.{_DIGITS}g}") for value in values.tolist()),
    )


def _with_gaps(series: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Return unix seconds and values, with one NaN in each gap and at an end of the index without a value."""
    seconds = pd.DatetimeIndex(series.index).as_unit("ns").asi8 / 1e9
    there = np.abs(series.to_numpy(dtype=float)) < 1e300  # neither NaN nor infinite, as Chart has it
    times, values = seconds[there], series.to_numpy(dtype=float)[there]
    steps = np.diff(times)
    gaps = np.flatnonzero(steps > _MISSED_STEPS * np.median(steps)) if len(steps) else np.array([], dtype=int)
    times, values = np.insert(times, gaps + 1, times[gaps] + steps[gaps] / 2), np.insert(values, gaps + 1, np.nan)
    ends = np.setdiff1d(seconds[[0, -1]], times) if len(seconds) else seconds
    places = np.searchsorted(times, ends)
    return np.insert(times, places, ends), np.insert(values, places, np.nan)


def thin(times: np.ndarray, values: np.ndarray, limit: int = _MAX_POINTS) -> tuple[np.ndarray, np.ndarray]:
    """Keep at most ``limit`` points: of each block the lowest and the highest, or one that is missing where all are.

    >>> times, values = thin(np.arange(1000.0), np.where(np.arange(1000) == 417, 9.0, 0.0), 10)
    >>> len(times), values.max(), times[values.argmax()]
    (6, np.float64(9.0), np.float64(417.0))
    """
    if len(times) <= limit:
        return times, values
    kept: list[int] = []
    for block in np.array_split(np.arange(len(times)), limit // 2):
        there = block[~np.isnan(values[block])]
        kept += sorted({there[values[there].argmin()], there[values[there].argmax()]}) if len(there) else [block[0]]
    return times[kept], values[kept]
