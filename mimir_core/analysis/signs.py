"""The table of signs (``signs.yaml``): what a statement or a moving metric means.

Comes in: statements. Goes out: evidence, one piece per sign and component, with the count of lines before and after the
onset. Surprise: the table is data, so that an operator can add a sign without touching code; a bad entry stops the start.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, cached_property
from pathlib import Path

import yaml
from pydantic import Field, ValidationError, field_validator

from mimir_core.analysis.lines import LogSpan, measure_growth
from mimir_core.config import Settings
from mimir_core.errors import ParamsError
from mimir_core.records import Direction, Evidence, EvidenceKind, FaultKind, Probability, Window
from mimir_core.telemetry.signals import Statement, StatementSource, workload_of

_TABLE = Path(__file__).with_name("signs.yaml")
_EXCERPT_LINES = 2
_EXCERPT_CHARACTERS = 400
_NEWS_FACTOR = 2.0
"""Lines whose rate did not grow by this factor were there before and say little about the incident."""
_OLD_NEWS_SCORE = 0.2


class Sign(Settings):
    """One kind of trouble that a statement can tell of. The keys are explained in signs.yaml."""

    places: tuple[StatementSource, ...] = Field(default=("kubernetes", "log", "tool"), alias="in")
    fault: FaultKind
    weight: Probability
    patterns: tuple[str, ...] = Field(min_length=1)
    means: str
    means_of_target: str = ""
    check: str
    actions: tuple[str, ...] = Field(min_length=1)

    @field_validator("patterns")
    @classmethod
    def _compile(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            re.compile(pattern)
        return patterns

    @cached_property
    def expression(self) -> tuple[re.Pattern[str], ...]:
        """The patterns, compiled."""
        return tuple(re.compile(pattern, re.IGNORECASE) for pattern in self.patterns)

    def meaning(self, *, of_target: bool) -> str:
        """Return the plain words for the component that spoke, or for the one that it speaks against."""
        return (self.means_of_target or self.means) if of_target else self.means

    @field_validator("check")
    @classmethod
    def _knows_its_placeholders(cls, check: str) -> str:
        check.format(component="", namespace="")
        return check

    def find(self, text: str) -> re.Match[str] | None:
        """Return where ``text`` bears this sign."""
        return next((found for expression in self.expression if (found := expression.search(text))), None)


class MetricFamily(Settings):
    """A family of metrics that point to one kind of trouble when they move the bad way."""

    fault: FaultKind
    weight: Probability
    bad: Direction
    felt: bool = False
    words: frozenset[str]


class SignTable(Settings):
    """The whole of signs.yaml."""

    signs: dict[str, Sign]
    metrics: dict[str, MetricFamily]

    def sign_of(self, evidence: Evidence) -> Sign | None:
        """Return the sign that ``evidence`` bears; alerts, metrics and pages bear none, whatever they are called."""
        is_said = evidence.kind in (EvidenceKind.LOG, EvidenceKind.KUBERNETES)
        return self.signs.get(evidence.subject) if is_said else None

    def family_of(self, metric: str) -> MetricFamily | None:
        """Return the family of a metric by the words in its name, or None.

        >>> read_signs().family_of("heap_used_mib").fault.value, read_signs().family_of("weather") is None
        ('memory', True)
        """
        words = set(re.split(r"[^a-z0-9]+", re.sub(r"([a-z])([A-Z])", r"\1_\2", metric).lower()))
        return next((family for family in self.metrics.values() if family.words & words), None)


@cache
def read_signs(path: Path = _TABLE) -> SignTable:
    """Read and check the table.

    Raises:
        ParamsError: An entry is misspelt, incomplete or no regular expression.
    """
    try:
        return SignTable.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (ValidationError, yaml.YAMLError, re.error, KeyError, IndexError) as error:
        raise ParamsError(f"{path.name}: {error}") from error


def find_signs(statements: Sequence[Statement], span: LogSpan, table: SignTable) -> Iterator[Evidence]:
    """Yield one piece of evidence for each sign on each component.

    An event of a component whose every state is fine now is over: it scores as what was there before.

    Args:
        statements: What was said.
        span: The time that the logs cover; lines before its onset count as the state before.
        table: The signs to look for.
    """
    sightings: dict[tuple[str, str, str, str], list[Statement]] = defaultdict(list)
    for statement in statements:
        if statement.state == "fine":
            continue
        for name, sign in table.signs.items():
            if statement.source in sign.places and (found := sign.find(statement.text)):
                sightings[name, statement.component, statement.source, _target(found)].append(statement)
    well = components_that_are_well(statements)
    for (name, component, source, _), group in sightings.items():
        is_over = source != "log" and component in well and all(statement.state == "untold" for statement in group)
        yield _evidence(name, component, group, span, is_over=is_over)


def components_that_are_well(statements: Iterable[Statement]) -> set[str]:
    """Return the components that report a state, and report nothing but fine ones."""
    states: dict[str, bool] = {}
    for statement in statements:
        if statement.state != "untold":
            states[statement.component] = states.get(statement.component, True) and statement.state == "fine"
    return {component for component, is_fine in states.items() if is_fine}


def blamed_component(evidence: Evidence, sign: Sign) -> str:
    """Return the component that ``evidence`` speaks against: the target that its excerpt names, else the speaker."""
    found = sign.find(evidence.excerpt)
    return (_target(found) if found else "") or evidence.component


def _evidence(name: str, component: str, group: list[Statement], span: LogSpan, *, is_over: bool) -> Evidence:
    first = group[0]
    times = sorted(statement.time for statement in group if statement.time)
    growth = measure_growth(group, span if first.source == "log" else LogSpan(None, None))
    is_news = not is_over and (growth.factor is None or growth.factor >= _NEWS_FACTOR)
    return Evidence(
        kind=EvidenceKind.LOG if first.source == "log" else EvidenceKind.KUBERNETES,
        component=component,
        subject=name,
        origin=first.origin,
        query=first.query,
        window=Window(start=times[0], end=times[-1]) if times else None,
        observed_at=times[-1] if times else None,
        value=growth.lines,
        score=1.0 if is_news else _OLD_NEWS_SCORE,
        excerpt=_excerpt(group),
    )


def _excerpt(group: list[Statement]) -> str:
    """Quote the first distinct lines."""
    distinct = dict.fromkeys(statement.text for statement in group)
    return "\n".join(list(distinct)[:_EXCERPT_LINES])[:_EXCERPT_CHARACTERS]


def _target(found: re.Match[str]) -> str:
    """Return the component that a statement speaks against, an empty string when it names none."""
    host = (found.groupdict().get("target") or "").split(".")[0]
    return "" if host == "localhost" else workload_of(host)
