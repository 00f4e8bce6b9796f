"""Draws one whole case: a system, an ordinary day, what goes wrong, and what of it somebody recorded.

Comes in: a seed, a number and the settings. Goes out: a :class:`SimulatedCase`. Surprises: the same load and noise are run twice,
with and without the faults, and the truth (victims, signs) is the difference of the two; a draw in which nobody could notice
anything is thrown away and drawn again, more severe.
"""

from dataclasses import dataclass, replace

import numpy as np

from mimir_core.config import SimulateSettings
from mimir_core.records import Verdict
from mimir_core.simulate.alert import Symptom, write_alert
from mimir_core.simulate.case import SimulatedCase, Telemetry, Truth
from mimir_core.simulate.cluster import Cluster
from mimir_core.simulate.dice import Dice
from mimir_core.simulate.effects import Effects
from mimir_core.simulate.flow import Inputs, State, run_flow, usual_times
from mimir_core.simulate.history import draw_history
from mimir_core.simulate.names import Role
from mimir_core.simulate.plan import Plan, Script, draw_plan, draw_script
from mimir_core.simulate.profile import Floats, Profile, draw_profile
from mimir_core.simulate.recorder import Recorder
from mimir_core.simulate.series import Column, Exports, draw_exports, find_moved, record, thinned
from mimir_core.simulate.shapes import Timeline, draw_drift, draw_load, draw_timeline
from mimir_core.simulate.signals import read_signals
from mimir_core.simulate.topology import System, draw_system

_TRIES = 12
_EXPORT_TRIES = 8
_FEWEST_COLUMNS = 3
_SLOWER = 1.25
_MORE_ERRORS = 0.01
_OTHER_RATE = 0.25
_NOTICED_SLOWER, _NOTICED_ERRORS = 1.5, 0.02


@dataclass(frozen=True)
class _World:
    """One system on one day, with and without what goes wrong."""

    system: System
    profile: Profile
    timeline: Timeline
    inputs: Inputs
    plan: Plan
    quiet: State
    troubled: State

    @property
    def first_row(self) -> int:
        """The first row after the onset."""
        return int(np.searchsorted(self.timeline.times, self.timeline.onset))


def draw_case(seed: int, number: int, settings: SimulateSettings) -> SimulatedCase:
    """Return case ``number`` of ``seed``; it does not depend on any other case."""
    dice = Dice(np.random.default_rng([seed, number]))
    world, symptoms = _draw_noticed_world(dice, settings)
    plan, system, timeline = world.plan, world.system, world.timeline
    hidden = _draw_hidden(dice, world)
    exports, signals, signs = _draw_exports(dice, world, hidden, settings.complete_share)
    recorder = Recorder(dice, system, settings, hidden, needs_requests=plan.verdict is Verdict.CAUSE_FOUND and not signs)
    changes, blamed = draw_history(dice, system, timeline, list(plan.faults))
    shows_changes = plan.verdict is not Verdict.UNDETERMINED and dice.chance(0.7 if blamed else 0.35)
    is_over = plan.verdict is Verdict.HEALTHY and dice.chance(0.6)
    effects, happening = plan.effects(with_faults=True), list(plan.faults + plan.herrings)
    telemetry = Telemetry(
        record(dice, thinned(dice, exports), signals, world.profile.spread, timeline),
        *recorder.record(world.inputs, effects, world.troubled, timeline, happening),
    )
    signs = [column for column in signs if column.name in telemetry.metrics]
    return SimulatedCase(
        name=f"sim-{seed}-{number:04d}",
        alert=write_alert(dice, system, symptoms, timeline.alert, timeline.alert + dice.between(60, 600) if is_over else None),
        telemetry=telemetry,
        baseline=_draw_baseline(dice, world, exports, recorder) if dice.chance(0.35) else None,
        graph=_graph(system, hidden) if dice.chance(0.5) else None,
        kubectl=Cluster(dice, system, list(plan.faults), timeline, hidden).render() if dice.chance(0.45) else {},
        changes=changes if shows_changes else None,
        truth=_tell_truth(world, signs, seed, blamed if shows_changes else None),
    )


# --- what happens -----------------------------------------------------------------------------------------------


def _draw_noticed_world(dice: Dice, settings: SimulateSettings) -> tuple[_World, list[Symptom]]:
    """Draw worlds until a rule would have fired; each try is at least as severe as the last.

    What shall happen is drawn once, so that faults which are seldom noticed are not drawn less often.
    """
    script = draw_script(dice, settings)
    for attempt in range(_TRIES):
        world = _draw_world(dice, settings, script, max(settings.least_severity, attempt / _TRIES))
        if symptoms := _draw_symptoms(dice, world):
            return world, symptoms
    bystanders = [number for number in range(len(world.system.components)) if number not in world.plan.culprits]
    return world, [Symptom("anything", dice.pick(bystanders))]


def _draw_world(dice: Dice, settings: SimulateSettings, script: Script, severity: float) -> _World:
    plan = None
    while plan is None:
        system, timeline = draw_system(dice, settings), draw_timeline(dice)
        plan = draw_plan(dice, system, timeline, script, severity, settings.max_red_herrings)
    profile = draw_profile(dice, system)
    drift = draw_drift(dice, timeline, len(system.components), dice.between(0.02, 0.12))
    inputs = Inputs(system, profile, draw_load(dice, timeline), drift, timeline.step, usual_times(system, profile))
    quiet = run_flow(inputs, plan.effects(with_faults=False))
    troubled = run_flow(inputs, plan.effects(with_faults=True)) if plan.faults else quiet
    return _World(system, profile, timeline, inputs, plan, quiet, troubled)


def _worst(values: Floats) -> Floats:
    """The level that is passed a fifth of the time: what an intermittent fault shows a rule."""
    return np.asarray(np.quantile(values, 0.8, axis=1))


def _draw_symptoms(dice: Dice, world: _World) -> list[Symptom]:
    """Return what rules noticed: mostly victims near the users, sometimes the culprit, seldom somebody else."""
    if not world.plan.faults:
        return [Symptom(dice.pick(["anything", "latency", "errors", "cpu"]), dice.pick(world.system.entries))]
    after = slice(world.first_row, None)
    slower = _worst(world.troubled.latency_ms[:, after] / world.quiet.latency_ms[:, after])
    errors = _worst(world.troubled.errors[:, after] - world.quiet.errors[:, after])
    noticed = [
        Symptom("errors" if errors[number] > _NOTICED_ERRORS else "latency", number)
        for number, component in enumerate(world.system.components)
        if component.role not in (Role.JOB, Role.DNS, Role.EXTERNAL)
        and not (number in world.plan.culprits and world.plan.verdict is Verdict.UNDETERMINED)
        and (slower[number] > _NOTICED_SLOWER or errors[number] > _NOTICED_ERRORS)
    ]
    own = _own_symptoms(dice, world) if world.plan.verdict is Verdict.CAUSE_FOUND else []
    near_users = [symptom for symptom in noticed if symptom.component in world.system.entries]
    pools = {0: near_users, 1: noticed, 2: own}
    first = next((pool for pool in [pools[dice.weighted({0: 5.0, 1: 2.5, 2: 2.5})], near_users, noticed, own] if pool), [])
    if not first:
        return []
    chosen = [dice.pick(first)]
    chosen += dice.sample([symptom for symptom in noticed if symptom not in chosen], dice.pick([0, 0, 0, 1, 2]))
    return chosen


def _own_symptoms(dice: Dice, world: _World) -> list[Symptom]:
    """What a rule on a culprit's own resources would have noticed."""
    channels = {
        "cpu": ("busy", "work"),
        "memory": ("memory",),
        "disk": ("disk", "io"),
        "replicas": ("ready", "restarts"),
        "backlog": ("drain",),
        "traffic_drop": ("surge", "early"),
    }
    found = []
    for item in world.plan.faults:
        names = [what for what, known in channels.items() if any(item.moves.get(channel, 0) > 0.3 for channel in known)]
        if names:
            is_job = world.system.components[item.component].role is Role.JOB
            found.append(Symptom("stale" if is_job else dice.pick(names), item.component))
    return found


# --- what of it is recorded -------------------------------------------------------------------------------------


def _draw_hidden(dice: Dice, world: _World) -> frozenset[int]:
    """Return what nobody monitors: in undetermined cases the culprit, half of the time with all that it touched."""
    if world.plan.verdict is not Verdict.UNDETERMINED:
        return frozenset()
    return frozenset(world.plan.culprits) | (find_victims(world) if dice.chance(0.5) else frozenset())


def _draw_exports(
    dice: Dice, world: _World, hidden: frozenset[int], complete_share: float
) -> tuple[Exports, dict[str, Floats], list[Column]]:
    """Return what is exported, the true signals, and the columns in which the culprits show.

    A culprit that shows in no column gets a few more draws; then requests have to tell of it.
    """
    quiet, troubled = (world.plan.effects(with_faults=with_faults) for with_faults in (False, True))
    for _ in range(_EXPORT_TRIES):
        exports = draw_exports(dice, world.system, world.timeline, hidden, complete_share)
        signals = read_signals(world.inputs, troubled, world.troubled, exports.sees_lost)
        before = read_signals(world.inputs, quiet, world.quiet, exports.sees_lost)
        signs = [column for column in find_moved(exports, before, signals, world.first_row) if _is_about(column, world)]
        if len(exports.columns) >= _FEWEST_COLUMNS and (signs or world.plan.verdict is not Verdict.CAUSE_FOUND):
            break
    return exports, signals, signs


def _is_about(column: Column, world: _World) -> bool:
    """Whether a column tells of a culprit: its own, or of calls from or to it."""
    if column.signal.startswith("node_"):
        return False
    if column.signal.startswith("edge_"):
        edge = world.system.edges[column.row]
        return edge.callee in world.plan.culprits or edge.caller in world.plan.culprits
    return column.row in world.plan.culprits


def _draw_baseline(dice: Dice, world: _World, exports: Exports, recorder: Recorder) -> Telemetry:
    """Return a quiet stretch of another day: the same system, other load and noise, slightly other columns."""
    earlier = int(dice.integer(1, 14) * 86_400 + dice.between(-20_000, 20_000))
    timeline = replace(world.timeline, start=world.timeline.start - earlier, rows=dice.integer(30, 600))
    drift = draw_drift(dice, timeline, len(world.system.components), dice.between(0.02, 0.12))
    inputs = replace(world.inputs, load=draw_load(dice, timeline), drift=drift)
    effects = Effects()
    state = run_flow(inputs, effects)
    signals = read_signals(inputs, effects, state, exports.sees_lost)
    return Telemetry(
        record(dice, thinned(dice, exports), signals, world.profile.spread, timeline),
        *recorder.record(inputs, effects, state, timeline, []),
    )


def _graph(system: System, hidden: frozenset[int]) -> list[tuple[str, str]]:
    return sorted(
        (system.components[edge.caller].name, system.components[edge.callee].name)
        for edge in system.edges
        if not hidden & {edge.caller, edge.callee}
    )


# --- the truth --------------------------------------------------------------------------------------------------


def find_victims(world: _World) -> frozenset[int]:
    """Return the components that the faults slowed, failed or starved: a fifth of the time or more, beside the culprits."""
    after, quiet, troubled = slice(world.first_row, None), world.quiet, world.troubled
    slower = _worst(troubled.latency_ms[:, after] / quiet.latency_ms[:, after]) > _SLOWER
    failing = _worst(troubled.errors[:, after] - quiet.errors[:, after]) > _MORE_ERRORS
    usual = np.maximum(quiet.served[:, after], 1e-6)
    other_rate = _worst(np.abs(troubled.served[:, after] - quiet.served[:, after]) / usual) > _OTHER_RATE
    return frozenset(np.flatnonzero(slower | failing | other_rate).tolist()) - frozenset(world.plan.culprits)


def _tell_truth(world: _World, signs: list[Column], seed: int, blamed: str | None) -> Truth:
    plan, components, start = world.plan, world.system.components, world.timeline.start
    names = [(components[item.component].name, item) for item in plan.faults]
    story = [
        f"{name}: {item.fault.kind} from minute {(item.onset - start) / 60:.0f} of the data, {item.moves}."
        for name, item in names
    ]
    if plan.verdict is Verdict.UNDETERMINED:
        story.append("Nothing that was recorded tells of it.")
    return Truth(
        verdict=plan.verdict,
        causes=tuple((name, item.fault.kind) for name, item in names) if plan.verdict is Verdict.CAUSE_FOUND else (),
        story=" ".join(story) or "Nothing was wrong.",
        onset=plan.faults[0].onset if plan.faults else None,
        change=blamed,
        victims=tuple(sorted(components[number].name for number in find_victims(world))),
        signs=tuple(sorted({column.name for column in signs})),
        red_herrings=tuple(
            f"{components[item.component].name}: {', '.join(item.moves) or 'lines'}, minute {(item.onset - start) / 60:.0f}"
            for item in plan.herrings
        ),
        system=world.system.name,
        seed=seed,
    )
