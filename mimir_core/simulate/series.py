"""Signals as a monitoring stack records them: sampled, noisy, rounded, with holes.

Comes in: true signals. Goes out: a table of columns ``component:metric``, and which columns a fault really moved. Surprise:
requests and failures are counted events (Poisson and binomial), so an error rate of a quiet service is noisy because it is
quiet, not because noise was added.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from mimir_core.simulate.dice import Dice
from mimir_core.simulate.names import Role
from mimir_core.simulate.profile import Floats
from mimir_core.simulate.shapes import Timeline
from mimir_core.simulate.tables import read_table
from mimir_core.simulate.topology import System

_DIALECTS = ("prometheus", "cloud", "short", "agent", "plain")
_BUCKETS_MS = np.array([1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 120_000], dtype=float)
"""Borders of a latency histogram, as client libraries set them by default."""
_MOVED = 0.1
_SMALLEST_MOVE = {
    "errors": 0.01,
    "error_share": 0.01,
    "availability": 0.01,
    "edge_errors": 0.01,
    "restarts": 0.05,
    "throttled": 0.05,
}
"""Moves of a signal below these are none, whatever its level; below a tenth of its level for the others."""
_BOUNDED = frozenset(
    {
        "cpu",
        "disk_used",
        "disk_io",
        "pool_used",
        "throttled",
        "hit_share",
        "node_cpu",
        "node_memory",
        "error_share",
        "availability",
    }
)
_HABITS = {"plain": 28.0, "heavy": 4.0, "spiky": 3.0, "flat": 0.5, "appears": 0.5, "ends": 0.5, "shifts": 1.0}
_DIGITS = 5


@dataclass(frozen=True)
class Column:
    """One exported series and its habits."""

    signal: str
    row: int
    """Which component, edge or node it is about: the row of the signal's array."""
    owner: str
    metric: str
    scale: float
    noise: float
    habit: str
    missing: float
    sums: bool
    """Whether it is a counter: the sum since the start of the process."""

    @property
    def name(self) -> str:
        """As it stands in the file."""
        return f"{self.owner}:{self.metric}"


@dataclass(frozen=True)
class Exports:
    """What a system exports, and how."""

    columns: tuple[Column, ...]
    has_buckets: bool
    """Percentiles come from histograms."""
    smooth_rows: int
    """Rates and times are means over so many rows."""
    sees_lost: bool


def draw_exports(dice: Dice, system: System, timeline: Timeline, hidden: frozenset[int], complete_share: float) -> Exports:
    """Draw which signals are there for whom. Nothing here knows of faults, except that ``hidden`` components export nothing."""
    table = read_table("metric_names")
    dialect, by_pod, has_sums = dice.pick(_DIALECTS), dice.chance(0.06), dice.chance(0.35)
    is_complete, rich = dice.chance(complete_share), dice.between(0.45, 1.25)
    crowd = min(1.0, (60 / len(system.components)) ** 0.5)
    columns: list[Column] = []
    for signal, entry in table.items():
        if not (is_complete or dice.chance(min(entry["common"] * rich * crowd, 0.97))):
            continue
        metric, scale = entry[dialect]
        sums = has_sums and dialect == "prometheus" and "counter" in entry
        metric = entry["counter"] if sums else metric
        kept = 1.0 if is_complete else dice.pick([1.0, 0.95, 0.95, 0.8, 0.5])
        for row, owner, known in _owners(system, signal, set(entry["roles"]), hidden, by_pod):
            if dice.chance(kept):
                columns.append(_column(dice, (signal, row, owner, metric.format(callee=known)), scale, sums))
    smooth = dice.pick([0, 0, 60, 120, 300])
    return Exports(
        tuple(columns), dice.chance(0.4), max(1, min(smooth // timeline.step, 30)), dialect == "cloud" or dice.chance(0.2)
    )


def _owners(system: System, signal: str, roles: set[str], hidden: frozenset[int], by_pod: bool) -> list[tuple[int, str, str]]:
    """Return (row of the signal, owner, called component) of everything that could export ``signal``."""
    components = system.components
    if signal.startswith("edge_"):
        return [
            (number, components[edge.caller].name, components[edge.callee].name.replace(":", "_"))
            for number, edge in enumerate(system.edges)
            if not hidden & {edge.caller, edge.callee} and components[edge.caller].role is not Role.QUEUE
        ]
    if signal.startswith("node_"):
        return [(number, name, "") for number, name in enumerate(system.nodes)]
    return [
        (number, name, "")
        for number, component in enumerate(components)
        if component.role in roles and number not in hidden
        for name in (component.pods[:2] if by_pod and component.pods else (component.name,))
    ]


def _column(dice: Dice, what: tuple[str, int, str, str], scale: float, sums: bool) -> Column:
    return Column(
        *what,
        scale=scale,
        noise=dice.log_between(0.01, 0.12),
        habit=dice.weighted(_HABITS),
        missing=dice.pick([0.0, 0.0, 0.0, 0.01, 0.05, 0.2]),
        sums=sums,
    )


def thinned(dice: Dice, exports: Exports) -> Exports:
    """Return ``exports`` without some columns: on another day a system exports slightly different ones."""
    left_out = dice.pick([0.0, 0.0, 0.02, 0.05])
    kept = tuple(column for column in exports.columns if not dice.chance(left_out))
    return replace(exports, columns=kept or exports.columns)


def record(dice: Dice, exports: Exports, signals: dict[str, Floats], spread: Floats, timeline: Timeline) -> pd.DataFrame:
    """Return the recorded table: ``time``, then the columns in alphabetical order.

    Args:
        dice: Chance.
        exports: What is exported.
        signals: What is true.
        spread: Of the profile; by component.
        timeline: Of the rows.
    """
    window = timeline.step * exports.smooth_rows
    events = {name: _count(dice, smooth(signals[name], exports.smooth_rows) * window) for name in ("requests", "sent")}
    by_signal: dict[str, list[Column]] = {}
    for column in exports.columns:
        by_signal.setdefault(column.signal, []).append(column)
    recorded: dict[str, Floats] = {}
    for signal, columns in by_signal.items():
        rows = [column.row for column in columns]
        kind = read_table("metric_names")[signal]["kind"]
        true = signals[signal][rows] if kind in ("total", "level") else smooth(signals[signal][rows], exports.smooth_rows)
        seen = events["sent" if signal.startswith("edge_") else "requests"]
        noise = np.array([[column.noise] for column in columns])
        if kind in ("latency", "percentile"):
            wide = 0.4 if signal.startswith("edge_") else spread[rows][:, None] * (2.5 if kind == "percentile" else 1.0)
            noise = np.sqrt(noise**2 + wide**2 / np.maximum(seen[rows], 1))
        measured = _measure(dice, signal, _Sampled(true, seen[rows], noise, window))
        if kind == "percentile" and exports.has_buckets:
            measured = in_buckets(measured)
        for column, values in zip(columns, measured, strict=True):
            recorded[column.name] = _with_habits(dice, column, values, timeline.step) * column.scale
    table = pd.DataFrame({name: _rounded(recorded[name]) for name in sorted(recorded)})
    if dice.chance(0.08):
        first = dice.integer(1, timeline.rows - 1)
        table.iloc[first : first + dice.integer(1, max(2, timeline.rows // 20))] = np.nan
    table.insert(0, "time", timeline.times.astype(np.int64))
    return table


def find_moved(exports: Exports, quiet: dict[str, Floats], troubled: dict[str, Floats], first_row: int) -> list[Column]:
    """Return the columns that a fault moved by a tenth of their level or more.

    Args:
        exports: What is exported.
        quiet: What would have been true without the fault.
        troubled: What is true.
        first_row: The first row after the onset.
    """
    far = {}
    for signal in {column.signal for column in exports.columns}:
        before, after = quiet[signal][:, first_row:], troubled[signal][:, first_row:]
        apart = np.abs(after - before).mean(axis=1)
        least = _SMALLEST_MOVE.get(signal)
        far[signal] = apart > (_MOVED * np.abs(before).mean(axis=1) if least is None else least)
    return [column for column in exports.columns if far[column.signal][column.row] and column.habit != "flat"]


def smooth(values: Floats, rows: int) -> Floats:
    """Return the mean over each row and the ``rows`` - 1 before it.

    >>> smooth(np.array([[0.0, 2.0, 4.0, 6.0]]), 2).tolist()
    [[0.0, 1.0, 3.0, 5.0]]
    """
    if rows == 1:
        return values
    total = np.cumsum(np.pad(values, ((0, 0), (rows, 0)), constant_values=0.0), axis=1)
    counts = np.minimum(np.arange(1, values.shape[1] + 1), rows)
    return np.asarray((total[:, rows:] - total[:, :-rows]) / counts)


def in_buckets(values: Floats) -> Floats:
    """Return percentiles as ``histogram_quantile`` of Prometheus tends to give them: in the upper part of their bucket.

    >>> in_buckets(np.array([30.0, 49.0, 51.0])).round(1).tolist()
    [44.9, 49.3, 87.7]
    """
    bucket = np.clip(np.searchsorted(_BUCKETS_MS, values), 1, len(_BUCKETS_MS) - 1)
    low, high = _BUCKETS_MS[bucket - 1], _BUCKETS_MS[bucket]
    inside = np.clip((values - low) / (high - low), 0.0, 1.0)
    return np.asarray(low + (high - low) * (0.75 + 0.23 * inside))


def _count(dice: Dice, mean: Floats) -> Floats:
    return dice.rng.poisson(np.clip(mean, 0.0, 1e12)).astype(float)


@dataclass(frozen=True)
class _Sampled:
    """What one signal of some components is measured from; the arrays have their rows, ``noise`` may have one column."""

    true: Floats
    seen: Floats
    """How many requests were there to measure."""
    noise: Floats
    window: float
    """Seconds that one value covers."""


def _measure(dice: Dice, signal: str, sampled: _Sampled) -> Floats:
    true, seen, noise, window = sampled.true, sampled.seen, sampled.noise, sampled.window
    if signal == "requests":
        return seen / window
    if signal in ("errors", "error_share", "availability", "edge_errors"):
        failed = dice.rng.binomial(seen.astype(np.int64), np.clip(true if signal != "availability" else 1 - true, 0.0, 1.0))
        if signal in ("errors", "edge_errors"):
            return np.asarray(failed / window)
        share = np.where(seen > 0, failed / np.maximum(seen, 1), np.nan)
        return 1 - share if signal == "availability" else share
    match read_table("metric_names")[signal]["kind"]:
        case "count":
            return _count(dice, true * window) / window
        case "total":
            return np.asarray(np.cumsum(_count(dice, true), axis=1) + dice.integer(0, 5))
        case "level":
            return true
        case "latency" | "percentile":
            return np.asarray(np.where(seen > 0, true * np.exp(noise * dice.rng.standard_normal(true.shape)), np.nan))
    values = true * (1 + noise * dice.rng.standard_normal(true.shape))
    return np.clip(values, 0.0, 1.0 if signal in _BOUNDED else None)


def _with_habits(dice: Dice, column: Column, values: Floats, step: int) -> Floats:
    """Add what is odd about one series: spikes, heavy tails, a shift that means nothing, a late start, holes, resets."""
    rng, rows = dice.rng, len(values)
    is_level = column.signal in ("restarts", "replicas_ready", "freshness")
    cut = dice.integer(1, rows - 1)
    match column.habit:
        case "heavy" if not is_level:
            values = values * (1 + column.noise * np.clip(rng.standard_t(2, rows), -8, 12))
        case "spiky" if not is_level:
            values = np.where(rng.random(rows) < dice.between(0.002, 0.02), values * dice.between(2, 8), values)
        case "shifts" if not is_level:
            values = np.where(np.arange(rows) >= cut, values * dice.log_between(0.5, 2.5), values)
        case "flat":
            values = np.full(rows, np.nanmedian(values[: max(rows // 4, 1)]) if not np.isnan(values).all() else 0.0)
        case "appears":
            values = np.where(np.arange(rows) >= min(cut, rows // 2), values, np.nan)
        case "ends":
            values = np.where(np.arange(rows) < cut, values, np.nan)
    values = np.clip(values, 0.0, 1.0 if column.signal in _BOUNDED else None)
    if column.sums:
        values = dice.log_between(1e3, 1e7) + np.cumsum(np.nan_to_num(values)) * step
        values = values - np.where(np.arange(rows) >= cut, values[cut - 1], 0.0) if dice.chance(0.1) else values
    if column.missing:
        values = np.where(rng.random(rows) < column.missing, np.nan, values)
    return values


def _rounded(values: Floats) -> Floats:
    """Round to five significant digits, as dashboards and exporters do; totals keep their units."""
    size = np.floor(np.log10(np.maximum(np.abs(np.nan_to_num(values)), 1e-9)))
    unit = 10.0 ** np.minimum(size - _DIGITS + 1, 0)
    return np.asarray(np.round(values / unit) * unit)
