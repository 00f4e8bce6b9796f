"""The table of signs (``sign_table/*.yaml``): what a statement or a moving metric means.

Comes in: statements. Goes out: evidence, one piece per sign and component, with the count of lines before and after the
onset. Surprise: the table is data, so that an operator can add a sign without touching code; a bad entry stops the start.
Its weights are judgement, not measurement; docs/decisions/0007 says so and what replaces them.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Self

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from mimir_core.analysis.lines import Growth, LogSpan, measure_growth
from mimir_core.config import Settings
from mimir_core.errors import ParamsError
from mimir_core.knowledge.index import separate
from mimir_core.records import Direction, Evidence, EvidenceKind, FaultKind, Probability, Window
from mimir_core.telemetry.signals import Statement, StatementSource, workload_of

_TABLE = Path(__file__).with_name("sign_table")
_EXCERPT_LINES = 3
_EXCERPT_CHARACTERS = 600
_LINE_CHARACTERS = 300
_MOST_FACTS = 3
_NEWS_FACTOR = 2.0
"""Lines whose rate did not grow by this factor were there before and say little about the incident."""
_OLD_NEWS_SCORE = 0.2
_NUMBER = re.compile(r"\d+")
_STATUS_DIGITS = 3


class Sign(Settings):
    """One kind of trouble that a statement can tell of."""

    places: tuple[StatementSource, ...] = Field(default=("kubernetes", "log", "tool"), alias="in")
    """Where it is looked for: cluster state and events, log lines, what tools print."""
    fault: FaultKind
    """What it points to; ``none`` where it tells of a way out: nodes added, a rollout undone."""
    weight: Probability
    """How strongly it alone says "this is the cause"; low where many faults end in it (restarting, not ready, timing out)."""
    patterns: tuple[str, ...] = Field(min_length=1)
    """Regular expressions, case ignored; a statement that matches one bears the sign. A group named ``target`` is the
    component to blame instead of the one that spoke."""
    facts: tuple[str, ...] = ()
    """Regular expressions whose first group is worth telling: the image, the host, the missing name."""
    means: str
    """Plain words, continuing "<component>: ..."."""
    means_of_target: str = ""
    """The same where the component is the one complained of; ``means`` where it fits both."""
    check: str
    """A command that proves or refutes it; {component} and {namespace} are filled in."""
    actions: tuple[str, ...] = Field(min_length=1)
    """Keys of safety/safety_rules.yaml, best first."""
    explains: tuple[str, ...] = ()
    """Signs and metric families that follow from it on the same component: its effects, not further causes."""
    explains_elsewhere: tuple[str, ...] = ()
    """Likewise, on any component: a stopped consumer fills the queue of a broker."""
    driven_by: tuple[str, ...] = ()
    """Signs that, on the same component, say who brings it about: told with it."""
    of_another: bool = False
    """Whether it is a complaint: another component that its line names is to blame, not the speaker."""
    blames: tuple[str, ...] = ()
    """Components that are responsible for it, where they were seen."""

    @field_validator("patterns", "facts")
    @classmethod
    def _compile(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            re.compile(pattern)
        return patterns

    @cached_property
    def expression(self) -> tuple[re.Pattern[str], ...]:
        """The patterns, compiled."""
        return tuple(re.compile(pattern, re.IGNORECASE | re.MULTILINE) for pattern in self.patterns)

    @cached_property
    def _fact_expressions(self) -> tuple[re.Pattern[str], ...]:
        return tuple(re.compile(fact, re.IGNORECASE) for fact in self.facts)

    def facts_in(self, text: str) -> list[str]:
        """Return what ``text`` says in particular, without repetition."""
        found = (_whole_words(match) for fact in self._fact_expressions for match in fact.finditer(text))
        facts = list({fact.casefold(): fact for fact in found if fact}.values())
        said_by_another = {one for one in facts for other in facts if one != other and one.casefold() in other.casefold()}
        return [fact for fact in facts if fact not in said_by_another][:_MOST_FACTS]

    def meaning(self, excerpt: str = "", *, of_target: bool = False) -> str:
        """Return the plain words for the component that spoke, or for the one that it speaks against, with the facts."""
        words = (self.means_of_target or self.means) if of_target else self.means
        return ": ".join(filter(None, (words, "; ".join(self.facts_in(excerpt)))))

    @field_validator("check")
    @classmethod
    def _knows_its_placeholders(cls, check: str) -> str:
        check.format(component="", namespace="")
        return check

    def find(self, text: str) -> re.Match[str] | None:
        """Return where ``text`` bears this sign."""
        return next((found for expression in self.expression if (found := expression.search(text))), None)


def _whole_words(found: re.Match[str]) -> str:
    """Return the first group on one line, without a word or a bracket that the expression cut off."""
    fact, end = found[1], found.end(1)
    if found.string[end - 1 : end + 1].isalnum() and end < len(found.string) and " " in fact:
        fact = fact.rpartition(" ")[0]
    fact = " ".join(fact.split()).strip(" ,;.:(")
    head, _, bracketed = fact.rpartition("(")
    return head.rstrip() if head and ")" not in bracketed else fact


class MetricFamily(Settings):
    """A family of metrics that point to one kind of trouble when they move the bad way."""

    fault: FaultKind
    weight: Probability
    bad: Direction
    felt: bool = False
    names: tuple[str, ...] = Field(min_length=1)

    @cached_property
    def expression(self) -> re.Pattern[str]:
        """The names, compiled."""
        return re.compile("|".join(f"(?:{name})" for name in self.names))


class SignTable(Settings):
    """All files of the table together."""

    signs: dict[str, Sign]
    metrics: dict[str, MetricFamily]

    @model_validator(mode="after")
    def _explains_what_is_there(self) -> Self:
        for name, sign in self.signs.items():
            if unknown := {*sign.explains, *sign.explains_elsewhere, *sign.driven_by} - set(self.signs) - set(self.metrics):
                raise ValueError(f"signs.{name}: there is no {', '.join(sorted(unknown))}")
        return self

    @cached_property
    def places(self) -> dict[StatementSource, list[str]]:
        """The signs that are looked for in each place."""
        places: tuple[StatementSource, ...] = ("kubernetes", "log", "tool")
        return {place: [name for name, sign in self.signs.items() if place in sign.places] for place in places}

    def name_of(self, evidence: Evidence) -> str | None:
        """Return the name of the sign that ``evidence`` bears, or of the family of its metric."""
        if self.sign_of(evidence):
            return evidence.subject
        return self.family_name(evidence.subject) if evidence.kind is EvidenceKind.METRIC else None

    def sign_of(self, evidence: Evidence) -> Sign | None:
        """Return the sign that ``evidence`` bears; alerts, metrics and pages bear none, whatever they are called."""
        is_said = evidence.kind in (EvidenceKind.LOG, EvidenceKind.KUBERNETES)
        return self.signs.get(evidence.subject) if is_said else None

    def tells_of_recovery(self, evidence: Evidence) -> bool:
        """Whether ``evidence`` bears a sign of a way out of trouble."""
        return (sign := self.sign_of(evidence)) is not None and sign.fault is FaultKind.NONE

    def family_of(self, metric: str) -> MetricFamily | None:
        """Return the family of a metric by the words in its name, or None.

        >>> read_signs().family_of("heap_used_mib").fault.value, read_signs().family_of("weather") is None
        ('memory', True)
        """
        return self.metrics.get(self.family_name(metric) or "")

    def family_name(self, metric: str) -> str | None:
        """Return the name of the family of a metric, or None."""
        words = " ".join(re.findall(r"[a-z0-9]+", separate(metric).lower()))
        return next((name for name, family in self.metrics.items() if family.expression.search(words)), None)


@cache
def read_signs(folder: Path = _TABLE) -> SignTable:
    """Read and check the table.

    Raises:
        ParamsError: An entry is misspelt, incomplete or no regular expression.
    """
    table: dict[str, dict[str, object]] = {"signs": {}, "metrics": {}}
    try:
        for file in sorted(folder.glob("*.yaml")):
            for section, entries in yaml.safe_load(file.read_text(encoding="utf-8")).items():
                if again := table[section].keys() & entries.keys():
                    raise ParamsError(f"{file.name}: {section}: {', '.join(sorted(again))}: is in another file too")
                table[section] |= entries
        return SignTable.model_validate(table)
    except (ValidationError, yaml.YAMLError, re.error, KeyError, IndexError, AttributeError) as error:
        raise ParamsError(f"{folder.name}: {error}") from error


def find_signs(statements: Sequence[Statement], span: LogSpan, table: SignTable) -> Iterator[Evidence]:
    """Yield one piece of evidence for each sign on each component.

    An event of a component whose every state is fine now is over: it scores as what was there before.

    Args:
        statements: What was said.
        span: The time that the logs cover; lines before its onset count as the state before.
        table: The signs to look for.
    """
    sightings: dict[tuple[str, str, str, str], list[Statement]] = defaultdict(list)
    known: dict[tuple[StatementSource, str], list[str]] = {}
    for statement in statements:
        if statement.state == "fine":
            continue
        shape = statement.source, shape_of(statement.text)
        if shape not in known:
            known[shape] = [name for name in table.places[statement.source] if table.signs[name].find(statement.text)]
        for name in known[shape]:
            if found := table.signs[name].find(statement.text):
                sightings[name, statement.component, statement.source, _target(found)].append(statement)
    well = components_that_are_well(statements)
    for (name, component, source, _), group in sightings.items():
        is_over = source != "log" and component in well and all(statement.state == "untold" for statement in group)
        growth = measure_growth(group, span if source == "log" else LogSpan(None, None))
        score = 1.0 if growth.is_news(_NEWS_FACTOR) and not is_over else _OLD_NEWS_SCORE
        yield _evidence(name, table.signs[name], group, growth, score)


def shape_of(text: str) -> str:
    """Return ``text`` with numbers made alike that no sign tells apart: lines of one shape bear the same signs.

    A million lines have few shapes, and looking up a shape is much faster than trying every pattern. Zeros and the
    status codes of HTTP stay, and whether a number has four digits.

    >>> shape_of("GET /item/4711 200 in 37 ms"), shape_of("GET /item/9 503 in 0 ms")
    ('GET /item/1111 111 in 1 ms', 'GET /item/1 503 in 0 ms')
    """
    return _NUMBER.sub(_alike, text)


def _alike(found: re.Match[str]) -> str:
    number = found[0]
    if (len(number) == _STATUS_DIGITS and number[0] in "45") or not number.strip("0"):
        return number
    return "1" if len(number) < _STATUS_DIGITS else "1" * min(len(number), _STATUS_DIGITS + 1)


def components_that_are_well(statements: Iterable[Statement]) -> set[str]:
    """Return the components that report a state, and report nothing but fine ones."""
    states: dict[str, bool] = {}
    for statement in statements:
        if statement.state != "untold":
            states[statement.component] = states.get(statement.component, True) and statement.state == "fine"
    return {component for component, is_fine in states.items() if is_fine}


def blamed_component(evidence: Evidence, sign: Sign) -> str:
    """Return the component that ``evidence`` speaks against: the target that its excerpt names, else the speaker."""
    return ((found := sign.find(evidence.excerpt)) and _target(found)) or evidence.component


def _evidence(name: str, sign: Sign, group: list[Statement], growth: Growth, score: float) -> Evidence:
    first = group[0]
    times = sorted(statement.time for statement in group if statement.time)
    return Evidence(
        kind=EvidenceKind.LOG if first.source == "log" else EvidenceKind.KUBERNETES,
        component=first.component,
        subject=name,
        origin=first.origin,
        query=first.query,
        window=Window(start=times[0], end=times[-1]) if times else None,
        observed_at=times[-1] if times else None,
        value=growth.lines,
        score=score,
        excerpt=_excerpt(group, sign),
    )


def _excerpt(group: list[Statement], sign: Sign) -> str:
    """Quote the distinct lines that tell most: those with new facts first, long ones from a little before the sign on."""
    quotes: dict[str, None] = {}
    for statement in group:
        found = sign.find(statement.text)
        start = max(0, found.start() - _LINE_CHARACTERS // 2) if found and len(statement.text) > _LINE_CHARACTERS else 0
        quotes.setdefault(statement.text[start : start + _LINE_CHARACTERS])
    told: set[str] = set()
    order: list[tuple[int, int, str]] = []
    for position, quote in enumerate(quotes):
        new = set(sign.facts_in(quote)) - told
        told |= new
        order.append((-len(new), position, quote))
    return "\n".join(quote for _, _, quote in sorted(order)[:_EXCERPT_LINES])[:_EXCERPT_CHARACTERS]


def _target(found: re.Match[str]) -> str:
    """Return the component that a statement speaks against, an empty string when it names none."""
    host = (found.groupdict().get("target") or "").split(".")[0]
    return "" if host == "localhost" else workload_of(host)
