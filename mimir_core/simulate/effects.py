"""What a fault does to the components, as data: the table ``faults.yaml`` and the channels through which it acts.

Comes in: a fault of the table, a component and how much of the fault there is at each row. Goes out: :class:`Effects`, what
the flow of requests (``flow.py``) asks for. Surprise: several faults may act on one component; factors multiply, shares add.

Channels that are factors (1: nothing): ``work`` processor time of a request, ``wait`` time of a request, ``surge`` outside
load. Channels that add (0: nothing): ``busy`` processor share beside requests, ``node_busy`` the same on its nodes, ``memory``,
``disk``, ``io``, ``pool`` and ``throttled`` (shares of a limit), ``fail`` (own requests that fail), ``unreachable`` (calls that
never arrive; after the timeout where ``hang`` is 1), ``early`` (requests that return too early and call nobody), ``ready``
(replicas lost), ``restarts`` (a minute), ``link_ms`` and ``loss`` (on all its connections), ``resolve_ms`` and
``resolve_fail`` (on everybody's connections), ``stall_ms``, ``gc_ms`` (a second), ``drain`` (speed of consuming lost), ``miss``
(cache hits lost).
"""

from dataclasses import dataclass, field
from functools import cache
from typing import Literal

import numpy as np
from pydantic import Field

from mimir_core.config import Settings
from mimir_core.records import FaultKind
from mimir_core.simulate.dice import Dice
from mimir_core.simulate.names import Role
from mimir_core.simulate.profile import Floats
from mimir_core.simulate.tables import read_table

Shape = Literal["step", "ramp", "intermittent", "decay"]
FACTORS = frozenset({"work", "wait", "surge"})


class PodState(Settings):
    """What kubectl shows of the pods of a faulty component."""

    status: str = "Running"
    ready: bool = True
    restarts: int = 0
    reason: str = ""
    exit: int = 0
    events: tuple[tuple[str, str, str], ...] = ()


class Fault(Settings):
    """One variant of a fault; ``faults.yaml`` explains the keys."""

    kind: FaultKind
    roles: tuple[Role, ...] = Field(min_length=1)
    shapes: tuple[Shape, ...] = ("step", "step", "ramp", "intermittent")
    moves: dict[str, tuple[float, float] | tuple[float, float, float]]
    says: tuple[str, ...] = ()
    fails: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()
    stack: bool = False
    pod: PodState | None = None
    diffs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Planted:
    """One fault in one component. ``level`` has one value a row, 0 to 1."""

    fault: Fault
    component: int
    onset: float
    level: Floats
    moves: dict[str, float]
    """What each channel gets at level 1."""


@cache
def fault_table() -> dict[FaultKind, tuple[Fault, ...]]:
    """Return the variants of each fault kind; those of ``FaultKind.NONE`` are the harmless ones."""
    return {
        FaultKind.NONE if kind == "harmless" else FaultKind(kind): tuple(
            Fault.model_validate({"kind": "none" if kind == "harmless" else kind, **variant}) for variant in variants
        )
        for kind, variants in read_table("faults").items()
    }


def draw_moves(dice: Dice, fault: Fault, severity: float) -> dict[str, float]:
    """Return the strength of each channel; all grow with ``severity``, 0 to 1.

    A channel whose mildest value is positive grows by a factor, so that small and large values are as likely.
    """
    moves = {}
    for channel, (low, high, *share) in fault.moves.items():
        if share and not dice.chance(share[0]):
            continue
        part = min(max(severity + dice.between(-0.1, 0.1), 0.0), 1.0)
        moves[channel] = low * (high / low) ** part if low > 0 else low + (high - low) * part
    return moves


@dataclass
class Effects:
    """All that acts on a system at each row. What nothing acts on costs nothing."""

    _by: dict[tuple[str, int], Floats] = field(default_factory=dict)

    def plant(self, planted: Planted) -> None:
        """Add a fault."""
        for channel, strength in planted.moves.items():
            key = channel, planted.component
            if channel in FACTORS:
                self._by[key] = self._by.get(key, np.ones(1)) * (1 + (strength - 1) * planted.level)
            else:
                self._by[key] = self._by.get(key, np.zeros(1)) + strength * planted.level

    def of(self, channel: str, component: int) -> Floats:
        """Return what acts on ``component`` through ``channel``: an array of one value, or of one value a row."""
        return self._by.get((channel, component), np.ones(1) if channel in FACTORS else np.zeros(1))

    def total(self, channel: str) -> Floats:
        """Return the sum over all components of a channel that adds."""
        return np.asarray(sum((values for (name, _), values in self._by.items() if name == channel), np.zeros(1)))
