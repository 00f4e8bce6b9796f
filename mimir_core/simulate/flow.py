"""Requests through a system: rates go down the calls, times and failures come back up.

Comes in: a system, its profile, the outside load and the effects of faults. Goes out: a :class:`State`, what is true of every
component and call at each row, before anybody measures it. Surprises: time within a row stands still (each row is a steady
state; only queues remember), and the whole is computed three times, because retries, crowded nodes and full thread pools act
back on what caused them.

The crowding of a server is that of an M/M/1 queue, 1 / (1 - utilisation) (Kleinrock, Queueing Systems I, 1975, 3.2), bounded
at 97 %; the number of requests at a time is Little's law; the backlog of a queue is Lindley's recursion in its reflected form.
"""

from dataclasses import dataclass

import numpy as np

from mimir_core.simulate.effects import Effects
from mimir_core.simulate.names import Role
from mimir_core.simulate.profile import Floats, Profile
from mimir_core.simulate.topology import System

_ROUNDS = 3
_FULL = 0.97
_REFUSED_MS = 1.0
_CROWDED_NODE = 0.85
_UNBOUNDED_MS = 1e9
_PATIENCE = 6.0
"""A timeout that a usual answer comes near would have been raised long ago."""


@dataclass
class State:
    """What is true: arrays of shape (components, rows), (edges, rows) and (nodes, rows)."""

    served: Floats
    """Requests per second that arrive."""
    own_ms: Floats
    """Time of a request without what it waits for."""
    latency_ms: Floats
    failing: Floats
    """Share of requests that fail by the component's own fault."""
    errors: Floats
    """Share of requests that fail."""
    cpu: Floats
    """Share of its limit."""
    threads: Floats
    depth: Floats
    """Messages that wait, in queues."""
    sent: Floats
    """Calls per second, by edge."""
    network_ms: Floats
    lost: Floats
    """Share of calls that never arrive, by edge."""
    call_ms: Floats
    call_errors: Floats
    node_cpu: Floats


@dataclass(frozen=True)
class Inputs:
    """What a run of the flow needs, besides the effects."""

    system: System
    profile: Profile
    load: Floats
    """Outside traffic, around 1; shape (rows,)."""
    drift: Floats
    """Slow noise in the time of requests, around 0; shape (components, rows)."""
    step: float
    usual_ms: Floats
    """Time of a request on an ordinary day, by component."""


def usual_times(system: System, profile: Profile) -> Floats:
    """Return the time of a request in milliseconds, by component, at mean load and without any trouble."""
    count = len(system.components)
    one = Inputs(system, profile, np.ones(1), np.zeros((count, 1)), 60.0, np.full(count, _UNBOUNDED_MS))
    return run_flow(one, Effects()).latency_ms[:, 0]


def run_flow(inputs: Inputs, effects: Effects) -> State:
    """Return the state at each row."""
    count, rows, edges = len(inputs.system.components), len(inputs.load), len(inputs.system.edges)
    flat, by_edge = np.zeros((count, rows)), np.zeros((edges, rows))
    base = inputs.profile.own_ms[:, None] * np.exp(inputs.drift)
    state = State(
        served=flat.copy(),
        own_ms=base.copy(),
        latency_ms=base.copy(),
        failing=flat.copy(),
        errors=flat.copy(),
        cpu=flat.copy(),
        threads=flat.copy(),
        depth=flat.copy(),
        sent=by_edge.copy(),
        network_ms=by_edge.copy(),
        lost=by_edge.copy(),
        call_ms=by_edge.copy(),
        call_errors=by_edge.copy(),
        node_cpu=np.zeros((len(inputs.system.nodes), rows)),
    )
    _connect(inputs, effects, state)
    for _ in range(_ROUNDS):
        _send(inputs, effects, state)
        _work(inputs, effects, state, base)
        _answer(inputs, effects, state)
    return state


def _connect(inputs: Inputs, effects: Effects, state: State) -> None:
    """What the network does to each call."""
    resolve_ms, resolve_fail = effects.total("resolve_ms"), effects.total("resolve_fail")
    for number, edge in enumerate(inputs.system.edges):
        ends = (edge.caller, edge.callee)
        state.network_ms[number] = edge.network_ms + resolve_ms * 0.3 + sum(effects.of("link_ms", end) for end in ends)
        arrives = (1 - effects.of("unreachable", edge.callee)).clip(0) * (1 - resolve_fail)
        for end in ends:
            arrives = arrives * (1 - effects.of("loss", end)).clip(0)
        state.lost[number] = 1 - arrives


def _send(inputs: Inputs, effects: Effects, state: State) -> None:
    """Rates, from the callers to the called; a queue hands on what its consumers can take."""
    system, profile = inputs.system, inputs.profile
    rate = np.zeros_like(state.served)
    for number, component in enumerate(system.components):
        surge = effects.of("surge", number)
        if number in system.entries:
            rate[number] = profile.rate[number] * inputs.load * surge
        elif component.role is Role.JOB:
            rate[number] = profile.rate[number] * (1 - effects.of("drain", number)).clip(0)
        elif component.role is Role.DNS:
            rate[number] = profile.rate[number] * inputs.load
        handed = (1 - effects.of("early", number)).clip(0) * rate[number]
        if component.role is Role.QUEUE:
            handed = _hand_on(inputs, effects, state, number, rate[number])
        for position in system.edges_from(number):
            edge = system.edges[position]
            again = sum((state.call_errors[position] ** attempt for attempt in range(1, edge.retries + 1)), np.zeros(1))
            miss = 1.0 if edge.behind is None else 1 - hit_share(profile, effects, edge.behind)
            share = 1.0 if component.role is not Role.QUEUE else 1.0 / len(system.edges_from(number))
            state.sent[position] = handed * edge.calls * share * miss * (1 + again)
            rate[edge.callee] += state.sent[position] * (1 - state.lost[position])
    state.served = rate


def _hand_on(inputs: Inputs, effects: Effects, state: State, queue: int, arriving: Floats) -> Floats:
    """Return messages per second that leave a queue, and remember how many wait."""
    profile, drained = inputs.profile, 1 - effects.of("drain", queue)
    takers = [inputs.system.edges[edge].callee for edge in inputs.system.edges_from(queue)]
    if not takers:
        state.depth[queue] = np.maximum(np.cumsum(arriving * (1 - drained) * inputs.step), 0)
        return arriving * drained
    speed = np.zeros_like(arriving)
    for taker in takers:
        slower = state.latency_ms[taker] / inputs.usual_ms[taker]
        fit = (1 - effects.of("drain", taker)) * (1 - 0.9 * effects.of("ready", taker)) / np.maximum(slower, 0.5)
        speed += profile.rate[taker] * profile.headroom[taker] * np.maximum(fit, 0.0)
    balance = np.concatenate([[0.0], np.cumsum((arriving - speed * drained) * inputs.step)])
    waiting = balance - np.minimum.accumulate(balance)
    state.depth[queue] = waiting[1:]
    return np.asarray(np.maximum(arriving - np.diff(waiting) / inputs.step, 0.0))


def hit_share(profile: Profile, effects: Effects, cache: int) -> Floats:
    """Return the share of lookups that a cache answers."""
    return np.asarray(profile.hits[cache] * (1 - effects.of("miss", cache)).clip(0))


def _work(inputs: Inputs, effects: Effects, state: State, base: Floats) -> None:
    """Processor shares, crowding and own times."""
    profile = inputs.profile
    spare = np.maximum(state.node_cpu - _CROWDED_NODE, 0.0)
    nodes = np.zeros_like(state.node_cpu)
    for number, component in enumerate(inputs.system.components):
        alive = np.maximum(1 - effects.of("ready", number), 0.1)
        asked = profile.cpu[number] * state.served[number] / profile.rate[number] * effects.of("work", number) / alive
        asked = asked + effects.of("busy", number) + 0.2 * effects.of("gc_ms", number) / 1000
        state.cpu[number] = np.minimum(asked, 1.0)
        for node in component.nodes:
            nodes[node] += (0.3 * np.minimum(asked, 1.0) + effects.of("node_busy", number)) / len(component.nodes)
        crowd = asked + (spare[list(component.nodes)].max(axis=0) if component.nodes else 0.0)
        crowding = (1 - min(profile.cpu[number], 0.9)) / (1 - np.clip(crowd, 0.0, _FULL))
        pause = effects.of("stall_ms", number) + 0.15 * effects.of("gc_ms", number) + effects.of("resolve_ms", number)
        state.own_ms[number] = base[number] * crowding * effects.of("wait", number) + pause
        fails = effects.of("fail", number) + effects.of("resolve_fail", number)
        refused = np.where(asked > 1, 1 - 1 / np.maximum(asked, 1), 0.0)
        state.failing[number] = 1 - (1 - profile.errors[number]) * (1 - fails).clip(0) * (1 - refused)
    residents = np.array([sum(node in component.nodes for component in inputs.system.components) for node in range(len(nodes))])
    state.node_cpu = np.minimum(0.1 + nodes * (2.0 / np.maximum(residents, 2))[:, None] + nodes * 0.1, 1.0)


def _answer(inputs: Inputs, effects: Effects, state: State) -> None:
    """Times and failures, from the called back to the callers."""
    system, profile = inputs.system, inputs.profile
    for number in range(len(system.components) - 1, -1, -1):
        waited, fine = np.zeros_like(inputs.load), 1 - state.failing[number]
        reaches = (1 - effects.of("early", number)).clip(0)
        for position in system.edges_from(number):
            edge = system.edges[position]
            _call(inputs, effects, state, position)
            if system.components[number].role is Role.QUEUE:
                continue
            calls = min(edge.calls, 1.0)
            miss = 1.0 if edge.behind is None else 1 - hit_share(profile, effects, edge.behind)
            lost = state.call_errors[position] ** (1 + edge.retries)
            attempts = 1 + state.call_errors[position] * (edge.retries > 0)
            waited = waited + edge.calls * miss * reaches * attempts * state.call_ms[position]
            fine = fine * (1 - calls * miss * reaches * edge.needed * lost)
        state.latency_ms[number] = state.own_ms[number] + waited
        usual = profile.threads[number] * inputs.usual_ms[number] * profile.rate[number] / 1000 + 4
        at_once = state.served[number] * state.latency_ms[number] / 1000
        full = np.maximum(at_once / usual, 1.0)
        state.threads[number] = np.minimum(at_once, usual)
        state.errors[number] = 1 - fine / full


def _call(inputs: Inputs, effects: Effects, state: State, position: int) -> None:
    """Time and failures of one call, as its caller sees them. Times are taken as exponential beyond the timeout."""
    edge = inputs.system.edges[position]
    timeout_ms = max(edge.timeout_ms, _PATIENCE * inputs.usual_ms[edge.callee])
    lost, there = state.lost[position], state.latency_ms[edge.callee] + state.network_ms[position]
    late = np.exp(-1.5 * timeout_ms / np.maximum(there, 1e-3))
    hangs = np.minimum(effects.of("hang", edge.callee), 1.0)
    refused_ms = hangs * timeout_ms + (1 - hangs) * (_REFUSED_MS + state.network_ms[position])
    state.call_ms[position] = (1 - lost) * np.minimum(there, timeout_ms) + lost * refused_ms
    state.call_errors[position] = 1 - (1 - lost) * (1 - state.errors[edge.callee]) * (1 - late)
