"""What decided -> the few pictures that an engineer looks at first, as numbers.

Comes in: the signals, what the numbers say (:class:`RootCause`) and the pack. Goes out: :class:`Chart` records: series
(``chart_series.py``), bursts of log lines, and who calls whom between the cause and the affected component. Surprise: the bins
of a burst meet at the onset, so that none mixes before and after.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice

import networkx as nx
import numpy as np

from mimir_core.analysis.chart_series import Focus, draw_series
from mimir_core.analysis.root_cause import RootCause
from mimir_core.analysis.signs import SignTable
from mimir_core.records import Chart, ChartNode, Evidence, EvidenceKind, EvidencePack
from mimir_core.telemetry.signals import Calls, Signals, Statement

_MAX_BURSTS, _MAX_NODES = 2, 25
_LINE_BINS = 30
_BURST_SIGMAS = 3.0
"""A rate that changes by less may do so by chance."""
_LEAST_LINES = 3
"""What decided and was said less often is better told than drawn."""
_HOLE = "<*>"
_TITLE_CHARACTERS = 160


def draw_charts(signals: Signals, root_cause: RootCause, pack: EvidencePack, table: SignTable) -> tuple[Chart, ...]:
    """Return the charts of one incident: series, bursts, calls; at most seven.

    Args:
        signals: What was recorded.
        root_cause: What the numbers say about it.
        pack: The pack as it is without charts: whom it blames first (where it blames nobody, the first suspect counts), and
            what charts can point to. Where neither knows an onset there is no before and after, and no chart.
        table: What metrics and log lines mean.
    """
    onset = root_cause.onset or pack.onset
    if onset is None:
        return ()
    suspects = (name for name, suspicion in root_cause.ranking if suspicion)
    cause = pack.candidates[0].component if pack.candidates else next(suspects, None)
    focus = Focus(math.floor(onset.timestamp() * 1e3) / 1e3, cause, pack, table)
    return (
        *draw_series(signals, root_cause.suspicions, focus),
        *islice(_draw_bursts(signals.statements, focus), _MAX_BURSTS),
        *_draw_calls(root_cause.calls, dict(root_cause.ranking), focus),
    )


# --- bursts of log lines ----------------------------------------------------------------------------------------


def _draw_bursts(statements: Iterable[Statement], focus: Focus) -> Iterator[Chart]:
    """Draw how often something was said: what decided first, then what the cause and the affected component say."""
    lines: dict[str, list[tuple[float, Statement]]] = {}
    for line in statements:
        if line.source == "log" and line.time:
            lines.setdefault(line.component, []).append((line.time.timestamp(), line))
    times = [time for spoken in lines.values() for time, _ in spoken]
    if not times or not min(times) < focus.onset <= max(times):
        return
    edges = _edges_around(focus.onset, min(times), max(times))
    drawn: set[tuple[str, bytes]] = set()
    for item in focus.rank(EvidenceKind.LOG, (focus.cause, focus.affected)):
        is_one = _words_of(item, focus.table)
        hits = [(time, line.count) for time, line in lines.get(item.component, ()) if is_one(line.text)]
        counts, _ = np.histogram([time for time, _ in hits], edges, weights=[count for _, count in hits])
        decided = item.id in focus.deciding and len(hits) >= _LEAST_LINES
        if (decided or _is_burst(counts, edges[:-1] < focus.onset)) and (item.component, counts.tobytes()) not in drawn:
            drawn.add((item.component, counts.tobytes()))
            yield Chart(
                kind="lines",
                title=f"{item.component}: {item.subject[:_TITLE_CHARACTERS]}",
                component=item.component,
                evidence_ids=(item.id,),
                onset=focus.onset,
                unit=f"lines per {edges[1] - edges[0]:.0f} s",
                times=tuple(np.round(edges, 3).tolist()),
                values=tuple(counts.tolist()),
            )


def _words_of(item: Evidence, table: SignTable) -> Callable[[str], object]:
    """Return what tells whether a line is of the kind that the evidence is about: a sign, or a template."""
    sign = table.sign_of(item)
    return sign.find if sign else _fits(item.subject)


def _fits(template: str) -> Callable[[str], bool]:
    """Return whether a line holds the words of ``template`` in their order.

    >>> fits = _fits("took <*> ms for <*>")
    >>> fits("12:01 INFO took 3 ms for ann"), fits("for ann it took 3 ms")
    (True, False)
    """
    pieces = [piece.strip() for piece in template.split(_HOLE) if piece.strip()]

    def fits(text: str) -> bool:
        line, place = " ".join(text.split("\n", 1)[0].split()), 0
        for piece in pieces:
            if (found := line.find(piece, place)) < 0:
                return False
            place = found + len(piece)
        return bool(pieces)

    return fits


def _is_burst(counts: np.ndarray, is_before: np.ndarray) -> bool:
    """Whether more lines, or fewer, came after the onset than were due by the rate before it (counts as Poisson's)."""
    ratio = (~is_before).sum() / is_before.sum()
    came, due = counts[~is_before].sum(), counts[is_before].sum() * ratio
    return bool(abs(came - due) > _BURST_SIGMAS * math.sqrt(came + due * ratio))


def _edges_around(onset: float, first: float, last: float) -> np.ndarray:
    """Return the edges of bins of whole seconds; one edge is the onset."""
    width = max(1, math.ceil((last - first) / _LINE_BINS))
    return onset + width * np.arange(-math.ceil((onset - first) / width), math.floor((last - onset) / width) + 2)


# --- who calls whom ---------------------------------------------------------------------------------------------


def _draw_calls(calls: Calls, suspicions: Mapping[str, float], focus: Focus) -> Iterator[Chart]:
    """Draw the ways between the cause and the affected component, and who is beside the two."""
    graph = nx.DiGraph(sorted((caller, callee) for caller, callee in calls if caller != callee))
    if focus.cause is None or focus.cause not in graph:
        return
    ends = [name for name in dict.fromkeys((focus.cause, focus.affected)) if name is not None and name in graph]
    between = _between(graph, *ends) if len(ends) > 1 else []
    near = {name for end in ends for name in nx.all_neighbors(graph, end)}
    order = dict.fromkeys([*ends, *between, *sorted(near, key=lambda name: (-suspicions.get(name, 0.0), name))])
    names = [*order][:_MAX_NODES]
    roles = dict.fromkeys(between, "between") | dict.fromkeys(ends, "affected") | {focus.cause: "cause"}
    yield Chart(
        kind="calls",
        title=f"Calls around {focus.cause}",
        component=focus.cause,
        nodes=tuple(
            ChartNode(component=name, role=roles.get(name, "near"), suspicion=round(suspicions.get(name, 0.0), 4))
            for name in names
        ),
        edges=tuple(sorted(graph.subgraph(names).edges)),
    )


def _between(graph: nx.DiGraph, one: str, other: str) -> list[str]:
    """Return who is on a way of calls between the two, else who is on a shortest way that ignores who calls; nearest first."""
    on_ways = (nx.descendants(graph, one) & nx.ancestors(graph, other)) | (
        nx.descendants(graph, other) & nx.ancestors(graph, one)
    )
    undirected = graph.to_undirected()
    if not on_ways and nx.has_path(undirected, one, other):
        on_ways = set(nx.shortest_path(undirected, one, other))
    distances = nx.single_source_shortest_path_length(undirected, one)
    return sorted(on_ways - {one, other}, key=lambda name: (distances[name], name))
