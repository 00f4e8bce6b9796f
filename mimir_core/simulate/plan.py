"""What happens in a case: which faults, where, how badly; and what is there only to mislead.

Comes in: a system and the timeline. Goes out: a :class:`Plan`. Nothing here looks at data.
"""

from dataclasses import dataclass

from mimir_core.config import SimulateSettings
from mimir_core.records import FaultKind, Verdict
from mimir_core.simulate.dice import Dice
from mimir_core.simulate.effects import Effects, Planted, draw_moves, fault_table
from mimir_core.simulate.shapes import Timeline, draw_envelope
from mimir_core.simulate.topology import System


@dataclass(frozen=True)
class Plan:
    """What was drawn to happen."""

    verdict: Verdict
    faults: tuple[Planted, ...]
    herrings: tuple[Planted, ...]

    @property
    def culprits(self) -> list[int]:
        """The components that are at fault."""
        return [item.component for item in self.faults]

    def effects(self, with_faults: bool) -> Effects:
        """Return all that acts on the system, or what would without the faults."""
        effects = Effects()
        for item in (*self.herrings, *(self.faults if with_faults else ())):
            effects.plant(item)
        return effects


@dataclass(frozen=True)
class Script:
    """What shall happen, before there is a system for it to happen in."""

    verdict: Verdict
    kinds: tuple[FaultKind, ...]


def draw_script(dice: Dice, settings: SimulateSettings) -> Script:
    """Draw the verdict and the fault kinds; all kinds are equally likely."""
    verdict = dice.weighted(
        {
            Verdict.HEALTHY: settings.healthy_share,
            Verdict.UNDETERMINED: settings.undetermined_share,
            Verdict.CAUSE_FOUND: 1 - settings.healthy_share - settings.undetermined_share,
        }
    )
    if verdict is Verdict.HEALTHY:
        return Script(verdict, ())
    kinds = [kind for kind in FaultKind if kind is not FaultKind.NONE]
    count = 2 if verdict is Verdict.CAUSE_FOUND and dice.chance(settings.two_faults_share) else 1
    return Script(verdict, tuple(dice.pick(kinds) for _ in range(count)))


def draw_plan(  # noqa: PLR0913, PLR0917  # all that decides what happens
    dice: Dice, system: System, timeline: Timeline, script: Script, severity: float, max_red_herrings: int
) -> Plan | None:
    """Draw where and how the script happens; None where the system has no place for it.

    Args:
        dice: Chance.
        system: Where it happens.
        timeline: When.
        script: What happens.
        severity: The least severity, 0 to 1.
        max_red_herrings: How many harmless things happen, at most.
    """
    planter = _Planter(dice, system, timeline)
    faults = [planter.plant(kind, severity) for kind in script.kinds]
    herrings = [planter.plant(FaultKind.NONE, 0.0) for _ in range(dice.integer(0, max_red_herrings))]
    found = [item for item in faults if item]
    if len(found) < len(faults):
        return None
    return Plan(script.verdict, tuple(sorted(found, key=lambda item: item.onset)), tuple(item for item in herrings if item))


class _Planter:
    """Finds a place for each fault; no component gets two."""

    def __init__(self, dice: Dice, system: System, timeline: Timeline) -> None:
        self._dice, self._system, self._timeline = dice, system, timeline
        self._taken: set[int] = set()

    def plant(self, kind: FaultKind, least: float) -> Planted | None:
        """Return a fault of ``kind``, of severity ``least`` to 1, or None where no component can have it."""
        dice, fault = self._dice, self._dice.pick(fault_table()[kind])
        places = [
            number
            for number, component in enumerate(self._system.components)
            if component.role in fault.roles
            and number not in self._taken
            and (kind is not FaultKind.TRAFFIC or number in self._system.entries)
        ]
        if not places:
            return None
        onset, component = self._onset(kind), dice.pick(places)
        self._taken.add(component)
        level = draw_envelope(dice, self._timeline, fault.shapes, onset)
        return Planted(fault, component, onset, level, draw_moves(dice, fault, dice.between(least, 1.0)))

    def _onset(self, kind: FaultKind) -> float:
        """The first fault begins at the onset, a second up to 10 minutes later, what is harmless at any time."""
        dice, timeline = self._dice, self._timeline
        if kind is FaultKind.NONE:
            return timeline.onset if dice.chance(0.3) else dice.between(timeline.start, timeline.end)
        return min(timeline.onset + dice.between(0, 600), timeline.end - 2 * timeline.step) if self._taken else timeline.onset
