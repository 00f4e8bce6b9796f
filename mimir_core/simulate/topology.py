"""One system: its components, who calls whom, and on which nodes they run.

Comes in: chance and the bounds of the size. Goes out: a :class:`System`. Surprise: components are numbered so that a caller
comes before what it calls; what leaves the simulator is sorted by name, so the order tells nothing.
"""

import math
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from mimir_core.config import SimulateSettings
from mimir_core.simulate.dice import Dice
from mimir_core.simulate.names import Namer, Role


@dataclass(frozen=True)
class Component:
    """Something that has a name in telemetry."""

    name: str
    role: Role
    nodes: tuple[int, ...]
    """The node of each replica; empty for what is managed elsewhere."""
    pods: tuple[str, ...]
    operations: tuple[str, ...]


@dataclass(frozen=True)
class Edge:
    """One component calls another, or hands it messages."""

    caller: int
    callee: int
    calls: float
    """Calls for each request of the caller."""
    is_async: bool
    timeout_ms: float
    retries: int
    needed: float
    """Share of failed calls that fail the caller's request."""
    network_ms: float
    behind: int | None
    """The cache whose misses lead to these calls."""


@dataclass(frozen=True)
class System:
    """A topology with its names."""

    name: str
    shape: str
    namespace: str
    components: tuple[Component, ...]
    edges: tuple[Edge, ...]
    nodes: tuple[str, ...]
    has_client_spans: bool
    has_store_spans: bool
    """Whether databases, caches and queues write spans of their own; partners never do."""

    @cached_property
    def entries(self) -> list[int]:
        """Components that outside traffic reaches."""
        called = {edge.callee for edge in self.edges}
        return [
            number
            for number, component in enumerate(self.components)
            if number not in called and component.role in (Role.GATEWAY, Role.SERVICE)
        ]

    def edges_from(self, number: int) -> list[int]:
        """Numbers of the edges that start at a component."""
        return self._ends[number][0]

    def edges_to(self, number: int) -> list[int]:
        """Numbers of the edges that end at a component."""
        return self._ends[number][1]

    @cached_property
    def _ends(self) -> list[tuple[list[int], list[int]]]:
        ends: list[tuple[list[int], list[int]]] = [([], []) for _ in self.components]
        for number, edge in enumerate(self.edges):
            ends[edge.caller][0].append(number)
            ends[edge.callee][1].append(number)
        return ends


_SHAPES = {"chain": 1.0, "tree": 2.0, "mesh": 3.0, "hub": 1.5, "star": 1.5, "halves": 1.0}
_CALLS, _CALLS_OF_STORES = (0.3, 0.6, 1.0, 1.0, 1.0, 2.0), (0.5, 1.0, 1.0, 2.0, 4.0)
_CALLS_OF_A_REQUEST = 4.0
_BASE_TIMEOUTS = (1000.0, 2000.0, 3000.0, 5000.0, 10000.0, 30000.0)


def draw_system(dice: Dice, settings: SimulateSettings) -> System:
    """Draw a system of ``settings.min_components`` to ``settings.max_components`` components.

    Sizes are lognormal around ``settings.usual_components``: most are small, some are large.
    """
    wanted = settings.usual_components * math.exp(float(dice.rng.normal(0.0, 0.75)))
    size = round(min(max(wanted, settings.min_components), settings.max_components))
    namer = Namer(dice)
    shape = dice.weighted(_SHAPES)
    services = max(3, round(size * dice.between(0.55, 0.8)))
    links = _shape_links(dice, shape, services)
    called = {callee for _, callee in links}
    roles = [
        Role.GATEWAY if number not in called and (shape == "star" or dice.chance(0.7)) else Role.SERVICE
        for number in range(services)
    ]
    stores = _Stores(dice, roles, links)
    stores.add(size - services)
    nodes = _node_names(dice, max(2, round(size / dice.between(2, 8))))
    components = tuple(_component(dice, namer, role, len(nodes)) for role in roles)
    pairs = list(dict.fromkeys(links))
    fan = Counter(caller for caller, _ in pairs)
    edges = tuple(
        _edge(dice, pair, roles, min(1.0, _CALLS_OF_A_REQUEST / fan[pair[0]]), stores.behind.get(pair)) for pair in pairs
    )
    return System(
        name=f"{namer.domain}-{dice.hex(6)}",
        shape=shape,
        namespace=dice.pick(["prod", "default", "live", namer.domain, f"{namer.domain}-prod"]),
        components=components,
        edges=edges,
        nodes=nodes,
        has_client_spans=dice.chance(0.8),
        has_store_spans=dice.chance(0.4),
    )


def _shape_links(dice: Dice, shape: str, count: int) -> list[tuple[int, int]]:
    """Return who calls whom among ``count`` services; callers have the lower number."""
    match shape:
        case "chain":
            skips = [(number, number + 2) for number in range(count - 2) if dice.chance(0.15)]
            return [(number, number + 1) for number in range(count - 1)] + skips if count < 9 else _combs(dice, count)
        case "tree":
            fan = dice.integer(2, 4)
            return [((number - 1) // fan, number) for number in range(1, count)]
        case "hub":
            hub = max(1, count // 3)
            return (
                [(0, number) for number in range(1, hub)]
                + [
                    pair
                    for number in range(1, count)
                    if number != hub
                    for pair in [(number, hub) if number < hub else (hub, number)]
                ]
                + ([(0, hub)] if hub == 1 else [])
            )
        case "star":
            cross = [(one, other) for one in range(1, count) for other in range(one + 1, count) if dice.chance(0.5 / count)]
            return [(0, number) for number in range(1, count)] + cross
        case "halves":
            half = count // 2
            return _mesh(dice, 0, half) + _mesh(dice, half, count)
    return _mesh(dice, 0, count)


def _combs(dice: Dice, count: int) -> list[tuple[int, int]]:
    """A long chain would take seconds for each request: several chains of at most eight behind one entry."""
    length = dice.integer(4, 8)
    return [((number - 1) if (number - 1) % length else 0, number) for number in range(1, count)]


def _mesh(dice: Dice, first: int, end: int) -> list[tuple[int, int]]:
    """Layers in which each service calls some of the next layer and few of the one after."""
    depth = min(dice.integer(3, 5), end - first)
    borders = [first] + [first + max(layer, (end - first) * layer // depth) for layer in range(1, depth)] + [end]
    borders[1] = min(borders[1], first + dice.integer(1, 2))
    layers = [list(range(low, high)) for low, high in pairwise(borders)]
    layers = [layer for layer in layers if layer]
    links = []
    for upper, lower in pairwise(layers):
        links += [(dice.pick(upper), callee) for callee in lower]
        links += [(caller, callee) for caller in upper for callee in dice.sample(lower, dice.integer(0, 2))]
    for upper, lower in zip(layers[:-2], layers[2:], strict=True):
        links += [(caller, dice.pick(lower)) for caller in upper if dice.chance(0.15)]
    return list(dict.fromkeys(links))


class _Stores:
    """Adds what services stand on. Works on the lists of roles and links that it is given."""

    def __init__(self, dice: Dice, roles: list[Role], links: list[tuple[int, int]]) -> None:
        self._dice, self._roles, self._links = dice, roles, links
        self._services = list(range(len(roles)))
        self.behind: dict[tuple[int, int], int] = {}

    def add(self, count: int) -> None:
        """Add ``count`` queues, workers, caches, databases, partners, jobs and perhaps the resolver of names."""
        dice = self._dice
        kinds = [Role.DATABASE]
        while len(kinds) < count:
            kinds += dice.pick(
                [[Role.DATABASE], [Role.DATABASE], [Role.CACHE], [Role.QUEUE, Role.WORKER], [Role.EXTERNAL], [Role.JOB]]
            )
        kinds += [Role.DNS] if dice.chance(0.35) else []
        order = [Role.JOB, Role.QUEUE, Role.WORKER, Role.CACHE, Role.DATABASE, Role.EXTERNAL, Role.DNS]
        for role in sorted(kinds, key=order.index):
            self._roles.append(role)
            self._link(len(self._roles) - 1, role)
        for number, role in enumerate(self._roles):
            if role in (Role.WORKER, Role.JOB):
                self._links.append((number, dice.pick(self._of(Role.DATABASE))))

    def _link(self, number: int, role: Role) -> None:
        dice, users = self._dice, self._users(role)
        if role is Role.WORKER:
            self._links.append((dice.pick(self._of(Role.QUEUE)), number))
        elif role not in (Role.JOB, Role.DNS):
            self._links.extend((user, number) for user in users)
        if role is Role.DATABASE:
            for user in users:
                cache = next((known for known in self._of(Role.CACHE) if (user, known) in self._links), None)
                if cache is not None:
                    self.behind[user, number] = cache

    def _users(self, role: Role) -> list[int]:
        shared = self._dice.chance(0.3) and role in (Role.DATABASE, Role.CACHE, Role.QUEUE)
        most = min(len(self._services), 12)
        return self._dice.sample(self._services, self._dice.integer(min(3, most), most) if shared else self._dice.integer(1, 2))

    def _of(self, role: Role) -> list[int]:
        return [number for number, known in enumerate(self._roles) if known is role]


def _component(dice: Dice, namer: Namer, role: Role, nodes: int) -> Component:
    name = namer.name(role)
    replicas = dice.pick([1, 1, 2, 2, 3, 4]) if role in (Role.GATEWAY, Role.SERVICE, Role.WORKER, Role.DNS) else 1
    managed = role is Role.EXTERNAL or (role in (Role.DATABASE, Role.CACHE, Role.QUEUE) and dice.chance(0.4))
    plain = "".join(letter if letter.isalnum() else "-" for letter in name.lower()).strip("-").replace("--", "-")
    if role in (Role.DATABASE, Role.QUEUE, Role.CACHE):
        pods = tuple(f"{plain}-{number}" for number in range(replicas))
    else:
        replica_set = dice.pick("456789bcdf") + "".join(dice.pick("bcdf456789") for _ in range(dice.integer(8, 9)))
        pods = tuple(f"{plain}-{replica_set}-{dice.pod_suffix()}" for _ in range(replicas))
    return Component(
        name=name,
        role=role,
        nodes=() if managed else tuple(dice.integer(0, nodes - 1) for _ in range(replicas)),
        pods=() if managed or namer.is_cloud else pods,
        operations=tuple(dict.fromkeys(namer.operation() for _ in range(dice.integer(1, 4)))),
    )


def _edge(dice: Dice, pair: tuple[int, int], roles: list[Role], share: float, behind: int | None) -> Edge:
    """Return the edge between ``pair``; a caller with many callees makes each call in a ``share`` of its requests only."""
    callee = roles[pair[1]]
    is_async = callee is Role.QUEUE or roles[pair[0]] is Role.QUEUE
    fast = callee in (Role.CACHE, Role.DATABASE, Role.QUEUE)
    return Edge(
        caller=pair[0],
        callee=pair[1],
        calls=1.0 if roles[pair[0]] is Role.QUEUE else dice.pick(_CALLS_OF_STORES if fast else _CALLS) * share,
        is_async=is_async,
        timeout_ms=dice.pick(_BASE_TIMEOUTS),
        retries=dice.pick([0, 0, 0, 1, 1, 2]),
        needed=dice.between(0.0, 0.3) if callee is Role.CACHE else dice.pick([0.3, 0.8, 1.0, 1.0, 1.0]),
        network_ms=dice.log_between(15, 60) if callee is Role.EXTERNAL else dice.log_between(0.2, 2.0),
        behind=behind,
    )


def _node_names(dice: Dice, count: int) -> tuple[str, ...]:
    prefix = dice.pick(["node-", "host-", "ip-10-2-0-", "k8s-node-", "vm"])
    return tuple(f"{prefix}{number}" for number in dice.sample(range(1, 250), count))
