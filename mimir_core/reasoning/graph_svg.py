"""Who calls whom around a fault -> SVG in layers, callers on the left.

Comes in: :class:`Chart` of calls. Goes out: one ``<svg>`` element. Method: layered drawing (Sugiyama, Tagawa and Toda, 1981):
a component stands right of all its callers (longest path; components that call each other share a layer), a call that passes
a layer has a lane there, and each layer is ordered by the mean place of its neighbours. Surprises: calls of one callee share
their lanes; long names lose what all names share, then their middle, and the whole name is the box's title.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise, takewhile
from statistics import fmean
from typing import NamedTuple

import networkx as nx

from mimir_core.reasoning.charts_svg import picture, shown
from mimir_core.records import Chart, ChartNode
from mimir_core.safety import escape

_WIDTH, _ROW, _LANE, _BOX_HEIGHT, _GAP, _MARGIN = 960, 50, 16, 38, 56, 6
_LEAST_BOX, _MOST_BOX = 120, 220
_CHARACTER = 8
"""Width of a bold character."""
_WORDS = re.compile(r"[^-._:/]*[-._:/]+")
"""All words of a name but the last."""
_SWEEPS = 4
_WORTH_TELLING = 0.005
"""A lower suspicion is shown as none."""


class Lane(NamedTuple):
    """Where the calls of a component pass a layer."""

    callee: str
    layer: int


Stop = str | Lane
"""What has a place in a layer: a component, or a lane."""


class Layout(NamedTuple):
    """What stands where."""

    layers: list[list[Stop]]
    """Callers first; each from top to bottom."""
    routes: list[list[Stop]]
    """The caller, the lanes and the callee of each call."""


class _Place(NamedTuple):
    """A stop in the picture: its left side, its right side and its middle."""

    left: float
    right: float
    y: float


def draw_graph(chart: Chart) -> str:
    """Draw the calls between the cause and what it affects.

    >>> nodes = [{"component": "web", "role": "affected", "suspicion": 0}, {"component": "db", "role": "cause", "suspicion": 0.9}]
    >>> calls = {"kind": "calls", "title": "Calls", "component": "db", "nodes": nodes, "edges": [("web", "db")]}
    >>> draw_graph(Chart.model_validate(calls)).split("<desc>")[1].split("</desc>")[0]
    'web: affected. db: likely cause, 90 %. Calls: web calls db.'
    """
    layout = lay_out([node.component for node in chart.nodes], chart.edges)
    columns = max(len(layout.layers), 1)
    width = min(max((_WIDTH - 2 * _MARGIN) / columns - _GAP, _LEAST_BOX), _MOST_BOX)
    height = max((_height(layer) for layer in layout.layers), default=0)
    places = _places(layout.layers, width, height)
    on_way = {node.component for node in chart.nodes if node.role != "near"}
    routes = sorted(layout.routes, key=lambda route: on_way.issuperset((route[0], route[-1])))
    parts = [_call([places[stop] for stop in route], is_way=on_way.issuperset((route[0], route[-1]))) for route in routes]
    labels = label([node.component for node in chart.nodes], int(width / _CHARACTER) - 2)
    parts += [_box(node, places[node.component], labels[node.component]) for node in chart.nodes]
    words = " ".join(f"{_about(node)}." for node in chart.nodes)
    calls = ", ".join(f"{caller} calls {callee}" for caller, callee in chart.edges)
    size = 2 * _MARGIN + columns * (width + _GAP), 2 * _MARGIN + height
    return picture(chart.title, *size, f"{words} Calls: {calls or 'none'}.", parts)


def lay_out(components: Iterable[str], calls: Iterable[tuple[str, str]]) -> Layout:
    """Return what stands where; the same for the same graph.

    >>> layout = lay_out("abcd", [("a", "b"), ("b", "c"), ("c", "b"), ("d", "c")])
    >>> layout.layers
    [['a', 'd'], ['b', 'c']]
    >>> lay_out("abc", [("a", "b"), ("b", "c"), ("a", "c")]).routes[1]
    ['a', Lane(callee='c', layer=1), 'c']
    """
    graph = nx.DiGraph()
    graph.add_nodes_from(components)
    graph.add_edges_from(sorted(call for call in calls if call[0] != call[1]))
    layer_of = _layers(graph)
    routes = [
        [caller, *(Lane(callee, layer) for layer in range(layer_of[caller] + 1, layer_of[callee])), callee]
        for caller, callee in sorted(graph.edges)
    ]
    stops = nx.Graph()
    stops.add_nodes_from(graph)
    stops.add_edges_from(step for route in routes for step in pairwise(route))
    layers: list[list[Stop]] = [[] for _ in range(max(layer_of.values(), default=-1) + 1)]
    for stop in sorted(stops, key=str):
        layers[stop.layer if isinstance(stop, Lane) else layer_of[stop]].append(stop)
    place = {stop: row - len(layer) / 2 for layer in layers for row, stop in enumerate(layer)}
    for _ in range(_SWEEPS):
        for layer in layers:
            means = {
                stop: fmean([place[other] for other in stops[stop] if other not in layer] or [place[stop]]) for stop in layer
            }
            layer.sort(key=lambda stop, means=means: (means[stop], str(stop)))  # type: ignore[misc]
            place |= {stop: row - len(layer) / 2 for row, stop in enumerate(layer)}
    return Layout(layers, routes)


def label(names: Sequence[str], length: int) -> dict[str, str]:
    """Return for each name what fits into its box: a long one loses the first words that all names share, then its middle.

    >>> label(["shop.payments-database-replica", "shop.web", "shop.cart-service"], 13)
    {'shop.payments-database-replica': '…payme…eplica', 'shop.web': 'shop.web', 'shop.cart-service': '…cart-service'}
    """
    words = zip(*map(_WORDS.findall, names), strict=False)
    shared = "".join(same[0] for same in takewhile(lambda parts: len(set(parts)) == 1, words))
    labels = {}
    for name in names:
        line = escape.line(name)
        if len(line) > length and shared:
            line = "…" + escape.line(name[len(shared) :])
        if len(line) > length:
            line = f"{line[: length // 2]}…{line[length // 2 + 1 - length :]}"
        labels[name] = line
    return labels


def _layers(graph: nx.DiGraph) -> dict[str, int]:
    """Number the layer of each component; who is called by nobody stands beside whom it calls."""
    groups = nx.condensation(graph)
    depth = {group: layer for layer, found in enumerate(nx.topological_generations(groups)) for group in found}
    for group in groups:
        if not groups.in_degree(group) and groups.out_degree(group):
            depth[group] = min(depth[callee] for callee in groups.successors(group)) - 1
    return {name: depth[groups.graph["mapping"][name]] for name in graph}


def _height(layer: Iterable[Stop]) -> int:
    return sum(_LANE if isinstance(stop, Lane) else _ROW for stop in layer)


def _places(layers: Iterable[Sequence[Stop]], width: float, height: float) -> dict[Stop, _Place]:
    """Stack each layer, in the middle of its column."""
    places = {}
    for column, layer in enumerate(layers):
        left, top = _MARGIN + column * (width + _GAP), _MARGIN + (height - _height(layer)) / 2
        for stop in layer:
            places[stop] = _Place(left, left + width, top + _height([stop]) / 2)
            top += _height([stop])
    return places


def _call(route: Sequence[_Place], *, is_way: bool) -> str:
    """An arrow from the right side of the caller to the left side of the callee; to its right side within a layer."""
    line = f"M{route[0].right:.1f} {route[0].y:.1f}"
    for start, end in pairwise(route):
        x, side = (end.left, -1) if end.left > start.left else (end.right, 1)
        bend = _GAP / 2
        line += f"C{start.right + bend:.1f} {start.y:.1f} {x + side * bend:.1f} {end.y:.1f} {x:.1f} {end.y:.1f}"
        line += f"H{end.right:.1f}" if end is not route[-1] else ""
    way = " way" if is_way else ""
    return f'<path class="call{way}" d="{line}"/><path class="tip{way}" d="M{x:.1f} {end.y:.1f}l{7 * side} -4v8z"/>'


def _box(node: ChartNode, place: _Place, name: str) -> str:
    width = place.right - place.left
    size = f'x="{place.left:.1f}" y="{place.y - _BOX_HEIGHT / 2:.1f}" width="{width:.1f}" height="{_BOX_HEIGHT}" rx="5"'
    middle, standing = place.left + width / 2, _standing(node)
    below = f'<text class="role" x="{middle:.1f}" y="{place.y + 12:.1f}">{standing}</text>' if standing else ""
    return (
        f'<g class="{node.role}"><title>{shown(_about(node))}</title><rect class="box" {size}/>'
        f'<rect class="heat" fill-opacity="{node.suspicion / 2:.2f}" {size}/>'
        f'<text class="name" x="{middle:.1f}" y="{place.y + (-3 if standing else 4):.1f}">{shown(name)}</text>{below}</g>'
    )


def _about(node: ChartNode) -> str:
    return ": ".join(part for part in (node.component, _standing(node)) if part)


def _standing(node: ChartNode) -> str:
    role = {"cause": "likely cause", "affected": "affected"}.get(node.role, "")
    suspicion = f"{node.suspicion * 100:.0f} %" if node.suspicion >= _WORTH_TELLING else ""
    return ", ".join(word for word in (role, suspicion) if word) + (" suspect" if suspicion and not role else "")
