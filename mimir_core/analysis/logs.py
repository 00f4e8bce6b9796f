"""Log lines -> which templates are new, bursting or tell of errors.

Comes in: statements of source ``log``. Goes out: evidence, one piece a notable template and component.
Templates are mined by drain3 (He et al., "Drain: An Online Log Parsing Approach with Fixed Depth Tree", ICWS 2017)
behind :class:`TemplateMiner`. Surprise: a template that was as common before the onset is no news and is not reported.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Protocol

from mimir_core.config import LogSettings
from mimir_core.records import Evidence, EvidenceKind, Measurement, Window
from mimir_core.telemetry.signals import Statement

_ERROR_LEVELS = frozenset({"error", "severe", "critical", "fatal", "panic"})
_EXCERPT_CHARACTERS = 300
_NEW_SCORE, _BURST_SCORE, _ERROR_SHARE = 0.4, 0.3, 0.5


class TemplateMiner(Protocol):
    """Groups lines by template."""

    def add(self, message: str) -> int:
        """Add ``message`` and return the number of its group."""
        ...

    def template(self, group: int) -> str:
        """Return the template of a group as it stands after all that was added."""
        ...


def find_templates(
    statements: Iterable[Statement], onset: datetime | None, miner: TemplateMiner, settings: LogSettings
) -> Iterator[Evidence]:
    """Yield evidence for the templates that are new or bursting after ``onset``.

    Without an onset, or for lines without a time, only templates at an error level are reported.
    """
    groups: dict[tuple[str, int], list[Statement]] = defaultdict(list)
    first, last = None, None
    for statement in statements:
        if statement.source != "log":
            continue
        groups[statement.component, miner.add(statement.text.split("\n", 1)[0])].append(statement)
        if statement.time:
            first, last = min(first or statement.time, statement.time), max(last or statement.time, statement.time)
    for (component, number), group in groups.items():
        value = _rate(group, onset, first, last)
        errors = sum(statement.level in _ERROR_LEVELS for statement in group) / len(group) >= _ERROR_SHARE
        score = _score(value, settings.burst_ratio, errors=errors)
        if score > 0:
            yield _evidence(component, miner.template(number), group, value, score)


def _rate(group: list[Statement], onset: datetime | None, first: datetime | None, last: datetime | None) -> Measurement:
    """Lines before and after; the count before is scaled to the length of the time after, so that both compare."""
    times = [statement.time for statement in group if statement.time]
    if onset is None or first is None or last is None or len(times) < len(group) or not first < onset <= last:
        return Measurement(after=float(len(group)), unit="lines")
    before = sum(time < onset for time in times)
    scale = max((last - onset).total_seconds(), 1.0) / max((onset - first).total_seconds(), 1.0)
    return Measurement(before=round(before * scale, 1), after=float(len(times) - before), unit="lines")


def _score(value: Measurement, burst_ratio: float, *, errors: bool) -> float:
    after = value.after or 0.0
    if value.before is None:
        return _BURST_SCORE if errors else 0.0
    if after == 0:
        return 0.0
    if value.before == 0:
        return _NEW_SCORE * (1.0 if errors else 0.5)
    return _BURST_SCORE * (1.0 if errors else 0.5) if after / value.before >= burst_ratio else 0.0


def _evidence(component: str, template: str, group: list[Statement], value: Measurement, score: float) -> Evidence:
    times = sorted(statement.time for statement in group if statement.time)
    return Evidence(
        kind=EvidenceKind.LOG,
        component=component,
        subject=template[:_EXCERPT_CHARACTERS],
        origin=group[0].origin,
        query=group[0].query,
        window=Window(start=times[0], end=times[-1]) if times else None,
        observed_at=times[-1] if times else None,
        value=value,
        score=score,
        excerpt=group[-1].text[:_EXCERPT_CHARACTERS],
    )
