"""What moved, what was lost, what became slow, what broke off -> whom each of it speaks against, and how strongly.

Comes in: the findings of the other modules about one incident. Goes out: one :class:`Suspicion` for each finding that says
something. Method: each kind of finding has its own scale and is squashed to a strength in [0, 1) by x / (x + half), where
``half`` is the finding that is worth one half; a call that is slow speaks against the end whose other calls are slow too.
Surprise: strengths, not ranks, are fused later, because a signal that shows nothing must not vote.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

from mimir_core.analysis.flow import FAILURES, LATENCY, Loss
from mimir_core.analysis.levels import Shift
from mimir_core.analysis.log_changes import Finding
from mimir_core.analysis.mentions import Mention
from mimir_core.analysis.signs import MetricFamily
from mimir_core.analysis.trace_shape import END, START, Break
from mimir_core.analysis.trace_times import Slowness
from mimir_core.config import SuspectSettings
from mimir_core.records import Direction, FaultKind
from mimir_core.telemetry.signals import Calls

_PILED_UP = (FaultKind.DATABASE, FaultKind.QUEUE)
"""Connections and messages pile up where a callee is slow."""
_OUT_OF_BOUNDS = 0.5
"""A level from this strength on is far out of bounds."""


class Suspicion(NamedTuple):
    """One reason to suspect one component."""

    component: str
    signal: str
    """Which signal shows it: ``level``, ``flow``, ``traffic``, ``time``, ``shape``, ``log`` or ``mention``."""
    fault_kind: FaultKind
    strength: float
    """In [0, 1)."""
    finding: object
    """What was found, for the evidence that is made of it."""


def squash(amount: float, half: float) -> float:
    """Return ``amount`` on a scale from 0 to 1, where ``half`` is one half.

    >>> squash(2.0, 2.0), squash(0.0, 2.0)
    (0.5, 0.0)
    """
    return amount / (amount + half) if amount > 0 else 0.0


def suspect_levels(
    shifts: Iterable[Shift],
    shared: Collection[str],
    family_of: Callable[[str], MetricFamily | None],
    settings: SuspectSettings,
) -> list[Suspicion]:
    """Suspect who takes more of a resource.

    What users feel (latency, errors) is what is to be explained, and left out; so is what components share, a machine.
    """
    found = []
    for shift in shifts:
        family = family_of(shift.metric)
        if not shift.excess or family is None or family.felt or family.fault is FaultKind.TRAFFIC or shift.metric in shared:
            continue
        direction = Direction.UP if shift.excess > 0 else Direction.DOWN
        if direction is family.bad:
            strength = squash(abs(shift.excess), settings.level_half)
            found.append(Suspicion(shift.component, "level", family.fault, strength, shift))
    return found


def suspect_losses(losses: Iterable[Loss], settings: SuspectSettings) -> list[Suspicion]:
    """Suspect who loses time or requests that no callee explains."""
    half = {LATENCY: settings.latency_half, FAILURES: settings.failures_half}
    fault = {LATENCY: FaultKind.LATENCY, FAILURES: FaultKind.DEPENDENCY}
    return [Suspicion(loss.component, "flow", fault[loss.kind], squash(loss.share, half[loss.kind]), loss) for loss in losses]


def suspect_unmeasured(losses: Sequence[Suspicion], calls: Calls, settings: SuspectSettings) -> list[Suspicion]:
    """Suspect whose own loss nobody measures, where all who call it lose: the more of them, the surer.

    The mean of what its callers are suspected of, times how likely one common cause is rather than a fault in each of them:
    a single caller is more likely at fault itself, and each further one adds to the odds.

    Args:
        losses: What :func:`suspect_losses` found, steady components too.
        calls: Who calls whom.
        settings: The ``suspects`` section.
    """
    found = []
    for fault in dict.fromkeys(item.fault_kind for item in losses):
        measured = {item.component: item for item in losses if item.fault_kind is fault}
        callers: dict[str, list[Suspicion]] = {}
        for caller, callee in sorted(calls):
            if caller in measured and callee not in measured:
                callers.setdefault(callee, []).append(measured[caller])
        for callee, lost in callers.items():
            worst = max(lost, key=lambda item: item.strength)
            odds = settings.common_cause ** (len(lost) - 1)
            strength = fmean(item.strength for item in lost) * squash(odds, settings.own_fault)
            if strength > 0:
                found.append(Suspicion(callee, "flow", fault, strength, worst.finding))
    return found


def suspect_traffic(
    shifts: Iterable[Shift], entries: Collection[str], family_of: Callable[[str], str | None], settings: SuspectSettings
) -> list[Suspicion]:
    """Suspect the world outside, at the entries where it sends more requests; nobody inside could make them do so."""
    found = []
    for shift in shifts:
        if shift.component in entries and family_of(shift.metric) == "traffic" and shift.before > 0:
            more = (shift.after - shift.before - shift.noise) / shift.before
            if more > 0:
                strength = squash(more, settings.traffic_half)
                found.append(Suspicion(shift.component, "traffic", FaultKind.TRAFFIC, strength, shift))
    return found


def explain(suspicions: Sequence[Suspicion], calls: Calls) -> list[Suspicion]:
    """Return ``suspicions`` less what others explain.

    What a caller loses, and what piles up there meanwhile, is explained by a callee that is suspected itself, whichever signal
    shows it. What moves behind an entry is explained by the requests that come in from outside.
    """
    suspected = fuse(suspicions)
    callees: dict[str, set[str]] = {}
    for caller, callee in calls:
        if caller != callee:
            callees.setdefault(caller, set()).add(callee)
    outside: dict[str, float] = {}
    for item in suspicions:
        if item.signal == "traffic":
            for component in {item.component} | reachable(item.component, callees):
                outside[component] = max(outside.get(component, 0.0), item.strength)
    explained = []
    for item in suspicions:
        share = 0.0
        if item.signal == "flow" or (item.signal == "level" and item.fault_kind in _PILED_UP):
            share = max((suspected.get(callee, 0.0) for callee in callees.get(item.component, ())), default=0.0)
        if item.signal in ("flow", "level", "time"):
            share = max(share, outside.get(item.component, 0.0))
        explained.append(item._replace(strength=item.strength * (1 - share)))
    return explained


def reachable(component: str, callees: Mapping[str, Collection[str]]) -> set[str]:
    """Return all that a component calls, and all that those call.

    >>> sorted(reachable("web", {"web": ["cart"], "cart": ["db", "web"]}))
    ['cart', 'db', 'web']
    """
    seen: set[str] = set()
    waiting = [component]
    while waiting:
        for callee in callees.get(waiting.pop(), ()):
            if callee not in seen:
                seen.add(callee)
                waiting.append(callee)
    return seen


def suspect_slowness(slow: Sequence[Slowness], trace_us: float, settings: SuspectSettings) -> list[Suspicion]:
    """Suspect who takes longer by itself, and the ends of slow calls.

    Args:
        slow: Components and calls.
        trace_us: What a trace usually takes.
        settings: The ``suspects`` section.
    """
    half = settings.time_half * trace_us
    own = ((item, item.share * squash(item.excess_us, half)) for item in slow if not item.callee)
    found = [Suspicion(item.component, "time", FaultKind.LATENCY, strength, item) for item, strength in own if strength > 0]
    return found + suspect_calls([item for item in slow if item.callee], FaultKind.NETWORK, half)


def suspect_calls(slow: Sequence[Slowness], fault: FaultKind, half: float) -> list[Suspicion]:
    """Suspect both ends of a slow call, each by how slow all its calls on that side are."""
    found = []
    for end in ("callee", "component"):
        sides: dict[str, list[Slowness]] = {}
        for item in slow:
            sides.setdefault(getattr(item, end), []).append(item)
        for component, calls in sides.items():
            worst = max(calls, key=lambda item: item.excess_us)
            strength = fmean(item.share for item in calls) * squash(sum(item.excess_us for item in calls), half)
            if strength > 0:
                found.append(Suspicion(component, "time", fault, strength, worst))
    return found


def suspect_breaks(breaks: Sequence[Break], calls: Calls, threshold: float, settings: SuspectSettings) -> list[Suspicion]:
    """Suspect whose operations go on differently.

    A call that was made and that nobody answers any more speaks against who used to, and less against the caller. Where an
    operation ends early after a call, who answered is suspected if it changed itself, else the one that ended; the other
    less. Who is called by another that changed is given other work, which explains a part of its change.
    """
    clearest: dict[tuple[str, ...], Break] = {}
    for step in breaks:  # the surest first
        if abs(step.z) >= threshold:
            clearest.setdefault(step[:4], step)
    changed = {step.component for step in clearest.values()}
    found = []
    for step in clearest.values():
        strength = abs(step.after - step.before) * squash(abs(step.z), threshold)
        blamed, other, fault = step.component, step.previous_component, FaultKind.CODE_CHANGE
        if step.answered_by and step.previous == START and step.following == END and step.z > 0:
            blamed, other, fault = step.answered_by, blamed, FaultKind.CRASH
            found.append(Suspicion(other, "shape", FaultKind.DEPENDENCY, strength * settings.shared_blame, step))
        elif step.following == END and step.z > 0 and other != blamed:
            if other in changed:
                blamed, other = other, blamed
            found.append(Suspicion(other, "shape", fault, strength * settings.shared_blame, step))
        elif any(caller in changed for caller, callee in calls if callee == blamed != caller):
            strength *= settings.shared_blame
        found.append(Suspicion(blamed, "shape", fault, strength, step))
    return found


def suspect_log_changes(findings: Iterable[Finding], settings: SuspectSettings) -> list[Suspicion]:
    """Suspect who says something else at a place of its code where nobody deeper in the trace does."""
    return [
        Suspicion(item.component, "log", FaultKind.CODE_CHANGE, squash(item.strength * item.own_share, settings.log_half), item)
        for item in findings
        if item.strength * item.own_share > 0
    ]


def suspect_mentions(mentions: Iterable[Mention], half: float) -> list[Suspicion]:
    """Suspect whom the errors of others name."""
    return [
        Suspicion(item.component, "mention", FaultKind.DEPENDENCY, item.share * squash(item.own, half), item) for item in mentions
    ]


def out_of_bounds(suspicions: Iterable[Suspicion]) -> dict[str, FaultKind]:
    """Return the components with a resource far out of bounds, and what that is: why time and requests are lost there."""
    levels = [item for item in suspicions if item.signal == "level" and item.strength >= _OUT_OF_BOUNDS]
    return {item.component: item.fault_kind for item in sorted(levels, key=lambda item: item.strength)}


def fuse(suspicions: Iterable[Suspicion]) -> dict[str, float]:
    """Return how suspect each component is: noisy-or over the signals of the strongest suspicion of each.

    1 - product(1 - strength) (Pearl, "Probabilistic Reasoning in Intelligent Systems", 1988): separate signals are separate
    reasons, but two series of one signal are not.
    """
    strongest: dict[tuple[str, str], float] = {}
    for item in suspicions:
        key = (item.component, item.signal)
        strongest[key] = max(strongest.get(key, 0.0), item.strength)
    doubt: dict[str, float] = {}
    for (component, _), strength in strongest.items():
        doubt[component] = doubt.get(component, 1.0) * (1 - strength)
    return {component: 1 - left for component, left in sorted(doubt.items(), key=lambda entry: (entry[1], entry[0]))}
