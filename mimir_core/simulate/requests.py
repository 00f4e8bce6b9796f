"""Single requests through the system: who was asked, for how long, and how it ended.

Comes in: a state and the faults behind it. Goes out: trees of :class:`Visit`, from which spans and log lines are made.
Surprise: a caller that waits no longer ends the visit below it too (cancellation travels), so children lie inside parents.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from mimir_core.simulate.dice import Dice
from mimir_core.simulate.effects import Effects, Planted
from mimir_core.simulate.flow import Inputs, State, hit_share
from mimir_core.simulate.names import Role
from mimir_core.simulate.profile import Floats
from mimir_core.simulate.shapes import Timeline

MOST_VISITS = 60
_DEFAULT_TIMEOUT_FACTOR = 6.0


@dataclass
class Visit:
    """One component serves one request. Times in microseconds since the epoch."""

    component: int
    operation: str
    pod: str
    start_us: int
    duration_us: int = 0
    ended: str = "well"
    """``well``, or ``own`` (failed by an ordinary cause), ``fault`` (by a planted one), ``below`` (a call failed), ``early``."""
    calls: list["Call"] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether its caller got an error."""
        return self.ended in ("own", "fault", "below")


@dataclass
class Call:
    """A visit asks another component. ``visit`` is None where the call never arrived."""

    edge: int
    start_us: int
    duration_us: int
    failed: bool
    visit: Visit | None


class Walker:
    """Sends single requests through a recorded state."""

    def __init__(self, dice: Dice, inputs: Inputs, effects: Effects, state: State, planted: list[Planted]) -> None:
        self._dice, self._inputs, self._effects, self._state = dice, inputs, effects, state
        self._faulty = {item.component for item in planted}
        self._edges = [inputs.system.edges_from(number) for number in range(len(inputs.system.components))]
        self._visits_left = 0

    def walk(self, timeline: Timeline, first_row: int, count: int) -> Iterator[Visit]:
        """Yield ``count`` requests in the order of time, evenly over the rows from ``first_row`` on.

        Entries with more traffic are asked more often.
        """
        system, rate = self._inputs.system, self._inputs.profile.rate
        entries = {number: float(rate[number]) ** 0.5 for number in system.entries}
        for at in sorted(self._dice.between(first_row, timeline.rows) for _ in range(count)):
            self._visits_left = MOST_VISITS
            entry = self._dice.weighted(entries)
            yield self._visit(entry, int(at), int((timeline.start + timeline.step * (at - 1)) * 1e6), math.inf)

    def _visit(self, number: int, row: int, start_us: int, left_us: float) -> Visit:
        """Serve one request; it may take ``left_us`` at most."""
        dice, profile, state = self._dice, self._inputs.profile, self._state
        component = self._inputs.system.components[number]
        self._visits_left -= 1
        visit = Visit(number, dice.pick(component.operations), dice.pick(component.pods) if component.pods else "", start_us)
        spread = float(profile.spread[number])
        normal = math.sqrt(-2 * math.log(1 - dice.uniform())) * math.cos(2 * math.pi * dice.uniform())  # Box and Muller, 1958
        own_us = 1000 * float(state.own_ms[number, row]) * math.exp(spread * normal - spread**2 / 2)
        fails = dice.chance(float(state.failing[number, row]))
        early = dice.chance(self._at("early", number, row))
        spent = own_us * dice.between(0.1, 0.6)
        if fails and dice.chance(0.5):
            own_us = spent  # it throws before it calls anybody
        elif not early:
            own_us += self._call_all(visit, row, start_us + int(spent), left_us - spent)
        visit.duration_us = max(1, int(min(own_us, left_us)))
        if fails:
            visit.ended = "fault" if number in self._faulty and dice.chance(self._blame(number, row)) else "own"
        elif early:
            visit.ended = "early"
        elif any(call.failed and dice.chance(self._inputs.system.edges[call.edge].needed) for call in visit.calls):
            visit.ended = "below"
        return visit

    def _call_all(self, visit: Visit, row: int, start_us: int, left_us: float) -> float:
        """Make the calls of a visit one after another and return the microseconds that they took."""
        at = 0.0
        for position in self._edges[visit.component]:
            edge = self._inputs.system.edges[position]
            role = self._inputs.system.components[visit.component].role
            miss = 1.0 if edge.behind is None else 1 - _value(hit_share(self._inputs.profile, self._effects, edge.behind), row)
            for _ in range(max(1, round(edge.calls))):
                if self._visits_left <= 0 or left_us - at <= 0 or not self._dice.chance(min(edge.calls, 1.0) * miss):
                    continue
                call = self._call(position, row, start_us + int(at), left_us - at)
                visit.calls.append(call)
                at += call.duration_us if role is not Role.QUEUE else 0
                if call.failed and self._dice.chance(edge.needed) and not edge.retries:
                    return at
        return at

    def _call(self, position: int, row: int, start_us: int, left_us: float) -> Call:
        edge, dice = self._inputs.system.edges[position], self._dice
        usual = _DEFAULT_TIMEOUT_FACTOR * float(self._inputs.usual_ms[edge.callee])
        allowed = min(1000 * max(edge.timeout_ms, usual), left_us)
        network = 1000 * float(self._state.network_ms[position, row]) * dice.between(0.7, 1.5)
        if dice.chance(float(self._state.lost[position, row])):
            hangs = dice.chance(min(self._at("hang", edge.callee, row), 1.0))
            return Call(position, start_us, max(1, int(allowed if hangs else min(network + 500, allowed))), True, None)
        there = min(network / 2, allowed / 2)
        visit = self._visit(edge.callee, row, start_us + int(there), allowed - 2 * there)
        late = visit.duration_us >= int(allowed - 2 * there)
        failed = late or visit.failed
        return Call(position, start_us, max(1, int(visit.duration_us + 2 * there)), failed, visit)

    def _blame(self, number: int, row: int) -> float:
        """Return the share of a component's failures that its planted fault explains."""
        return self._at("fail", number, row) / max(float(self._state.failing[number, row]), 1e-9)

    def _at(self, channel: str, number: int, row: int) -> float:
        return _value(self._effects.of(channel, number), row)


def _value(values: Floats, row: int) -> float:
    return float(values[row] if len(values) > 1 else values[0])
