"""The signals of an incident and its onset -> whom each of them speaks against.

Comes in: :class:`Signals`. Goes out: suspicions. Each signal is compared with the time before the onset and with a recording
without faults, where there is one. Surprises: where a signal was recorded only during the incident and without a reference,
it cannot speak; known earlier incidents are cut out of the time before.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property

import numpy as np
import pandas as pd

from mimir_core.analysis.call_metrics import CallNames, find_call_shifts, find_slow_calls
from mimir_core.analysis.counters import find_counters, rates_of
from mimir_core.analysis.flow import find_losses
from mimir_core.analysis.levels import Shift, find_shifts, shared_metrics
from mimir_core.analysis.log_changes import compare_recordings
from mimir_core.analysis.log_steps import LogLine, Recording, Vocabulary, split_recording
from mimir_core.analysis.mentions import Complaints, find_complaints, find_mentions
from mimir_core.analysis.signs import MetricFamily, SignTable
from mimir_core.analysis.span_tree import NO_PARENT, calls_in, join_traces, link_spans, split_traces
from mimir_core.analysis.suspects import (
    Suspicion,
    explain,
    suspect_breaks,
    suspect_calls,
    suspect_levels,
    suspect_log_changes,
    suspect_losses,
    suspect_mentions,
    suspect_slowness,
    suspect_traffic,
    suspect_unmeasured,
)
from mimir_core.analysis.templates import TemplateGroups
from mimir_core.analysis.trace_shape import find_breaks
from mimir_core.analysis.trace_times import find_slowness
from mimir_core.config import CulpritSettings
from mimir_core.records import FaultKind, Window
from mimir_core.telemetry.signals import Calls, Signals, Statement


@dataclass(frozen=True)
class Investigation:
    """One incident, prepared once and asked for several onsets."""

    signals: Signals
    table: SignTable
    settings: CulpritSettings

    def suspicions_at(self, onset: datetime) -> list[Suspicion]:
        """Return whom each signal speaks against if the fault began at ``onset``."""
        found = [*self.metric_suspicions(onset), *self.trace_suspicions(onset), *self.log_suspicions(onset)]
        return explain(found, self.calls)

    @cached_property
    def calls(self) -> Calls:
        """Who calls whom: as the case says, as its spans show, and as the names of its series tell."""
        split = ((column[0], self._call_names.split(column[0], column[1])) for column in self.signals.metrics.columns)
        in_names = {(caller, found[0]) for caller, found in split if found}
        return self.signals.calls | calls_in(self._linked) | calls_in(self._linked_reference) | in_names

    @cached_property
    def traced(self) -> Window | None:
        """From a little before the first span to the last one; None where no spans were recorded."""
        starts = self.signals.spans["start_us"]
        if starts.empty:
            return None
        first, last = (datetime.fromtimestamp(int(time) / 1e6, UTC) for time in (starts.min(), starts.max()))
        return Window(start=first - timedelta(seconds=self.settings.fault_lead_seconds), end=last)

    @cached_property
    def is_disturbed(self) -> np.ndarray:
        """Of each row whether a known earlier incident may still show in it."""
        index = self.signals.metrics.index
        disturbed = np.zeros(len(index), dtype=bool)
        lead, trail = (timedelta(seconds=s) for s in (self.settings.fault_lead_seconds, self.settings.fault_seconds))
        for fault in self.signals.earlier_faults:
            disturbed |= np.asarray((index >= pd.Timestamp(fault - lead)) & (index <= pd.Timestamp(fault + trail)))
        return disturbed

    def metric_suspicions(self, onset: datetime, first_row: int = 0) -> Iterator[Suspicion]:
        """Yield what the series say, from a row on."""
        metrics, usual = self.metrics.iloc[first_row:], self._usual
        if metrics.empty:
            return
        is_after = np.asarray(metrics.index >= pd.Timestamp(onset))
        is_before = ~is_after & ~self.is_disturbed[first_row:]
        shifts = find_shifts(metrics, is_before, is_after, usual, self.settings.levels)
        own = [shift for shift in shifts if not self._call_names.split(shift.component, shift.metric)]
        yield from suspect_levels(own, self._shared, self._family_of, self.settings.suspects)
        yield from suspect_traffic(own, self._entries, self._family_name, self.settings.suspects)
        calls = find_call_shifts(shifts, self._call_names)
        few_errors = self.settings.suspects.failures_half * self._asked_from_outside(own)
        for family, fault, least in (("latency", FaultKind.NETWORK, 0.0), ("errors", FaultKind.DEPENDENCY, few_errors)):
            slow = find_slow_calls(calls, self._family_name, family, least, self.settings.traces)
            yield from suspect_calls(slow, fault, self.settings.suspects.level_half)
        compared = metrics[is_before] if usual.empty else usual
        losses = find_losses(metrics, is_after, compared, self.calls, self._call_names, self._family_name, self.settings.flow)
        lost = suspect_losses(losses, self.settings.suspects)
        yield from [*lost, *suspect_unmeasured(lost, self.calls, self.settings.suspects)]

    def _asked_from_outside(self, shifts: Iterable[Shift]) -> float:
        """How many requests the entries usually get, by the series that most components have; 0 where nothing is known."""
        requests = [shift for shift in shifts if self._family_name(shift.metric) == "traffic"]
        if not requests:
            return 0.0
        (metric, _), *_ = Counter(shift.metric for shift in requests).most_common(1)
        return sum(shift.before for shift in requests if shift.metric == metric and shift.component in self._entries)

    def trace_suspicions(self, onset: datetime) -> Iterator[Suspicion]:
        """Yield what the spans say."""
        before, after = split_traces(self._linked, onset.timestamp() * 1e6)
        reference = join_traces(before, self._linked_reference)
        if after.empty or reference.empty:
            return
        traces, suspects = self.settings.traces, self.settings.suspects
        roots = reference[reference["parent_row"] == NO_PARENT]
        yield from suspect_slowness(find_slowness(after, reference, traces), float(roots["duration_us"].mean()), suspects)
        yield from suspect_breaks(find_breaks(after, reference, traces.min_spans), self.calls, traces.break_z, suspects)

    def log_suspicions(self, onset: datetime) -> Iterator[Suspicion]:
        """Yield what the log lines say; a reference may hold the fault already, so that each is asked by itself."""
        logs, suspects = self.settings.logs, self.settings.suspects
        vocabulary, usual, recording = self._said
        before, after = split_recording(recording, onset.timestamp())
        for reference in (usual, before):
            yield from suspect_log_changes(compare_recordings(vocabulary, reference, after, logs), suspects)
        mentions = find_mentions(*self._complaints, onset.timestamp(), logs.mention_sigmas)
        yield from suspect_mentions(mentions, suspects.mention_half)

    @cached_property
    def _complaints(self) -> tuple[Complaints, Complaints]:
        """Error lines that name another component, of the incident and of the reference."""
        recording, usual = (_log_lines(part.statements) for part in (self.signals, self.signals.reference))
        names = {name for call in self.calls for name in call} | {line.component for line in recording} | self._components
        shortest = self.settings.logs.shortest_name
        return find_complaints(recording, names, shortest), find_complaints(usual, names, shortest)

    @cached_property
    def _said(self) -> tuple[Vocabulary, Recording, Recording]:
        """What the logs say, of the reference and of the incident."""
        vocabulary = Vocabulary(TemplateGroups(self.settings.templates))
        both = [vocabulary.read(_log_lines(part.statements)) for part in (self.signals.reference, self.signals)]
        usual, recording = vocabulary.settle(both, self.settings.logs.entry_share)
        return vocabulary, usual, recording

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """The series of the incident, counters of requests and errors as rates."""
        return rates_of(self.signals.metrics, self._counters)

    @cached_property
    def _usual(self) -> pd.DataFrame:
        return rates_of(self.signals.reference.metrics, self._counters)

    @cached_property
    def _counters(self) -> frozenset[tuple[str, str]]:
        parts = (self.signals.metrics, self.signals.reference.metrics)
        falls = self.settings.counter_falls
        return frozenset(column for part in parts for column in find_counters(part, self._family_name, falls))

    @cached_property
    def _linked(self) -> pd.DataFrame:
        return link_spans(self.signals.spans)

    @cached_property
    def _linked_reference(self) -> pd.DataFrame:
        return link_spans(self.signals.reference.spans)

    @cached_property
    def _family_of(self) -> Callable[[str], MetricFamily | None]:
        return cache(self.table.family_of)

    @cached_property
    def _family_name(self) -> Callable[[str], str | None]:
        return cache(self.table.family_name)

    @cached_property
    def _call_names(self) -> CallNames:
        return CallNames(self._components | {end for call in self.signals.calls for end in call})

    @cached_property
    def _components(self) -> set[str]:
        """Who has series or spans."""
        return {str(name) for name in (*self.signals.metrics.columns.get_level_values(0), *self.signals.spans["component"])}

    @cached_property
    def _entries(self) -> frozenset[str]:
        """Who is called by nobody inside."""
        return frozenset({caller for caller, _ in self.calls} - {callee for caller, callee in self.calls if caller != callee})

    @cached_property
    def _shared(self) -> frozenset[str]:
        return shared_metrics(self.signals.metrics)


def _log_lines(statements: Iterable[Statement]) -> list[LogLine]:
    """The log lines that carry a time, in order of time."""
    said = (
        LogLine(statement.time.timestamp(), statement.component, statement.level, statement.text, statement.trace)
        for statement in statements
        if statement.source == "log" and statement.time
    )
    return sorted(said, key=lambda line: line.time)
