"""A commit's diff -> what it changes, once moved, rewrapped and commented lines are taken away.

Comes in: a :class:`Commit`. Goes out: an :class:`Edit`. Surprises: a line that is removed in one place and added in another
counts as moved, in whatever file; the numbers of a line that differs in its numbers alone are compared in one unit (seconds,
bytes); of a huge diff only the first lines are read.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from mimir_core.analysis.words import split_words
from mimir_core.telemetry.changes import Commit

_HEADER = re.compile(r"^(?:@@|diff |index |(?:---|\+\+\+) (?:[ab]/|/dev/null))")
_COMMENT = re.compile(r"^(?://|#|/\*|\*/?(?:\s|$)|--\s|<!--|;)")
_TRAILING_COMMENT = re.compile(r"\s+(?://|#)\s.*$")
_MARKS_ALONE = re.compile(r"^[\W_]*$")
_NUMBER = re.compile(
    r"(?<![\w.])(\d[\d_]*(?:\.\d+)?)(?:\s*\*\s*(?:time\.|datetime\.|TimeUnit\.)?([A-Z]\w+)\b|\s?(ns|us|ms|s|sec|secs|m|min|h|d|[KMGT]i?B?)\b|(%))?(?![\w.])"
)
_SECONDS: dict[str, float] = {
    "nanosecond": 1e-9, "microsecond": 1e-6, "millisecond": 1e-3, "second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0,
    "ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0, "secs": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0,
}  # fmt: skip
_BYTES: dict[str, float] = {letter: 1024.0**power for power, letter in enumerate("KMGT", start=1)}
_TOKEN = re.compile(r"\w+|[^\w\s]")
_NAME = re.compile(r"[A-Za-z_]\w{3,}")
_KEY = re.compile(r"^\s*(?:- )?([A-Za-z_]\w{3,})\s*[:=](?!=)", re.MULTILINE)
_NEAR_LINES = 12
_LINE_CHARACTERS = 400
_ALIKE = 0.6
_MOST_SWAPPED_WORDS = 2
_QUOTED = re.compile(r"""["'`]([^"'`]*)["'`]""")
_CONFIGURATION = re.compile(
    r"\.(?:ya?ml|json|toml|ini|conf|cfg|env|properties|xml|tf|tfvars|hcl|sql|proto|graphql|avsc)$|(?:^|/)\.env"
)
_BUMP_FILES = re.compile(
    r"(?:^|/)(?:go\.(?:mod|sum)|package(?:-lock)?\.json|yarn\.lock|pnpm-lock\.yaml|requirements[\w-]*\.txt|poetry\.lock|uv\.lock|"
    r"Cargo\.(?:toml|lock)|Gemfile(?:\.lock)?|pom\.xml|composer\.(?:json|lock))$"
)
_VERSION = re.compile(r"\bv?(\d+)\.(\d+)\.\d+")
_NOT_IN_PRODUCTION = re.compile(
    r"(?:^|/)(?:docs?|documentation|tests?|__tests__|testdata|fixtures|examples?|benchmarks?|\.github|\.circleci|\.gitlab\w*|staging|dev)(?:/|$)"
    r"|(?:_test\.\w+|\.test\.\w+|\.spec\.\w+|\.md|\.rst|\.css|\.scss|\.svg|\.png|CODEOWNERS|\.golangci\.yml|\.editorconfig|\.gitignore)$"
)
_SAID_TO_BE_HARMLESS = re.compile(
    r"^(?:[#\[](?:docs?|tests?|style|ci)\b|(?:docs?|tests?|style|ci)(?:\([^)]*\))?:)", re.IGNORECASE
)


@dataclass(frozen=True)
class NumberChange:
    """A number that a line had and another that it has now; seconds or bytes where the line gives a unit."""

    name: str
    old: float
    new: float
    written: str
    """The new number as it stands in the line: what a log line may repeat."""
    was_written: str


@dataclass(frozen=True)
class WordChange:
    """A word of a line that another took the place of; in text or configuration, where no compiler checks it."""

    old: str
    new: str


@dataclass
class Edit:
    """What a commit changes."""

    paths: tuple[str, ...]
    removed: list[str] = field(default_factory=list)
    """Lines that are gone: neither moved, nor layout, nor comment."""
    added: list[str] = field(default_factory=list)
    numbers: list[NumberChange] = field(default_factory=list)
    recounted: set[str] = field(default_factory=set)
    """Lines that differ in numbers alone."""
    words: list[WordChange] = field(default_factory=list)
    harmless: str = ""
    """Why it cannot have broken anything that runs; empty where it may have."""
    was_read: bool = False
    """Whether there was a diff to read."""

    @cached_property
    def lost_names(self) -> frozenset[str]:
        """Names that the removed lines spell and the added ones do not: in quotes, as a key of configuration, or joined words."""
        there = set(_NAME.findall("\n".join(self.added)))
        removed = "\n".join(self.removed)
        quoted = set(_NAME.findall(" ".join(_QUOTED.findall(removed)))) | set(_KEY.findall(removed))
        return frozenset(
            name for name in _NAME.findall(removed) if name not in there and (name in quoted or len(split_words(name)) > 1)
        )

    @cached_property
    def text(self) -> str:
        """The changed lines and paths."""
        return "\n".join((*self.paths, *self.removed, *self.added))


def read_edit(commit: Commit, max_lines: int) -> Edit:
    r"""Return what ``commit`` changes; of its diff the first ``max_lines`` lines are read.

    >>> from datetime import datetime
    >>> diff = "@@ pool.go @@\n-  const most = 50\n+  const most = 10\n-  // old\n+  // new"
    >>> read_edit(Commit("a1", datetime(2026, 3, 1), diff=diff, paths=("pool.go",)), 100).numbers
    [NumberChange(name='const most', old=50.0, new=10.0, written='10', was_written='50')]
    """
    edit = Edit(commit.paths, was_read=bool(commit.diff.strip()))
    lines = [line[:_LINE_CHARACTERS] for line in commit.diff.splitlines()[:max_lines] if not _HEADER.match(line)]
    gone = list(_code_of(line[1:].strip() for line in lines if line.startswith("-")))
    come = list(_code_of(line[1:].strip() for line in lines if line.startswith("+")))
    edit.removed, edit.added = _without(gone, come), _without(come, gone)
    for old, new in _pair(edit.removed, edit.added):
        numbers = list(_compare_numbers(old, new))
        edit.numbers += numbers
        edit.recounted |= {old, new} if numbers else set()
        edit.words += [] if numbers else _compare_words(old, new, is_code=not _is_configuration(commit.paths))
    edit.harmless = _say_harmless(commit, edit, len(gone))
    return edit


def _code_of(lines: Iterable[str]) -> Iterator[str]:
    """Each line that does something, without its comment."""
    for line in lines:
        code = _TRAILING_COMMENT.sub("", line)
        if not _COMMENT.match(code) and not _MARKS_ALONE.match(code):
            yield code


def _without(lines: list[str], others: list[str]) -> list[str]:
    """``lines`` less those that ``others`` have too, spaces aside."""
    there = Counter("".join(line.split()) for line in others)
    kept = []
    for line in lines:
        key = "".join(line.split())
        if there[key]:
            there[key] -= 1
        else:
            kept.append(line)
    return kept


def _pair(removed: list[str], added: list[str]) -> Iterator[tuple[str, str]]:
    """Each removed line with the most similar added line near it, if there is one."""
    free = dict(enumerate(added))
    for position, line in enumerate(removed):
        near = [number for number in range(position - _NEAR_LINES, position + _NEAR_LINES + 1) if number in free]
        alike = {number: _likeness(line, free[number]) for number in near}
        best = max(near, key=lambda number: (alike[number], -abs(number - position)), default=None)
        if best is not None and alike[best] >= _ALIKE:
            yield line, free.pop(best)


def _likeness(old: str, new: str) -> float:
    """Share of equal tokens, numbers masked: in the same places where there are as many, else in any."""
    before, after = _TOKEN.findall(_NUMBER.sub("0", old)), _TOKEN.findall(_NUMBER.sub("0", new))
    if len(before) == len(after):
        return sum(1 for was, now in zip(before, after, strict=True) if was == now) / len(before)
    return len({*before} & {*after}) / len({*before} | {*after})


def _compare_numbers(old: str, new: str) -> Iterator[NumberChange]:
    before, after = list(_NUMBER.finditer(old)), list(_NUMBER.finditer(new))
    if len(before) != len(after) or _VERSION.search(old):
        return
    name = " ".join(split_words(_NUMBER.sub(" ", new)))
    for was, now in zip(before, after, strict=True):
        if (first := _value_of(was)) != (second := _value_of(now)):
            yield NumberChange(name, first, second, now[1], was[1])


def _value_of(found: re.Match[str]) -> float:
    """In seconds or bytes, where there is a unit."""
    unit = found[3] or (found[2] or "").lower().removesuffix("s")
    return float(found[1].replace("_", "")) * (_SECONDS.get(unit) or _BYTES.get(unit[:1]) or 1.0)


def _compare_words(old: str, new: str, *, is_code: bool) -> list[WordChange]:
    """The words that differ, where the line has the same shape and few of them do; in code, those between quotes alone."""
    before, after = _TOKEN.findall(old), _TOKEN.findall(new)
    if len(before) != len(after) or _VERSION.search(old):
        return []
    swapped = [(was, now) for was, now in zip(before, after, strict=True) if was != now]
    if len(swapped) > _MOST_SWAPPED_WORDS:
        return []
    quoted = set(_TOKEN.findall(" ".join(_QUOTED.findall(old))))
    return [WordChange(was, now) for was, now in swapped if not is_code or was in quoted]


def _is_configuration(paths: tuple[str, ...]) -> bool:
    return any(_CONFIGURATION.search(path) for path in paths)


def _say_harmless(commit: Commit, edit: Edit, gone: int) -> str:
    if commit.paths and all(_NOT_IN_PRODUCTION.search(path) for path in commit.paths):
        return "it touches only documentation, tests, styles or places outside production"
    if commit.paths and all(_BUMP_FILES.search(path) for path in commit.paths):
        return _say_bump(edit)
    if not edit.was_read:
        return "by its title it changes nothing that runs" if _SAID_TO_BE_HARMLESS.match(commit.message) else ""
    if not edit.removed and not edit.added:
        return "its diff changes comments, layout or order alone"
    if not edit.removed and gone >= len(edit.added):
        return "its diff moves code without taking any away"
    return ""


def _say_bump(edit: Edit) -> str:
    """A patch release of a library promises to change nothing; a minor one promises less, and is not called harmless."""
    before = [found.groups() for line in edit.removed if (found := _VERSION.search(line))]
    after = [found.groups() for line in edit.added if (found := _VERSION.search(line))]
    return "" if before != after else "it takes patch releases of libraries alone" if before else ""
