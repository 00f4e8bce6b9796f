"""What a component said last before it ended -> evidence.

Comes in: the evidence so far and the statements. Goes out: for each component whose container crashed, the line of its log
that tells most. Surprise: a crash names no reason; the reason is in the words before it, often at no error level.
"""

import re
from collections.abc import Iterable, Iterator

from mimir_core.records import Evidence, EvidenceKind, Measurement
from mimir_core.telemetry.signals import Statement

LAST_WORDS = "LastWords"
"""Subject of evidence of what a crashed component said last."""

_CRASHES = frozenset({"CrashLoopBackOff", "ExitedWithError", "BackoffLimitExceeded"})
_TELLING = re.compile(
    r"error|exception|fatal|panic|fail|cannot|can't|could not|unable|refused|denied|not found|no such|invalid|unsupported|"
    r"missing|deprecated|timed? ?out|abort|illegal|unexpected",
    re.IGNORECASE,
)
_LOUD = frozenset({"error", "severe", "critical", "fatal", "panic"})
_QUOTED_CHARACTERS = 300


def find_last_words(found: Iterable[Evidence], statements: Iterable[Statement]) -> Iterator[Evidence]:
    """Yield a piece of evidence for each component that crashed and left a log."""
    crashed = {item.component for item in found if item.subject in _CRASHES}
    logs: dict[str, list[Statement]] = {}
    for statement in statements:
        if statement.source == "log" and statement.component in crashed:
            logs.setdefault(statement.component, []).append(statement)
    for component, lines in logs.items():
        last = _most_telling(lines)
        yield Evidence(
            kind=EvidenceKind.LOG,
            component=component,
            subject=LAST_WORDS,
            origin=last.origin,
            query=last.query,
            observed_at=last.time,
            value=Measurement(after=float(sum(line.text == last.text for line in lines)), unit="lines"),
            score=1.0,
            excerpt=last.text[:_QUOTED_CHARACTERS],
        )


def _most_telling(lines: list[Statement]) -> Statement:
    """The last line that is both loud and telling, else the last that is either, else the last."""
    ranked = ((line.level in _LOUD) + bool(_TELLING.search(line.text)) for line in lines)
    return max(enumerate(zip(ranked, lines, strict=True)), key=lambda entry: (entry[1][0], entry[0]))[1][1]
