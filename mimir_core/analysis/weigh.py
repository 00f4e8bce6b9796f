"""What speaks for and against one change.

Comes in: :class:`Changes`, a :class:`Scene`, its :class:`News`. Goes out: reasons, each a sentence and its log-odds. Time is a
likelihood ratio; place, diff, words and numbers are weights of params.yaml, in part or in full. Surprise: words count by how
few of the commits say them (inverse document frequency; Sparck Jones, 1972), so what every commit names blames none.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import PurePosixPath
from typing import NamedTuple

from mimir_core.analysis.diffs import Edit, NumberChange, read_edit
from mimir_core.analysis.mechanisms import find_harms, find_outside
from mimir_core.analysis.scene import News, Novelty, Scene
from mimir_core.analysis.shipped import Shipped, touches
from mimir_core.analysis.words import SHORTEST_WORD, split_words, stem, tells
from mimir_core.config import ChangeSettings
from mimir_core.telemetry.changes import Changes, Commit

_SHORTEST_WINDOW = 4
"""Times the mean lag: the least time in which a change that is not to blame can have come."""
_WORDS_THAT_SATURATE = 1.5
_MOST_NAMED = 4
_QUOTED_CHARACTERS = 80
_SAME_NUMBER = 0.02
_REPEATED_NUMBER = 0.5
"""What a number in a new line counts for, against the same step in a metric."""
_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.]*\w)")
_SAYS_REVERT = re.compile(r"\b(?:revert|roll(?:ed|ing)? ?back|back ?out)", re.IGNORECASE)
_SHORT_SHA = 7


class Reason(NamedTuple):
    """Why a change is likelier, or less likely, to blame."""

    text: str
    log_odds: float


@dataclass(frozen=True)
class Scales:
    """All that a change is weighed against."""

    changes: Changes
    scene: Scene
    news: News
    settings: ChangeSettings

    @cached_property
    def _telling(self) -> dict[str, str]:
        """Words that only the news say, each with where it stands."""
        names = " ".join(
            (*self.scene.observed, *self.scene.components, *(deploy.service for deploy in self.changes.deploys))
        ).lower()
        telling: dict[str, str] = {}
        for text in (*(novelty.text for novelty in self.news.novelties), self.news.alert):
            for word in split_words(text):
                if tells(word) and word not in self.news.calm_words and word not in names:
                    telling.setdefault(stem(word), text)
        return telling

    @cached_property
    def _commits_with(self) -> Counter[str]:
        """In how many commits each word is."""
        return Counter(word for commit in self.changes.commits for word in self._words_of(commit))

    def _words_of(self, commit: Commit) -> set[str]:
        return {stem(word) for word in split_words(f"{commit.message}\n{self._edits[commit.sha].text}") if tells(word)}

    @cached_property
    def _edits(self) -> dict[str, Edit]:
        return {commit.sha: read_edit(commit, self.settings.max_diff_lines) for commit in self.changes.commits}

    def weigh(self, shipped: Shipped) -> Iterator[Reason]:
        """Yield all that speaks for or against ``shipped``."""
        weights = self.settings.weights
        yield from self._weigh_time(shipped.time)
        yield from self._weigh_place(shipped)
        if shipped.is_passenger:
            yield Reason(f"it came with a deploy of {shipped.service} that was made for another commit", weights.passenger)
        if shipped.kind == "flag":
            yield Reason("it is a flag, whose effect is not on record", weights.flag)
            yield from self._weigh_words({stem(word) for word in split_words(shipped.id)}, "its name")
        if shipped.commit:
            yield from self._weigh_edit(shipped.commit)
        yield from self._weigh_reverts(shipped)

    def weigh_none(self, considered: list[Shipped]) -> Iterator[Reason]:
        """Yield what speaks for a cause that is none of the changes."""
        weights = self.settings.weights
        says, share = find_outside(self.news)
        if share:
            yield Reason(f"{says}: {share:.0%} of what is new tells of it", weights.outside * math.sqrt(share))
        touched = [c for c in self.news.first for shipped in considered if c == shipped.service or self._has_path_to(shipped, c)]
        if not touched:
            first = ", ".join(sorted(self.news.first))
            yield Reason(f"it began at {first}, which no change before it touched", weights.untouched)

    def _has_path_to(self, shipped: Shipped, component: str) -> bool:
        return shipped.commit is not None and touches(component, shipped.commit.paths)

    def _weigh_time(self, time: datetime) -> Iterator[Reason]:
        """Log-likelihood ratio of the lag to the next thing that is new: cause against a change that came at any time."""
        following = min((n.time for n in self.news.dating if n.time >= time - self.news.step), default=self.news.failed)
        lag = max(0.0, (following - time).total_seconds() / 60)
        mean, delayed = self.settings.lag_minutes, self.settings.delayed_share
        window = max(_SHORTEST_WINDOW * mean, (self.news.failed - self.news.started).total_seconds() / 60)
        ratio = window * (1 - delayed) / mean * math.exp(-lag / mean) + delayed
        yield Reason(f"it ran {_say_minutes(lag)} before the next thing that is new", math.log(ratio))
        if time > self.news.began + self.news.step:
            early = (time - self.news.began).total_seconds() / 60
            yield Reason(f"something was wrong {_say_minutes(early)} before it ran", self.settings.weights.late)

    def _weigh_place(self, shipped: Shipped) -> Iterator[Reason]:
        weights = self.settings.weights
        near = {*self.news.first, *([self.news.component] if self.news.component else [])}
        where = [name for name in near if name == shipped.service or self._has_path_to(shipped, name)]
        if where:
            name = shipped.service if shipped.service in where else min(where)
            yield Reason(f"it changed {name}, where the trouble shows first or which the alert names", weights.near)
        elif any(name == shipped.service or self._has_path_to(shipped, name) for name in self.news.troubled):
            yield Reason(f"it changed {shipped.service or 'a component'}, which shows trouble too", weights.near / 2)
        elif any({(name, shipped.service), (shipped.service, name)} & self.news.dependents for name in near):
            yield Reason(f"it changed {shipped.service}, a neighbour of where the trouble shows first", weights.near / 4)
        elif shipped.service in self.scene.observed:
            yield Reason(f"it changed {shipped.service}, which shows no trouble", weights.far)
        if where and any(shipped.service in pair for pair in self.news.dependents):
            apart = sorted(self.news.first - self.news.reached_from(shipped.service))
            if apart:
                share = len(apart) / len(self.news.first)
                yield Reason(
                    f"it began at {', '.join(apart)} too, which nothing shows to depend on {shipped.service}",
                    weights.apart * share,
                )

    def _weigh_edit(self, commit: Commit) -> Iterator[Reason]:
        weights = self.settings.weights
        edit = self._edits[commit.sha]
        if edit.harmless:
            yield Reason(edit.harmless, weights.harmless)
            return
        worst = max(
            find_harms(edit, self.news), key=lambda harm: (harm.strength * math.sqrt(harm.fit), harm.strength), default=None
        )
        signs = [*self._weigh_lost_names(edit), *self._weigh_number(edit), *self._weigh_stack(edit)]
        if worst and worst.fit:
            share = worst.strength * math.sqrt(worst.fit)
            yield Reason(f"its diff can do harm of the kind that is seen: {worst.says}", weights.harm * share)
        elif edit.was_read and not signs:
            doubt = worst.strength if worst else 0.0
            yield Reason("its diff shows nothing that could do what is seen", weights.idle * (1 - doubt))
        yield from signs
        yield from self._weigh_words(self._words_of(commit), "it")

    def _weigh_words(self, words: set[str], who: str) -> Iterator[Reason]:
        """Words of the change that only the news say, each the more the fewer commits say it (inverse document frequency)."""
        commits = len(self.changes.commits)
        rarity = {
            word: math.log((commits + 1) / (self._commits_with[word] + 0.5)) / math.log(commits + 2)
            for word in words & self._telling.keys()
        }
        total = sum(max(0.0, value) for value in rarity.values())
        if total:
            said = sorted(rarity, key=lambda word: (-rarity[word], word))[:_MOST_NAMED]
            quote = self._telling[said[0]][:_QUOTED_CHARACTERS]
            share = 1 - math.exp(-total / _WORDS_THAT_SATURATE)
            yield Reason(
                f'{who} names {", ".join(said)}, which only the news name: "{quote}"', self.settings.weights.words * share
            )

    def _weigh_lost_names(self, edit: Edit) -> Iterator[Reason]:
        for novelty in self.news.novelties:
            said = {name.lower() for name in re.findall(r"\w+", novelty.text)} if novelty.is_bad else set()
            for name in sorted(edit.lost_names):
                if name.lower() in said and not {*split_words(name)} <= self.news.calm_words:
                    yield Reason(
                        f'it takes {name} away, of which a new line speaks: "{novelty.text[:_QUOTED_CHARACTERS]}"',
                        self.settings.weights.lost_name,
                    )
                    return

    def _weigh_number(self, edit: Edit) -> Iterator[Reason]:
        found = max((self._find_number(number) for number in edit.numbers), default=(0.0, ""))
        if found[0]:
            yield Reason(found[1], self.settings.weights.number * found[0])

    def _find_number(self, number: NumberChange) -> tuple[float, str]:
        """How surely the new number is seen at work: 1 in a metric that made the same step, less in a new line."""
        written = f"{number.was_written} -> {number.written}"
        for novelty in self.news.novelties:
            if novelty.is_metric and _made_step(novelty, number):
                return 1.0, f"it changes a number from {written}, and so does {novelty.component} {novelty.text}"
        if float(number.written) < 1 or number.written in self.news.calm_words:
            return 0.0, ""
        words = {stem(word) for word in split_words(number.name) if len(word) >= SHORTEST_WORD}
        for novelty in self.news.novelties:
            if number.written in _NUMBER.findall(novelty.text) and words & {stem(word) for word in split_words(novelty.text)}:
                return (
                    _REPEATED_NUMBER,
                    f'it changes a number from {written}, which a new line repeats: "{novelty.text[:_QUOTED_CHARACTERS]}"',
                )
        return 0.0, ""

    def _weigh_stack(self, edit: Edit) -> Iterator[Reason]:
        for path in edit.paths:
            name = re.compile(rf"(?<![\w-]){re.escape(PurePosixPath(path).name)}\b")
            if "." in path and any(name.search(novelty.text) for novelty in self.news.novelties if novelty.is_bad):
                yield Reason(
                    f"an error's trace goes through {PurePosixPath(path).name}, which it changes", self.settings.weights.stack
                )
                return

    def _weigh_reverts(self, shipped: Shipped) -> Iterator[Reason]:
        later = [
            commit for commit in self.changes.commits if commit.time > self.news.failed and _SAYS_REVERT.search(commit.message)
        ]
        back = [flag for flag in self.changes.flags if flag.flag == shipped.id and flag.time > self.news.failed]
        title = shipped.commit.message.splitlines()[0] if shipped.commit and shipped.commit.message else ""
        if back or any((shipped.id[:_SHORT_SHA] in commit.message) or (title and title in commit.message) for commit in later):
            yield Reason("people took it back after it went wrong", self.settings.weights.reverted)


def _made_step(novelty: Novelty, number: NumberChange) -> bool:
    return all(
        math.isclose(seen, written, rel_tol=_SAME_NUMBER)
        for seen, written in ((novelty.before, number.old), (novelty.after, number.new))
    )


def _say_minutes(minutes: float) -> str:
    return f"{minutes:.0f} minutes" if round(minutes) != 1 else "1 minute"
