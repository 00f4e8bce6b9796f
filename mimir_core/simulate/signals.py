"""What a perfect monitor would read off a state: one array a signal, without noise.

Comes in: a state and the effects behind it. Goes out: signals by name (``metric_names.yaml``), in requests, milliseconds, MiB,
KiB and shares, of shape (components, rows), for calls (edges, rows), for nodes (nodes, rows).
"""

import numpy as np

from mimir_core.simulate.effects import Effects
from mimir_core.simulate.flow import Inputs, State, hit_share
from mimir_core.simulate.names import Role
from mimir_core.simulate.profile import Floats

_Z = {"latency_p50": 0.0, "latency_p95": 1.645, "latency_p99": 2.326}
"""Standard normal quantiles: times of requests are taken as lognormal."""

_RUN_FAILS = 0.5
"""A job that loses more than this share of its speed does not finish."""


def read_signals(inputs: Inputs, effects: Effects, state: State, sees_lost: bool) -> dict[str, Floats]:
    """Return all signals.

    Args:
        inputs: Of the run.
        effects: Of the run.
        state: What came of them.
        sees_lost: Whether requests that never arrive count as errors of the called (a balancer in front of it measures)
            or go unseen (the server measures).
    """
    profile, rows = inputs.profile, len(inputs.load)
    unseen = np.stack([_rows(effects.of("unreachable", number), rows) for number in range(len(inputs.system.components))])
    errors = 1 - (1 - state.errors) * (1 - unseen) if sees_lost else state.errors
    served = state.served / np.maximum(1 - unseen, 0.02) if sees_lost else state.served
    spread = profile.spread[:, None]
    middle = state.latency_ms / np.exp(spread**2 / 2)
    signals = {
        "requests": served,
        "errors": errors,
        "error_share": errors,
        "availability": 1 - errors,
        "latency_mean": state.latency_ms,
        **{name: middle * np.exp(z * spread) for name, z in _Z.items()},
        "cpu": state.cpu,
        "network_out": state.served * profile.own_ms[:, None] * 0.8 + 1,
        "threads": state.threads,
        "queue_depth": state.depth,
        "queue_age": state.depth / np.maximum(state.served, 0.05),
        "edge_latency": state.call_ms,
        "edge_errors": state.call_errors,
        "sent": state.sent,
        "node_cpu": state.node_cpu,
    }
    by_component = [_own(inputs, effects, state, number) for number in range(len(inputs.system.components))]
    signals |= {name: np.stack([_rows(own[name], rows) for own in by_component]) for name in by_component[0]}
    signals["node_memory"] = _node_memory(inputs, signals["memory"])
    return signals


def _own(inputs: Inputs, effects: Effects, state: State, number: int) -> dict[str, Floats]:
    """The signals of one component that follow from its effects; arrays of one value or one a row."""
    profile, busy = inputs.profile, state.threads[number]
    usual = profile.rate[number] * inputs.usual_ms[number] / 1000
    held = 0.25 * busy / np.maximum(usual, 0.05)
    lost = effects.of("loss", number)
    return {
        "memory": profile.memory_mib[number]
        * np.clip(profile.memory[number] + effects.of("memory", number) + 0.02 * np.minimum(held, 8), 0.02, 0.99),
        "restarts": effects.of("restarts", number) * inputs.step / 60,
        "replicas_ready": np.ceil(profile.replicas[number] * (1 - effects.of("ready", number)).clip(0) - 1e-6),
        "disk_used": np.clip(profile.disk[number] + effects.of("disk", number), 0.0, 1.0),
        "disk_io": np.clip(profile.io[number] * inputs.load + effects.of("io", number), 0.0, 1.0),
        "retransmits": 0.02 * np.sqrt(profile.rate[number]) + lost * state.served[number] * 2,
        "connections": 5 + _users_at_once(inputs, state, number) * (1 + 4 * effects.of("pool", number)),
        "pool_used": np.clip(held * 0.6 + 0.05 + effects.of("pool", number), 0.0, 1.0),
        "gc_pause": 2 + 6 * state.cpu[number] + effects.of("gc_ms", number),
        "throttled": np.clip(0.01 + effects.of("throttled", number) + np.maximum(state.cpu[number] - 0.9, 0) * 5, 0.0, 1.0),
        "hit_share": hit_share(profile, effects, number),
        "freshness": _freshness(inputs, effects, number),
        "rows": state.served[number] * profile.memory_mib[number],
    }


def _rows(values: Floats, rows: int) -> Floats:
    return np.broadcast_to(values, (rows,))


def _users_at_once(inputs: Inputs, state: State, number: int) -> Floats:
    """Calls in flight towards a component (Little's law)."""
    edges = inputs.system.edges_to(number)
    return np.asarray(sum((state.sent[edge] * state.call_ms[edge] / 1000 for edge in edges), np.zeros(1)))


def _freshness(inputs: Inputs, effects: Effects, number: int) -> Floats:
    """Seconds since a job last succeeded: a saw tooth, which goes on rising while the job is drained."""
    if inputs.system.components[number].role is not Role.JOB:
        return np.zeros(1)
    period = max(20 * inputs.profile.own_ms[number] / 100, 3 * inputs.step)
    age, ages = 0.0, np.empty(len(inputs.load))
    stuck = np.broadcast_to(effects.of("drain", number) > _RUN_FAILS, ages.shape)
    for row in range(len(ages)):
        age = age + inputs.step if stuck[row] or age < period else 0.0
        ages[row] = age
    return ages


def _node_memory(inputs: Inputs, memory: Floats) -> Floats:
    """Share of each node's memory; a node has half as much again as its residents ask for at most."""
    shares = []
    for node in range(len(inputs.system.nodes)):
        residents = [number for number, component in enumerate(inputs.system.components) if node in component.nodes]
        limit = 1.5 * inputs.profile.memory_mib[residents].sum() + 1024
        shares.append(0.1 + memory[residents].sum(axis=0) / limit if residents else np.full(memory.shape[1], 0.1))
    return np.asarray(np.clip(np.stack(shares), 0.0, 0.99))
