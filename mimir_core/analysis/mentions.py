"""Error lines that name another component -> who is complained about more than before.

Comes in: log lines of the incident and of the reference, and the names of the components. Goes out: one :class:`Mention` for
each component that is named more often. Method: a count of rare events is compared with what the time before lets expect, less
what it may be by chance (some deviations of a Poisson count). Surprise: who is named and names somebody else itself passes the
complaint on: it is left with what it does not pass on.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from mimir_core.analysis.log_steps import LogLine
from mimir_core.analysis.logs import ERROR_LEVELS
from mimir_core.telemetry.log_text import parse_level


class Mention(NamedTuple):
    """A component that the errors of others name."""

    component: str
    before: float
    """Lines a minute in which others name it."""
    after: float
    own: int
    """Lines beyond chance that it does not pass on to others."""
    share: float
    """Of all such lines."""
    example: str


class Complaint(NamedTuple):
    """An error line in which one component names another."""

    time: float
    """Unix seconds."""
    speaker: str
    named: str
    message: str


class Complaints(NamedTuple):
    """The complaints of a recording."""

    made: list[Complaint]
    begin: float
    """Unix seconds of the first line, whatever it says."""
    end: float
    """Unix seconds of the last line."""


def find_complaints(lines: Iterable[LogLine], components: Collection[str], shortest_name: int) -> Complaints:
    """Return the error lines that name other components, if by so many characters; ``lines`` in order of time."""
    known = sorted((name for name in components if len(name) >= shortest_name), key=lambda name: (-len(name), name))
    expression = re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, known))})(?![\w-])" if known else r"(?!)")
    lines = list(lines)
    made = [
        Complaint(line.time, line.component, named, line.message)
        for line in lines
        if (line.level or parse_level(line.message)) in ERROR_LEVELS
        for named in set(expression.findall(line.message)) - {line.component}
    ]
    return Complaints(made, lines[0].time if lines else 0.0, lines[-1].time if lines else 0.0)


def find_mentions(recording: Complaints, reference: Complaints, onset: float, sigmas: float) -> Iterator[Mention]:
    """Yield who is complained about more since ``onset`` (unix seconds), beyond ``sigmas`` deviations, in the order of names."""
    before = [item for item in recording.made if item.time < onset] + reference.made
    after = [item for item in recording.made if item.time >= onset]
    seconds_before = max(onset - recording.begin, 0.0) + reference.end - reference.begin
    seconds_after = recording.end - onset
    if seconds_after <= 0 or seconds_before <= 0:
        return
    usual = Counter((item.speaker, item.named) for item in before)
    made = Counter((item.speaker, item.named) for item in after)
    excess: Counter[tuple[str, str]] = Counter()
    for pair, count in made.items():
        expected = (usual[pair] + 1) * seconds_after / seconds_before
        excess[pair] = max(0, int(count - expected - sigmas * expected**0.5))
    heard, passed_on = _sums(excess, 1), _sums(excess, 0)
    own = {named: heard[named] - passed_on[named] for named in sorted(heard) if heard[named] > passed_on[named]}
    total, named_before, named_after = sum(own.values()), _sums(usual, 1), _sums(made, 1)
    for named, count in own.items():
        yield Mention(
            component=named,
            before=60 * named_before[named] / seconds_before,
            after=60 * named_after[named] / seconds_after,
            own=count,
            share=count / total,
            example=next(item.message for item in after if item.named == named),
        )


def _sums(counts: Counter[tuple[str, str]], end: int) -> Counter[str]:
    """Sum what was counted by (speaker, named) over one of the two."""
    sums: Counter[str] = Counter()
    for pair, count in counts.items():
        sums[pair[end]] += count
    return sums
