"""Latency, requests and failures of each component, and who calls whom -> where time and requests are lost.

Comes in: series and calls. Goes out: one :class:`Loss` a component and kind. Method: what a component loses is a flow
(excess latency x requests: seconds; failed requests: a count), and flows are conserved along calls, so that what its callees
lose is taken off what a caller loses (traversal of the call graph: MicroRCA, Wu et al., 2020, and the anomaly traversal of
PetShop, Hardt et al., 2024; there by z-scores and correlation). Surprises: a callee that was never called before the fault
explains nothing; that it is called at all speaks against its caller. What callees without such a series lose is unknown, so
that their caller's loss counts less. A rate without requests beside it counts as one request.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd

from mimir_core.analysis.call_metrics import CallNames
from mimir_core.config import FlowSettings
from mimir_core.telemetry.signals import Calls

_MAD_TO_SIGMA = 1.4826
_PERCENT = 100.0
_RATIO_LIMIT = 1.5
"""Above this a share is given in percent."""
_STATISTICS = ("average", "mean", "avg", "p50", "median", "p90", "p95", "p99")
"""Which of several latencies of a component to take: the mean adds up, a high percentile does not."""
_SHARE_WORDS = ("percent", "pct", "ratio", "share", "rate")

LATENCY, FAILURES = "latency", "failures"


class Loss(NamedTuple):
    """What a component loses by itself."""

    component: str
    kind: str
    """:data:`LATENCY` or :data:`FAILURES`."""
    metric: str
    share: float
    """Of what its system usually handles: excess seconds of its entries' seconds, or failures of their requests."""
    before: float
    after: float


class _Series(NamedTuple):
    metric: str
    values: np.ndarray


def find_losses(
    metrics: pd.DataFrame,
    is_after: np.ndarray,
    usual: pd.DataFrame,
    calls: Calls,
    names: CallNames,
    family_of: Callable[[str], str | None],
    settings: FlowSettings,
) -> list[Loss]:
    """Return what each component loses by itself, both kinds, components in the order of names.

    Args:
        metrics: As :attr:`Signals.metrics`.
        is_after: One truth value a row: whether it belongs to the incident.
        usual: The rows to compare with, from the same or another time.
        calls: Who calls whom; where nothing is known, nobody explains anybody. Who is not among them is a mere view of others.
        names: Tells which metrics are about calls.
        family_of: The family of a metric, by its name.
        settings: The ``flow`` section.
    """
    if usual.empty or not is_after.any():
        return []
    columns = metrics.columns.union(usual.columns)
    table = pd.concat([usual.reindex(columns=columns), metrics[is_after].reindex(columns=columns)])
    is_usual = np.arange(len(table)) < len(usual)
    roles = _roles(columns, family_of, names)
    requests = {c: s.values for c, s in _choose(table, roles, "traffic").items()}
    entries = {name for name in requests} - {callee for _, callee in calls}
    losses = []
    latencies = _choose(table, roles, "latency")
    excess = {c: _above(s.values, is_usual) * _times(requests.get(c), len(table)) for c, s in latencies.items()}
    handled = {
        c: _median(s.values[is_usual]) * _median(_times(requests.get(c), len(table))[is_usual]) for c, s in latencies.items()
    }
    losses += _losses(LATENCY, latencies, excess, handled, is_usual, calls, entries, settings)
    failures = _failures(table, roles, requests)
    failed = {c: _above(s.values, is_usual) for c, s in failures.items()}
    asked = {c: _median(_times(requests.get(c), len(table))[is_usual]) for c in failures}
    losses += _losses(FAILURES, failures, failed, asked, is_usual, calls, entries, settings)
    return losses


def _losses(
    kind: str,
    series: dict[str, _Series],
    excess: dict[str, np.ndarray],
    handled: dict[str, float],
    is_usual: np.ndarray,
    calls: Calls,
    entries: Iterable[str],
    settings: FlowSettings,
) -> list[Loss]:
    """Take off what callees lose, then the noise; relate the rest to what the entries usually handle."""
    connected = {end for call in calls for end in call}
    known = {c for c in excess if np.any(~np.isnan(series[c].values[is_usual])) and (c in connected or not connected)}
    callees: dict[str, list[str]] = {}
    for caller, callee in sorted(calls):
        if caller != callee:
            callees.setdefault(caller, []).append(callee)
    whole = sum(handled[c] for c in entries if handled.get(c, 0) > 0) or sum(sorted(handled.values())[-1:])
    if not whole or not np.isfinite(whole):
        return []
    losses = []
    for component in sorted(known):
        called = callees.get(component, [])
        measured = [callee for callee in called if callee in known]
        own = excess[component] - sum((np.maximum(excess[callee], 0.0) for callee in measured), np.zeros(len(is_usual)))
        before = own[is_usual]
        middle = _median(before)
        sigmas = settings.noise_sigmas * _MAD_TO_SIGMA * _median(np.abs(before - middle))
        noise = max(sigmas, float(np.quantile(before, settings.noise_quantile)) - middle)
        beyond = np.maximum(own[~is_usual] - middle - noise, 0.0)
        lost = float(max(beyond[: settings.first_rows].mean(), beyond.mean()))
        surely_own = (1 + len(measured)) / (1 + len(called))
        above_noise = lost / (lost + noise) if lost else 0.0  # what is hardly above the noise counts less (Wiener, 1949)
        share = lost / whole * above_noise * surely_own
        values = series[component].values
        losses.append(
            Loss(component, kind, series[component].metric, share, _median(values[is_usual]), _median(values[~is_usual]))
        )
    return losses


def _roles(
    columns: pd.MultiIndex, family_of: Callable[[str], str | None], names: CallNames
) -> dict[str, dict[str, list[str]]]:
    """Family to component to its metrics; a metric that names another component is about a call, not about its owner."""
    roles: dict[str, dict[str, list[str]]] = {}
    families: dict[str, str | None] = {}
    for component, metric in columns:
        if metric not in families:
            families[metric] = None if names.split(component, metric) else family_of(metric)
        if family := families[metric]:
            roles.setdefault(family, {}).setdefault(component, []).append(metric)
    return roles


def _choose(table: pd.DataFrame, roles: dict[str, dict[str, list[str]]], family: str) -> dict[str, _Series]:
    """Of each component the one metric of the family that most components have; a mean before a percentile."""
    owned = roles.get(family, {})
    spread: dict[str, int] = {}
    for metrics in owned.values():
        for metric in metrics:
            spread[metric] = spread.get(metric, 0) + 1
    order = sorted(spread, key=lambda metric: (_statistic(metric), -spread[metric], metric))
    chosen: dict[str, _Series] = {}
    for metric in order[:1]:  # flows of different units cannot be taken off one another
        for component, metrics in owned.items():
            if metric in metrics:
                chosen[component] = _Series(metric, table[component, metric].to_numpy(dtype=float))
    return chosen


def _statistic(metric: str) -> int:
    name = metric.lower()
    return next((rank for rank, word in enumerate(_STATISTICS) if word in name), len(_STATISTICS) // 2)


def _failures(table: pd.DataFrame, roles: dict[str, dict[str, list[str]]], requests: dict[str, np.ndarray]) -> dict[str, _Series]:
    """Failed requests of each component, from its availability, else from its errors."""
    found: dict[str, _Series] = {}
    for component, series in _choose(table, roles, "availability").items():
        whole = _PERCENT if np.nanmax(series.values, initial=0.0) > _RATIO_LIMIT else 1.0
        found[component] = _Series(series.metric, (1 - series.values / whole) * _times(requests.get(component), len(table)))
    for component, series in _choose(table, roles, "errors").items():
        failed = series.values
        if any(word in series.metric.lower() for word in _SHARE_WORDS):
            whole = _PERCENT if np.nanmax(failed, initial=0.0) > _RATIO_LIMIT else 1.0
            failed = failed / whole * _times(requests.get(component), len(table))
        found.setdefault(component, _Series(series.metric, failed))
    return found


def _above(values: np.ndarray, is_usual: np.ndarray) -> np.ndarray:
    """How far above its usual median each value is; a missing one is not above."""
    middle = _median(values[is_usual])
    return np.nan_to_num(values - (middle if np.isfinite(middle) else 0.0))


def _times(requests: np.ndarray | None, rows: int) -> np.ndarray:
    return np.ones(rows) if requests is None else np.nan_to_num(requests)


def _median(values: np.ndarray) -> float:
    there = values[~np.isnan(values)]
    return float(np.median(there)) if len(there) else float("nan")
