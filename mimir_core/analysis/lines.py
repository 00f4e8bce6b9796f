"""How often something was said before and after the onset.

Comes in: the times at which it was said. Goes out: the counts, the growth of the rate, and whether it is news. Surprises:
counts are what was counted, for people; growth allows for the different length of before and after, for judgement. What
begins shortly before the onset is news too: a cause comes before its effects, and may end with them.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple, Self

from mimir_core.records import Measurement, Window
from mimir_core.telemetry.signals import Statement

_LATE, _VERY_LATE = 0.5, 0.8
"""Share of the time before the onset that must pass before something is first said, for it to begin late."""
_ENOUGH_LINES = 3
"""Fewer lines may begin late by chance, so they must begin very late."""


class LogSpan(NamedTuple):
    """The time that the logs cover, and the onset inside it (None when unknown or outside)."""

    window: Window | None
    onset: datetime | None
    is_seen: bool = True
    """Whether series show the onset; else it is only the time of the alert, and what ended before it is over."""

    @classmethod
    def of(cls, statements: Iterable[Statement], onset: datetime | None, *, is_seen: bool = True) -> Self:
        """Measure the span of all log lines."""
        times = [statement.time for statement in statements if statement.source == "log" and statement.time]
        window = Window(start=min(times), end=max(times)) if times else None
        inside = onset is not None and window is not None and window.start < onset <= window.end
        return cls(window, onset if inside else None, is_seen)


class Growth(NamedTuple):
    """Lines before and after, and by which factor their rate grew; None when there is nothing to compare with."""

    lines: Measurement
    factor: float | None
    begins_late: bool = False
    """Whether it was first said late in the time before the onset."""

    def is_news(self, factor: float) -> bool:
        """Whether its rate grew by ``factor``, or it is new, or there is nothing to compare with."""
        return self.factor is None or self.factor >= factor or self.begins_late


def measure_growth(said: Sequence[Statement], span: LogSpan) -> Growth:
    """Count ``said`` before and after the onset of ``span``.

    The factor is infinite for what was never said before. It is None without an onset, or when a line has no time.
    """
    count = sum(statement.count for statement in said)
    times = [statement.time for statement in said if statement.time]
    if span.onset is None or span.window is None or len(times) < len(said):
        return Growth(Measurement(after=float(count), unit="lines"), None)
    before = sum(statement.count for statement in said if statement.time and statement.time < span.onset)
    after = count - before
    seconds_before = max((span.onset - span.window.start).total_seconds(), 1.0)
    seconds_after = max((span.window.end - span.onset).total_seconds(), 1.0)
    factor = (after / seconds_after) / (before / seconds_before) if before else float("inf")
    quiet_share = (min(times) - span.window.start).total_seconds() / seconds_before
    begins_late = span.is_seen and quiet_share >= (_LATE if len(times) >= _ENOUGH_LINES else _VERY_LATE)
    return Growth(Measurement(before=float(before), after=float(after), unit="lines"), factor, begins_late)
