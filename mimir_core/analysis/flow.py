"""Latency, requests and failures of each component, and who calls whom -> where time and requests are lost.

Comes in: series and calls. Goes out: one :class:`Loss` a component and kind. Method: what a component loses is a flow
(excess latency x requests: seconds; failed requests: a count), and flows are conserved along calls, so that what its callees
lose is taken off what a caller loses (traversal of the call graph: MicroRCA, Wu et al., 2020, and the anomaly traversal of
PetShop, Hardt et al., 2024; there by z-scores and correlation). Surprises: a callee that was never called before the fault
explains nothing; that it is called at all speaks against its caller. What callees without such a series lose is unknown, so
that their caller's loss counts less. A rate without requests beside it counts as one request.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from mimir_core.analysis.call_metrics import CallNames
from mimir_core.analysis.counters import is_share
from mimir_core.analysis.robust import MAD_TO_SIGMA, median_of
from mimir_core.config import FlowSettings
from mimir_core.telemetry.signals import Calls

_PERCENT = 100.0
_RATIO_LIMIT = 1.5
"""Above this a share is given in percent."""
_STATISTICS = ("average", "mean", "avg", "p50", "median", "p90", "p95", "p99")
"""Which of several series of a component to take: the mean adds up, a high percentile does not."""
_STATISTIC_WORD = re.compile(r"average|mean|avg|median|p\d{2,3}|\d{2,3}percentile|sum|count")
"""What of a metric's name says which statistic it is, not of what."""

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
    """Median of the series ``metric``, in its own unit."""
    after: float


class _Flow(NamedTuple):
    """What is lost at a component, one value a row."""

    metric: str
    series: np.ndarray
    """Of the metric, as it was read."""
    excess: np.ndarray
    """How much more is lost than usually."""
    handled: float
    """What it usually handles, in the unit of ``excess``."""


class _Table(NamedTuple):
    """The usual rows and, below them, those of the incident."""

    rows: pd.DataFrame
    is_usual: np.ndarray
    roles: Mapping[str, Mapping[str, Collection[str]]]
    """Family to component to its metrics."""


def find_losses(  # noqa: PLR0913, PLR0917  # seven things that are known of a system
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
    rows = pd.concat([usual.reindex(columns=columns), metrics[is_after].reindex(columns=columns)])
    table = _Table(rows, np.arange(len(rows)) < len(usual), _roles(columns, names, family_of))
    requests = {
        component: np.nan_to_num(series) for component, (_, series) in _choose(table, table.roles.get("traffic", {})).items()
    }
    entries = requests.keys() - {callee for _, callee in calls}
    latencies, failures = _latencies(table, requests), _failures(table, requests, settings.least_available)
    return [
        *_losses(LATENCY, latencies, _whole(latencies, entries), table.is_usual, calls, settings),
        *_losses(FAILURES, failures, _whole(failures, entries), table.is_usual, calls, settings),
    ]


def _losses(  # noqa: PLR0913, PLR0917  # likewise
    kind: str, flows: Mapping[str, _Flow], whole: float, is_usual: np.ndarray, calls: Calls, settings: FlowSettings
) -> Iterator[Loss]:
    """Take off what callees lose, then the noise; relate the rest to the whole."""
    connected = {end for call in calls for end in call} or flows.keys()
    known = {name: flow for name, flow in flows.items() if name in connected and not np.isnan(flow.series[is_usual]).all()}
    for component, flow in sorted(known.items()) if whole else ():
        called = sorted(callee for caller, callee in calls if caller == component != callee)
        measured = [callee for callee in called if callee in known]
        own = flow.excess - sum((np.maximum(known[callee].excess, 0.0) for callee in measured), np.zeros(len(is_usual)))
        middle = np.median(own[is_usual])
        sigmas = settings.noise_sigmas * MAD_TO_SIGMA * np.median(np.abs(own[is_usual] - middle))
        noise = max(sigmas, np.quantile(own[is_usual], settings.noise_quantile) - middle)
        beyond = np.maximum(own - middle - noise, 0.0)
        by_chance = np.quantile(_rolling_mean(beyond[is_usual], settings.first_rows), settings.noise_quantile)
        lost = max(beyond[~is_usual][: settings.first_rows].mean(), beyond[~is_usual].mean())
        lost = max(0.0, lost - by_chance)
        above_noise = lost / (lost + noise) if lost else 0.0  # what is hardly above the noise counts less (Wiener, 1949)
        surely_own = (1 + len(measured)) / (1 + len(called))
        share = float(lost / whole * above_noise * surely_own)
        yield Loss(component, kind, flow.metric, share, median_of(flow.series[is_usual]), median_of(flow.series[~is_usual]))


def _rolling_mean(values: np.ndarray, rows: int) -> np.ndarray:
    """Return the means of each ``rows`` values that follow one another; of all where there are fewer."""
    rows = min(rows, len(values))
    return np.convolve(values, np.full(rows, 1 / rows), mode="valid")


def _whole(flows: Mapping[str, _Flow], entries: Collection[str]) -> float:
    """Return what the entries handle, else who handles most; where no requests are known, the most that is lost."""
    handled = {component: flow.handled for component, flow in flows.items() if not np.isnan(flow.handled)}
    if not handled:
        return max((float(flow.excess.max(initial=0.0)) for flow in flows.values()), default=0.0)
    return math.fsum(handled.get(entry, 0.0) for entry in entries) or max(handled.values())


def _roles(columns: pd.Index, names: CallNames, family_of: Callable[[str], str | None]) -> dict[str, dict[str, list[str]]]:
    """Return family to component to its metrics; a metric that names another component is about a call, not about its owner."""
    roles: dict[str, dict[str, list[str]]] = {}
    for component, metric in columns.to_list():
        family = None if names.split(component, metric) else family_of(metric)
        if family:
            roles.setdefault(family, {}).setdefault(component, []).append(metric)
    return roles


def _choose(table: _Table, owned: Mapping[str, Collection[str]]) -> dict[str, tuple[str, np.ndarray]]:
    """Return one metric of each component, with its series: a mean before a percentile, and of these the one that most have.

    Who lacks it has another statistic of the same quantity, because flows of different quantities cannot be taken off one
    another.

    Args:
        table: As above.
        owned: Component to its metrics of one family.
    """
    owners = Counter(metric for metrics in owned.values() for metric in metrics)
    order = sorted(owners, key=lambda metric: (_statistic(metric), -owners[metric], metric))
    rank = {metric: place for place, metric in enumerate(order) if _quantity(metric) == _quantity(order[0])}
    chosen = {
        component: min(metrics, key=rank.__getitem__)
        for component, known in owned.items()
        if (metrics := [metric for metric in known if metric in rank])
    }
    return {component: (metric, table.rows[component, metric].to_numpy(dtype=float)) for component, metric in chosen.items()}


def _quantity(metric: str) -> str:
    """Return the name of a metric without its statistic.

    >>> _quantity("lat_p95"), _quantity("lat_avg"), _quantity("client_lat_p95")
    ('lat_*', 'lat_*', 'client_lat_*')
    """
    return _STATISTIC_WORD.sub("*", metric.lower())


def _statistic(metric: str) -> int:
    """Return the place of a metric in :data:`_STATISTICS`; one that says nothing stands in the middle."""
    name = metric.lower()
    return next((rank for rank, word in enumerate(_STATISTICS) if word in name), len(_STATISTICS) // 2)


def _latencies(table: _Table, requests: Mapping[str, np.ndarray]) -> dict[str, _Flow]:
    """Return the seconds that requests take at each component, in the unit of its latency."""
    flows = {}
    for component, (metric, series) in _choose(table, table.roles.get("latency", {})).items():
        asked = _asked(requests, component, table)
        handled = median_of(series[table.is_usual]) * median_of(asked[table.is_usual])
        flows[component] = _Flow(metric, series, _above(series, table.is_usual) * asked, handled)
    return flows


def _failures(table: _Table, requests: Mapping[str, np.ndarray], least_available: float) -> dict[str, _Flow]:
    """Return the failed requests of each component, from a count of its errors, else their share, else its availability."""
    flows = {}
    for family, are_shares in (("availability", True), ("errors", True), ("errors", False)):
        owned = table.roles.get(family, {}).items()
        fitting = {component: [name for name in names if is_share(name, family) is are_shares] for component, names in owned}
        for component, (metric, series) in _choose(table, fitting).items():
            asked = _asked(requests, component, table)
            handled = median_of(asked[table.is_usual]) if are_shares or component in requests else math.nan
            share = _as_share(series)
            if family == "availability":
                if not median_of(share[table.is_usual]) >= least_available:
                    continue  # a count of what is there, not a share of requests
                share = 1 - share
            failed = share * asked if are_shares else series
            flows[component] = _Flow(metric, series, _above(failed, table.is_usual), handled)
    return flows


def _as_share(series: np.ndarray) -> np.ndarray:
    """Return a share between 0 and 1 of one that may be in percent."""
    return series / _PERCENT if np.nanmax(series, initial=0.0) > _RATIO_LIMIT else series


def _asked(requests: Mapping[str, np.ndarray], component: str, table: _Table) -> np.ndarray:
    """Return the requests of a component, one a row where they are unknown."""
    return requests.get(component, np.ones(len(table.rows)))


def _above(series: np.ndarray, is_usual: np.ndarray) -> np.ndarray:
    """Return how far above its usual median each value is; a missing one is not above."""
    above = series - median_of(series[is_usual])
    return np.where(np.isnan(above), 0.0, above)
