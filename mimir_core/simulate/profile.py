"""What each component is like on an ordinary day.

Comes in: a system. Goes out: one array a property, one entry a component. The figures are orders of magnitude that an
operator would expect, drawn widely; none of them is measured.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mimir_core.simulate.dice import Dice
from mimir_core.simulate.names import Role
from mimir_core.simulate.topology import System

Floats = NDArray[np.float64]

_OWN_MS = {
    Role.GATEWAY: 4.0,
    Role.SERVICE: 9.0,
    Role.WORKER: 40.0,
    Role.JOB: 400.0,
    Role.DATABASE: 3.0,
    Role.CACHE: 0.6,
    Role.QUEUE: 2.0,
    Role.EXTERNAL: 90.0,
    Role.DNS: 1.0,
}


@dataclass(frozen=True)
class Profile:
    """Ordinary values. Shares are of a limit or of all requests."""

    rate: Floats
    """Requests per second at mean load."""
    own_ms: Floats
    """Time of a request without what it waits for."""
    spread: Floats
    """Standard deviation of the logarithm of a request's time."""
    errors: Floats
    cpu: Floats
    memory: Floats
    memory_mib: Floats
    """The limit of the memory."""
    disk: Floats
    io: Floats
    hits: Floats
    headroom: Floats
    """How many times its mean load a component can serve."""
    threads: Floats
    """Requests at a time, as a multiple of the usual number."""
    replicas: NDArray[np.int64]


def draw_profile(dice: Dice, system: System) -> Profile:
    """Draw a profile; the rates follow from the outside load by the edges."""
    rng, count = dice.rng, len(system.components)
    roles = [component.role for component in system.components]
    rate = np.zeros(count)
    rate[system.entries] = np.exp(rng.uniform(np.log(0.5), np.log(400), len(system.entries)))
    rate[[role is Role.JOB for role in roles]] = 0.2
    hits = np.clip(rng.beta(8, 1.5, count), 0.3, 0.99)
    for number in range(count):
        for edge in system.edges_from(number):
            known = system.edges[edge]
            miss = 1.0 if known.behind is None else 1.0 - hits[known.behind]
            rate[known.callee] += rate[number] * known.calls * miss
    rate[[role is Role.DNS for role in roles]] = rate.sum() * 0.3
    return Profile(
        rate=np.maximum(rate, 0.01),
        own_ms=np.array([_OWN_MS[role] for role in roles]) * np.exp(rng.normal(0.0, 0.6, count)),
        spread=rng.uniform(0.2, 0.7, count),
        errors=np.exp(rng.uniform(np.log(1e-5), np.log(8e-3), count)),
        cpu=rng.uniform(0.05, 0.6, count),
        memory=rng.uniform(0.2, 0.8, count),
        memory_mib=np.exp2(rng.integers(7, 14, count)),
        disk=rng.uniform(0.1, 0.8, count),
        io=rng.uniform(0.01, 0.35, count),
        hits=hits,
        headroom=rng.uniform(1.4, 3.5, count),
        threads=rng.uniform(6.0, 30.0, count),
        replicas=np.array([max(1, len(component.pods)) for component in system.components]),
    )
