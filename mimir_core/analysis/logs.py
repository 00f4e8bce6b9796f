"""Log lines -> which templates are new, bursting or tell of errors.

Comes in: statements of source ``log``. Goes out: evidence, one piece a notable template and component.
Lines are grouped by a :class:`TemplateMiner` (``templates.py``).
Surprise: a template that was as common before the onset is no news and is not reported.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Protocol

from mimir_core.analysis.lines import Growth, LogSpan, measure_growth
from mimir_core.config import LogSettings
from mimir_core.records import Evidence, EvidenceKind, Measurement, Window
from mimir_core.telemetry.signals import Statement

ERROR_LEVELS = frozenset({"error", "severe", "critical", "fatal", "panic"})
_SUBJECT_CHARACTERS = 120
_EXCERPT_CHARACTERS = 300
_NEW_SCORE, _BURST_SCORE, _ERROR_SHARE = 0.4, 0.3, 0.5


class TemplateMiner(Protocol):
    """Groups lines by template."""

    def add(self, message: str) -> int:
        """Add ``message`` and return the number of its group."""
        ...

    def current(self, group: int) -> int:
        """Return the group that ``group`` is part of after all that was added: groups may merge."""
        ...

    def template(self, group: int) -> str:
        """Return the template of a group as it stands after all that was added."""
        ...


def find_templates(
    statements: Iterable[Statement], span: LogSpan, miner: TemplateMiner, settings: LogSettings
) -> Iterator[Evidence]:
    """Yield evidence for the templates that are new or bursting after the onset of ``span``.

    Without an onset, or for lines without a time, only templates at an error level are reported.
    """
    lines = [statement for statement in statements if statement.source == "log"]
    numbers = [miner.add(line.text.split("\n", 1)[0]) for line in lines]
    groups: dict[tuple[str, int], list[Statement]] = defaultdict(list)
    for line, number in zip(lines, numbers, strict=True):
        groups[line.component, miner.current(number)].append(line)
    for (component, number), group in groups.items():
        growth = measure_growth(group, span)
        errors = sum(statement.level in ERROR_LEVELS for statement in group) / len(group) >= _ERROR_SHARE
        score = _score(growth, settings.burst_ratio, errors=errors)
        if score > 0:
            yield _evidence(component, miner.template(number), group, growth.lines, score)


def _score(growth: Growth, burst_ratio: float, *, errors: bool) -> float:
    if growth.factor is None:
        return _BURST_SCORE if errors else 0.0
    if growth.factor < burst_ratio:
        return 0.0
    score = _NEW_SCORE if growth.factor == float("inf") else _BURST_SCORE
    return score if errors else score / 2


def _evidence(component: str, template: str, group: list[Statement], value: Measurement, score: float) -> Evidence:
    times = sorted(statement.time for statement in group if statement.time)
    return Evidence(
        kind=EvidenceKind.LOG,
        component=component,
        subject=template[:_SUBJECT_CHARACTERS],
        origin=group[0].origin,
        query=group[0].query,
        window=Window(start=times[0], end=times[-1]) if times else None,
        observed_at=times[-1] if times else None,
        value=value,
        score=score,
        excerpt=group[-1].text[:_EXCERPT_CHARACTERS],
    )
