"""Log lines -> steps: which line follows which, inside one trace and component.

Comes in: lines in order of time. Goes out: one :class:`Step` for each line and one for the silence after the last, with when
and in which trace it was made. Steps are the unit in which two recordings can be compared: how often A is followed by B does
not depend on how much or what was asked of the system. Surprises: a line without a trace follows :data:`ANYTHING`, so only
its share among the lines of its component is left; each line is a second step, from :data:`LEVEL`, that tells whether it is
an error.
"""

import re
from array import array
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mimir_core.analysis.logs import ERROR_LEVELS, TemplateMiner
from mimir_core.telemetry.log_text import parse_level

START, END, ANYTHING, LEVEL = -1, -2, -3, -4
"""What stands where no group of lines does; groups are positive."""
CALM, ERROR = -5, -6
"""What follows :data:`LEVEL`."""

_PREFIX = re.compile(
    r"(?:\[?\d[\d:.,/T+-]*[:/-][\d:.,/T+-]*Z?\]?\s+)*"
    r"(?:\[?(?:TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|SEVERE|CRITICAL|FATAL)\]?:?\s+)?"
)
_EXAMPLE_CHARACTERS = 500


class LogLine(NamedTuple):
    """One line of a log."""

    time: float
    """Unix seconds."""
    component: str
    level: str
    """Lower case; empty where the message alone tells."""
    message: str
    trace: str
    """Empty when unknown."""


class Step(NamedTuple):
    """A component says ``next`` after ``before``: numbers of groups, or the constants above."""

    component: str
    before: int
    next: int


class Recording(NamedTuple):
    """The steps of some lines; arrays of one length, a number for each step that was made."""

    steps: list[Step]
    """The different ones."""
    made: NDArray[np.int32]
    """Which of ``steps``."""
    trace: NDArray[np.int32]
    """Number of the trace, -1 when unknown."""
    since: NDArray[np.float64]
    """Unix seconds of the line before."""
    until: NDArray[np.float64]
    """Unix seconds of the next line, infinite at the end of a trace."""
    repeated: int
    """Lines that were dropped because they are the line before once more, at the same time: it was collected twice."""


class Vocabulary:
    """What was said: groups of lines over all recordings that are to be compared, with an example of each."""

    def __init__(self, miner: TemplateMiner) -> None:
        self._miner = miner
        self._examples: dict[tuple[str, int], str] = {}
        self._errors: set[tuple[str, int]] = set()

    def read(self, lines: Iterable[LogLine]) -> Recording:
        """Turn ``lines`` into steps: about 50 bytes a line, and what is open in each trace."""
        numbers: dict[Step, int] = {}
        traces: dict[str, int] = {}
        last: dict[tuple[int, str], tuple[int, float]] = {}
        made, trace_of, since, until = array("i"), array("i"), array("d"), array("d")
        repeated = 0
        previous: LogLine | None = None

        def make(step: Step, trace: int, begin: float, end: float) -> None:
            made.append(numbers.setdefault(step, len(numbers)))
            trace_of.append(trace)
            since.append(begin)
            until.append(end)

        for line in lines:
            if line == previous:
                repeated += 1
                continue
            previous = line
            group, is_error = self._hear(line)
            trace = traces.setdefault(line.trace, len(traces)) if line.trace else -1
            before, begin = last.get((trace, line.component), (START, line.time)) if line.trace else (ANYTHING, line.time)
            make(Step(line.component, before, group), trace, begin, line.time)
            make(Step(line.component, LEVEL, ERROR if is_error else CALM), trace, begin, line.time)
            if line.trace:
                last[trace, line.component] = group, line.time
        for (trace, component), (group, time) in last.items():
            make(Step(component, group, END), trace, time, float("inf"))
        return Recording(
            list(numbers),
            np.array(made, np.int32),
            np.array(trace_of, np.int32),
            np.array(since, np.float64),
            np.array(until, np.float64),
            repeated,
        )

    def settle(self, recordings: Iterable[Recording], entry_share: float) -> list[Recording]:
        """Return ``recordings`` by the groups that there are after all that was read, as groups may merge.

        A line that a component begins a trace with in at least ``entry_share`` of all cases answers a new request: before it,
        the last request ends.
        """
        settled = [_renumber(one, [self._settle(step) for step in one.steps]) for one in recordings]
        entries = _entries(settled, entry_share)
        ended = []
        for one in settled:
            ends = [step.before > 0 and (step.component, step.next) in entries for step in one.steps]
            steps = [step._replace(next=END) if is_end else step for step, is_end in zip(one.steps, ends, strict=True)]
            until = np.where(np.array(ends, bool)[one.made], np.inf, one.until)
            ended.append(_renumber(one._replace(until=until), steps))
        return ended

    def examples(self) -> dict[tuple[str, int], str]:
        """Return the first line of each group that a component wrote, and its first error as :data:`ERROR`."""
        settled: dict[tuple[str, int], str] = {}
        for (component, group), line in self._examples.items():
            settled.setdefault((component, self._current(group)), line)
        return settled

    def template(self, group: int) -> str:
        """Return the template of a group, empty for what is no line."""
        return self._miner.template(group) if group > 0 else ""

    def errors(self) -> set[tuple[str, int]]:
        """Return the groups that a component wrote as errors."""
        return {(component, self._current(group)) for component, group in self._errors}

    def _hear(self, line: LogLine) -> tuple[int, bool]:
        """Return the group of ``line``, and whether it is an error."""
        group = self._miner.add(without_prefix(line.message.split("\n", 1)[0]))
        is_error = (line.level or parse_level(line.message)) in ERROR_LEVELS
        if is_error:
            self._errors.add((line.component, group))
        for heard in (group, ERROR) if is_error else (group,):
            if (line.component, heard) not in self._examples:
                self._examples[line.component, heard] = line.message[:_EXAMPLE_CHARACTERS]
        return group, is_error

    def _settle(self, step: Step) -> Step:
        return Step(step.component, self._current(step.before), self._current(step.next))

    def _current(self, group: int) -> int:
        return self._miner.current(group) if group > 0 else group


def split_recording(recording: Recording, at: float) -> tuple[Recording, Recording]:
    """Return the steps of the traces that began before ``at`` (unix seconds), and the others; a trace is never cut."""
    when = recording.since.copy()
    in_trace = recording.trace >= 0
    began = np.full(recording.trace.max(initial=-1) + 1, np.inf)
    np.minimum.at(began, recording.trace[in_trace], recording.since[in_trace])
    when[in_trace] = began[recording.trace[in_trace]]
    return _take(recording, when < at), _take(recording, when >= at)


def _take(recording: Recording, wanted: NDArray[np.bool_]) -> Recording:
    used, made = np.unique(recording.made[wanted], return_inverse=True)
    return Recording(
        [recording.steps[number] for number in used],
        made.astype(np.int32),
        recording.trace[wanted],
        recording.since[wanted],
        recording.until[wanted],
        recording.repeated,
    )


def _renumber(recording: Recording, steps: list[Step]) -> Recording:
    """Put ``steps`` in the place of those of ``recording``, each of the same ones once."""
    numbers: dict[Step, int] = {}
    new = np.array([numbers.setdefault(step, len(numbers)) for step in steps], np.int32)
    return recording._replace(steps=list(numbers), made=new[recording.made])


def _entries(recordings: Iterable[Recording], entry_share: float) -> set[tuple[str, int]]:
    """Return the groups that a component begins traces with, other than where the recording itself cuts them."""
    said: Counter[tuple[str, int]] = Counter()
    first: Counter[tuple[str, int]] = Counter()
    for one in recordings:
        for step, count in zip(one.steps, np.bincount(one.made, minlength=len(one.steps)), strict=True):
            said[step.component, step.next] += int(count)
            if step.before == START:
                first[step.component, step.next] += int(count)
    return {line for line, count in first.items() if count >= entry_share * said[line]}


def without_prefix(message: str) -> str:
    """Return ``message`` without the times and the level that it may begin with.

    >>> without_prefix("12:30:01.250 WARN  [main] pool is full"), without_prefix("[2026-01-01T00:00:00Z] ERROR: no route")
    ('[main] pool is full', 'no route')
    >>> without_prefix("3 errors found")
    '3 errors found'
    """
    return _PREFIX.sub("", message, count=1)
