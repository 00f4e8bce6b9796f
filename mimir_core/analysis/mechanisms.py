"""The table of mechanisms (``mechanisms.yaml``): how a change can do harm, and what is seen then.

Comes in: an :class:`Edit` and :class:`News`. Goes out: the harm that the edit can do, with how well the news fit it; and, from
the news alone, signs of a cause that is nobody's change. Surprise: a pattern counts only by balance, so code that is rewritten
with the same locks, checks and calls in it shows none.
"""

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, ValidationError

from mimir_core.analysis.diffs import Edit, NumberChange
from mimir_core.analysis.scene import News
from mimir_core.analysis.words import split_words
from mimir_core.config import Settings
from mimir_core.errors import ParamsError

_TABLE = Path(__file__).with_name("mechanisms.yaml")
_CLEAR_FACTOR = 2.0
"""A number that changed by this factor or more changed clearly; by less, in proportion to the logarithm."""

_REPLACED = 0.7
"""How much it says that something was replaced by another of its kind: less than that it was taken away."""


class Mechanism(Settings):
    """One way for a change to do harm."""

    weight: float = Field(default=1.0, gt=0, le=1)
    """How much it says that the patterns are there: less than 1 where they are common in harmless code."""
    lost: tuple[str, ...] = ()
    """Any of these is gone: more removed lines match than added ones."""
    gained: tuple[str, ...] = ()
    """All of these came."""
    changed: str = ""
    """A line that matches was replaced by another that matches."""
    unless: tuple[str, ...] = ()
    """None of these is among the added lines."""
    number: str = ""
    """The name of a number that changed ..."""
    direction: Literal["up", "down", "any"] = "any"
    """... this way."""
    word: str = ""
    """A word that another took the place of, or that took the place of another."""
    seen: tuple[str, ...] = Field(min_length=1)
    """What is seen when it does harm: in lines that are new, names of metrics with ``rises`` or ``falls``, the alert."""
    says: str
    """Plain words, continuing "the change": "it ..."."""

    @cached_property
    def expression(self) -> re.Pattern[str]:
        """What is seen, compiled."""
        return _compile(self.seen)

    def strength(self, edit: Edit) -> float:
        """From 0, it is not in ``edit``, to 1, it clearly is."""
        added = _spell(tuple(edit.added))
        if self.unless and _count(self.unless, added):
            return 0.0
        removed = _spell(tuple(edit.removed))
        if any(_count((pattern,), removed) > _count((pattern,), added) for pattern in self.lost):
            return 1.0
        if self.gained and all(_count((pattern,), added) > _count((pattern,), removed) for pattern in self.gained):
            return 1.0
        if self.word and any(re.search(self.word, word, re.IGNORECASE) for swap in edit.words for word in (swap.old, swap.new)):
            return 1.0
        strengths = [self._strength_of(number) for number in edit.numbers]
        if self.changed and all(
            _count((self.changed,), (line for line in lines if line not in edit.recounted))
            for lines in (edit.removed, edit.added)
        ):
            strengths.append(_REPLACED)
        return max(strengths, default=0.0)

    def _strength_of(self, number: NumberChange) -> float:
        is_down = number.new < number.old
        if not self.number or not re.search(self.number, number.name) or self.direction == ("up" if is_down else "down"):
            return 0.0
        if min(number.old, number.new) <= 0:
            return 1.0
        return min(1.0, abs(math.log(number.new / number.old)) / math.log(_CLEAR_FACTOR))

    def fit(self, news: News) -> float:
        """From 0, nothing that is new looks like it, to 1: the largest share of alert, logs or metrics that does."""
        logs = [n.text for n in news.novelties if n.is_bad]
        metrics = [n.text for n in news.novelties if n.is_metric]
        return max(_share(self.expression, texts) for texts in ([news.alert], logs, metrics))


class Outside(Settings):
    """A cause that is nobody's change."""

    weight: float = Field(default=1.0, gt=0, le=1)
    """How much it says: less than 1 where a change can be behind it as well."""
    seen: tuple[str, ...] = Field(min_length=1)
    """As in :class:`Mechanism`."""
    says: str
    """A plain sentence."""

    @cached_property
    def expression(self) -> re.Pattern[str]:
        """The patterns, compiled."""
        return _compile(self.seen)


class MechanismTable(Settings):
    """The whole of mechanisms.yaml."""

    mechanisms: dict[str, Mechanism]
    outside: dict[str, Outside]


@dataclass(frozen=True)
class Harm:
    """What an edit can do."""

    says: str
    strength: float
    """How clearly the edit does it, 0 to 1."""
    fit: float
    """How much of the news looks like it, 0 to 1."""


@cache
def read_mechanisms() -> MechanismTable:
    """Read the table that lies beside this module.

    Raises:
        ParamsError: It is not as described, or a pattern is no regular expression.
    """
    try:
        table = MechanismTable.model_validate(yaml.safe_load(_TABLE.read_text(encoding="utf-8")))
        for mechanism in table.mechanisms.values():
            for pattern in (
                *mechanism.lost,
                *mechanism.gained,
                *mechanism.unless,
                *mechanism.seen,
                mechanism.changed,
                mechanism.number,
                mechanism.word,
            ):
                re.compile(pattern)
        for outside in table.outside.values():
            _compile(outside.seen)
    except (yaml.YAMLError, ValidationError, re.error) as error:
        raise ParamsError(f"{_TABLE.name}: {error}") from error
    return table


def find_harms(edit: Edit, news: News) -> Iterator[Harm]:
    """Yield the ways in which ``edit`` can do harm."""
    for mechanism in read_mechanisms().mechanisms.values():
        if strength := mechanism.weight * mechanism.strength(edit):
            yield Harm(mechanism.says, strength, mechanism.fit(news))


def find_outside(news: News) -> tuple[str, float]:
    """Return the sign of a cause that is nobody's change which most of the bad lines bear, and their weighted share."""
    texts = [n.text for n in news.novelties if n.is_bad]
    metrics = [n.text for n in news.novelties if n.is_metric]
    shares = {
        outside.says: outside.weight * max(_share(outside.expression, texts), _share(outside.expression, metrics))
        for outside in read_mechanisms().outside.values()
    }
    best = max(shares, key=lambda says: shares[says])
    return best, shares[best]


@lru_cache(maxsize=2)
def _spell(lines: tuple[str, ...]) -> list[str]:
    """Each line as written, and with names taken apart; the lines of one edit are asked for by every mechanism in turn."""
    return [f"{line} {' '.join(split_words(line))}" for line in lines]


@cache
def _compile(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


def _count(patterns: tuple[str, ...], lines: Iterable[str]) -> int:
    return sum(bool(_compile(patterns).search(line)) for line in lines)


def _share(pattern: re.Pattern[str], texts: list[str]) -> float:
    return sum(bool(pattern.search(text)) for text in texts) / len(texts) if texts else 0.0
