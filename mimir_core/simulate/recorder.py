"""Spans and log lines of a stretch of time, as a system with certain habits records them."""

import pandas as pd

from mimir_core.config import SimulateSettings
from mimir_core.simulate.dice import Dice
from mimir_core.simulate.effects import Effects, Planted
from mimir_core.simulate.flow import Inputs, State
from mimir_core.simulate.lines import Line, Writer
from mimir_core.simulate.requests import MOST_VISITS, Walker
from mimir_core.simulate.shapes import Timeline
from mimir_core.simulate.spans import to_spans
from mimir_core.simulate.topology import System

_FEWEST_REQUESTS = 20
_SPANS_OF_A_VISIT = 2


class Recorder:
    """Whether a system has traces and logs, how many, and from how long before the alert."""

    def __init__(
        self, dice: Dice, system: System, settings: SimulateSettings, hidden: frozenset[int], *, needs_requests: bool
    ) -> None:
        self._dice, self._system, self._settings, self._hidden = dice, system, settings, hidden
        self._has_traces, self._has_logs = dice.chance(0.6) or needs_requests, dice.chance(0.7) or needs_requests
        self._share = dice.log_between(0.15, 1.0)
        self._seconds = dice.log_between(900, 7200)
        self._writer = Writer(dice, system, hidden)

    def record(
        self, inputs: Inputs, effects: Effects, state: State, timeline: Timeline, planted: list[Planted]
    ) -> tuple[pd.DataFrame | None, list[Line] | None]:
        """Return spans and lines; None for what the system does not record."""
        if not (self._has_traces or self._has_logs):
            return None, None
        first_row = max(1, timeline.rows - int(self._seconds / timeline.step))
        asked = inputs.profile.rate[self._system.entries].sum()
        visits_of_a_request = min(float(inputs.profile.rate.sum() / asked), MOST_VISITS)
        count = max(_FEWEST_REQUESTS, int(self._share * self._settings.max_spans / _SPANS_OF_A_VISIT / visits_of_a_request))
        walker = Walker(self._dice, inputs, effects, state, planted)
        requests = [(self._dice.hex(32), visit) for visit in walker.walk(timeline, first_row, count)]
        spans = to_spans(self._system, requests, self._hidden, self._settings.max_spans) if self._has_traces else None
        lines = self._writer.write(requests, planted, timeline, self._settings.max_log_lines) if self._has_logs else None
        return (None if spans is None or spans.empty else spans), lines or None
