"""Series that one component keeps about its calls of another -> which calls became slow or fail.

Comes in: the shifts of all series. Goes out: one :class:`Slowness` a call, as for spans. A series is about a call when its
name holds the name of another component (``<callee>_call_latency_ms``). Method: the shift beyond the noise, as a share of the
highest usual level of such a series among all calls. Surprise: where the caller and the callee both timed the same call, what
the caller saw beyond the callee's own time is the way between them, and only that is looked at.
"""

import re
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from mimir_core.analysis.counters import is_share
from mimir_core.analysis.levels import Shift
from mimir_core.analysis.trace_times import Slowness
from mimir_core.config import TraceSettings

_SIDES = re.compile(r"[_.]?(client|server)$")


class CallShift(NamedTuple):
    """How a series about a call moved."""

    caller: str
    callee: str
    kind: str
    """The name of the series without the callee's."""
    shift: Shift


class CallNames:
    """Finds the callee in the name of a series; what no name of a series may hold (``a::b``) is written ``__`` there."""

    def __init__(self, components: Collection[str]) -> None:
        self._components = {re.sub(r"[^\w.-]+", "__", name): name for name in components} | {name: name for name in components}
        names = "|".join(re.escape(name) for name in sorted(self._components, key=lambda name: (-len(name), name)) if name)
        self._expression = re.compile(rf"(?<![A-Za-z0-9])({names})(?![A-Za-z0-9])" if names else r"(?!)")

    def split(self, component: str, metric: str) -> tuple[str, str] | None:
        """Return the callee and the name without it; None for a series that is not about a call of another component.

        >>> CallNames(["web", "cart-db"]).split("web", "web_to_cart-db_latency_ms")
        ('cart-db', 'web_to_*_latency_ms')
        """
        for found in self._expression.finditer(metric):
            callee = self._components[found[1]]
            if callee != component:
                return callee, f"{metric[: found.start()]}*{metric[found.end() :]}"
        return None


def find_call_shifts(shifts: Iterable[Shift], names: CallNames) -> list[CallShift]:
    """Return the shifts of the series that are about calls."""
    named = ((shift, names.split(shift.component, shift.metric)) for shift in shifts)
    return [CallShift(shift.component, split[0], split[1], shift) for shift, split in named if split]


def find_slow_calls(
    calls: Iterable[CallShift], family_of: Callable[[str], str | None], family: str, least: float, settings: TraceSettings
) -> list[Slowness]:
    """Return how slow (family ``latency``) each call became, or how often it fails (family ``errors``), the steady ones too.

    ``excess_us`` is in units of the highest usual level among all calls, but at least in units of ``least``.
    """
    timed: dict[tuple[str, str, str], dict[str, Shift]] = {}
    for call in calls:
        if family_of(call.kind) == family:
            side = _SIDES.search(call.kind)
            stem = call.kind[: side.start()] if side else call.kind
            timed.setdefault((stem, call.caller, call.callee), {})[side[1] if side else "client"] = call.shift
    levels = {key: _on_the_way(sides) for key, sides in timed.items() if "client" in sides}
    scale: dict[str, float] = {}
    for (stem, _, _), (before, after, _) in levels.items():
        floor = settings.call_floor_share * abs(after)
        scale[stem] = max(scale.get(stem, 0.0 if is_share(stem, family) else least), abs(before), floor)
    slowest: dict[tuple[str, str], Slowness] = {}
    for (stem, caller, callee), (before, after, noise) in levels.items():
        excess = max(0.0, after - before - noise) / scale[stem] if scale[stem] else 0.0
        is_slow = after > settings.slow_factor * before + noise
        found = Slowness(caller, callee, excess, float(is_slow), before, after, 0)
        if (caller, callee) not in slowest or excess > slowest[caller, callee].excess_us:
            slowest[caller, callee] = found
    return list(slowest.values())


def _on_the_way(sides: dict[str, Shift]) -> tuple[float, float, float]:
    """Level before, level after, noise."""
    client, server = sides["client"], sides.get("server")
    if server is None:
        return client.before, client.after, client.noise
    return max(0.0, client.before - server.before), max(0.0, client.after - server.after), client.noise + server.noise
