"""Log lines -> groups of lines that the same statement in the program wrote, as a stream.

Comes in: one line after the other. Goes out: the number of the line's group, and a template for each group. A line is first
reduced to its shape (``shapes.py``); most lines repeat a shape that is known, and cost one look-up. What is left to learn are
the values that look like words: names of users, hosts, programs. When many words were seen in one place of otherwise equal
shapes, or a word here and a value there, the place becomes a hole, and the groups of those shapes are one from then on.
"Many" counts the words seen there times the constant words around: names vary often, and stand in sentences; choices
(``GET``, ``PUT``) are few, and stand in short lines. Where a line names its place in the code, sharing most words is enough.

Surprises: groups merge when more is known, so ask :meth:`TemplateGroups.current` for the number at the end. Memory is
bounded: the shape that was not seen for longest is forgotten first, and is a new group when it comes back. We group by
ourselves because the known way (drain3) compares lines word by word, at equal length, and is slower; it stays as a baseline
of ``mimir bench logs``.
"""

import re
from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import NamedTuple

from mimir_core.analysis.shapes import HOLE, code_place_in, join_holes, shape_of, words_in
from mimir_core.config import TemplateSettings

_GAP = "\1"


class Place(NamedTuple):
    """One word of a shape, and what stands around it."""

    around: str
    """The shape with a gap for the word."""
    word: str
    constant_words: int
    """Words around it that are no holes."""

    @property
    def wider(self) -> str:
        """The shape with a hole for the word."""
        return join_holes(self.around.replace(_GAP, HOLE))


class TemplateGroups:
    """Groups lines by what they have in common; a :class:`~mimir_core.analysis.logs.TemplateMiner`."""

    def __init__(self, settings: TemplateSettings) -> None:
        self._settings = settings
        self._groups: OrderedDict[str, int] = OrderedDict()
        """Group by shape, longest unseen first."""
        self._shapes: dict[int, str] = {}
        """The shape that each group began with."""
        self._merged_into: dict[int, int] = {}
        self._words: dict[str, dict[str, int]] = {}
        """What stood in a place: the group of each word, by what stands around."""
        self._said_at: dict[str, deque[str]] = {}
        """Shapes of one place in the code, by its name."""
        self._last = 0

    def add(self, message: str) -> int:
        """Add ``message`` and return the number of its group."""
        shape = shape_of(message, self._settings.max_words)
        if shape in self._groups:
            self._groups.move_to_end(shape)
        else:
            self._learn(shape)
            while len(self._groups) > self._settings.max_shapes:
                self._forget()
        return self.current(self._groups[shape])

    def current(self, group: int) -> int:
        """Return the group that ``group`` is part of by now."""
        while group in self._merged_into:
            group = self._merged_into[group]
        return group

    def template(self, group: int) -> str:
        """Return the template of a group as it stands after all that was added; only holes when its shape was forgotten."""
        return self._shapes.get(self.current(group), HOLE).replace(HOLE, "<*>")

    def _learn(self, shape: str) -> int:
        """Find the group of a new ``shape``: of a wider shape that is known, or its own; merge what it shows to be one."""
        places = list(_places(shape, self._settings.min_constant_words))
        known = self._same_statement(shape) or next((place.wider for place in places if place.wider in self._groups), None)
        if known is not None:
            self._groups.move_to_end(known)
            self._groups[shape] = self._groups[known]
            return self._groups[shape]
        self._last += 1
        group = self._groups[shape] = self._last
        self._shapes[group] = shape
        if code := _code_of(shape):
            self._said_at.setdefault(code, deque(maxlen=self._settings.max_statements)).append(shape)
        for place in places:
            words = self._words.setdefault(place.around, {})
            words[place.word] = group
            if len(words) > 1 and (HOLE in words or len(words) * place.constant_words >= self._settings.evidence):
                self._merge(words, self._groups.get(place.wider) or self._learn(place.wider))
        return group

    def _same_statement(self, shape: str) -> str | None:
        """Return a known shape of the same place in the code that shares enough of its words."""
        words = _distinct_words(shape)
        for other in self._said_at.get(_code_of(shape), ()):
            others = _distinct_words(other)
            if len(words & others) > self._settings.alike_share * min(len(words), len(others)):
                return other
        return None

    def _merge(self, words: dict[str, int], into: int) -> None:
        into = self.current(into)
        for group in {self.current(group) for group in words.values()} - {into}:
            self._merged_into[group] = into

    def _forget(self) -> None:
        shape, group = self._groups.popitem(last=False)
        if self._shapes.get(group) != shape:
            return  # a wider shape stands for it
        del self._shapes[group]
        said = self._said_at.get(_code_of(shape), deque())
        if shape in said:
            said.remove(shape)
            if not said:
                del self._said_at[_code_of(shape)]
        for place in _places(shape, self._settings.min_constant_words):
            if words := self._words.get(place.around):
                words.pop(place.word, None)
                if not words:
                    del self._words[place.around]


def _places(shape: str, min_constant_words: int) -> Iterator[Place]:
    words = _words_beside_code(shape)
    constant = sum(word.group() != HOLE for word in words)
    for word in words:
        others = constant - (word.group() != HOLE)
        if others >= min_constant_words:
            before, after = shape[: word.start()], shape[word.end() :]
            yield Place(f"{before}{_GAP}{after}", word.group(), others)


def _distinct_words(shape: str) -> set[str]:
    return {word.group() for word in _words_beside_code(shape)} - {HOLE}


def _code_of(shape: str) -> str:
    code = code_place_in(shape)
    return code.group() if code else ""


def _words_beside_code(shape: str) -> list[re.Match[str]]:
    code = code_place_in(shape)
    return [word for word in words_in(shape) if not code or word.end() <= code.start() or word.start() >= code.end()]
