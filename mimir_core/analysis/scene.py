"""What was seen of an incident, reduced to what a change has to explain: when it began, where, and in which words.

Comes in: a :class:`Scene`. Goes out: :class:`News`. Surprises: nothing is known of the time of the fault; the first quarter of
the recording counts as calm, and a line or a level is news if the calm does not know it. Two times are kept apart: ``began``,
when the first thing moved (a slow leak), and ``failed``, when the first thing went wrong (the process was killed).
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd

from mimir_core.analysis.departure import Band, find_departure, is_drifting
from mimir_core.analysis.words import split_words, tells
from mimir_core.config import ChangeSettings

_CALM_SHARE = 0.25
_LEAST_SHARE = 0.1
"""Share of a series that is needed to know its course."""
_BAD_LEVELS = frozenset({"warn", "warning", "error", "err", "fatal", "critical", "crit", "alert", "emergency", "severe", "panic"})
_SAYS_BAD = re.compile(r"\b(?:error|exception|fail(?:ed|ure)?|fatal|panic|traceback|timed? ?out|refused|denied)\b", re.IGNORECASE)
_VARIABLE = re.compile(r"(?<![A-Za-z])[0-9a-f-]*\d[0-9a-f-]*", re.IGNORECASE)
_FEWEST_LINES = 3
_STEPS_AT_ONCE = 2
"""Within so many steps of the metrics things happen at once."""
_NOT_DEMAND = r"in ?flight|pending|queue|duration|latency|error|fail|throttl|time|cancel|reject"
_DEMAND = re.compile(rf"^(?!.*(?:{_NOT_DEMAND})).*(?:requests?|rps|qps|traffic|sessions)", re.IGNORECASE)


class SceneLine(NamedTuple):
    """One line of a log; ``text`` holds the message and, where there are any, its other fields as ``name=value``."""

    time: datetime
    component: str
    level: str
    text: str


@dataclass(frozen=True)
class Scene:
    """What was recorded of one incident."""

    alert: str
    """What the alert says, its metric included."""
    component: str | None
    """The component that the alert names."""
    metrics: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Index: time (UTC, sorted). Columns: pairs (component, metric). Values: floats, NaN where missing."""
    lines: Sequence[SceneLine] = ()
    calls: frozenset[tuple[str, str]] = frozenset()
    """Pairs (caller, called)."""
    components: frozenset[str] = frozenset()
    """Further components that are known."""
    alerted_at: datetime | None = None
    onset: datetime | None = None
    """When it went wrong, where that is known from elsewhere."""

    @cached_property
    def observed(self) -> frozenset[str]:
        """Components with a line or a metric."""
        return frozenset(line.component for line in self.lines) | {str(column[0]) for column in self.metrics.columns}


@dataclass(frozen=True)
class Novelty:
    """Something that the calm did not know."""

    component: str
    text: str
    """A log line, or the words of a metric's name and whether it rises or falls."""
    time: datetime
    is_bad: bool
    """Whether it says of itself that something is wrong."""
    is_metric: bool
    before: float = float("nan")
    """Median of a metric before; NaN for a log line."""
    after: float = float("nan")
    dates: bool = True
    """Whether its time tells when the trouble began: not how much is asked of the system, nor a line seen once or twice."""


@dataclass(frozen=True)
class News:
    """All that is new in a scene."""

    novelties: tuple[Novelty, ...]
    alert: str
    component: str | None
    began: datetime
    failed: datetime
    started: datetime
    """The first time of the recording."""
    step: timedelta
    """Between two points of the metrics: no time in them is known better."""
    calm_words: frozenset[str]
    """Words and numbers of the lines before it began."""
    dependents: frozenset[tuple[str, str]] = frozenset()
    """Pairs (one, other): one calls the other, or speaks of it."""

    @cached_property
    def dating(self) -> tuple[Novelty, ...]:
        """What tells when the trouble began, in the order of time."""
        return tuple(novelty for novelty in self.novelties if novelty.dates)

    @cached_property
    def first(self) -> frozenset[str]:
        """The components where it began, give or take a step."""
        return frozenset(n.component for n in self.dating if n.time <= self.began + _STEPS_AT_ONCE * self.step)

    def reached_from(self, component: str) -> frozenset[str]:
        """``component``, all that depend on it in one or more steps, and those that it depends on directly."""
        reached, fresh = {component}, {component}
        while fresh:
            fresh = {one for one, other in self.dependents if other in fresh} - reached
            reached |= fresh
        return frozenset(reached | {other for one, other in self.dependents if one == component})

    @cached_property
    def troubled(self) -> frozenset[str]:
        """All components with news."""
        return frozenset(novelty.component for novelty in self.novelties)


def read_news(scene: Scene, settings: ChangeSettings) -> News | None:
    """Return what is new in ``scene``, or None where the calm lasted.

    A metric is news where it departs from its course (:func:`find_departure`), a bad line where the calm has none like it,
    and another line where it comes at least three times as well. What came first of all that dates the trouble is when it
    began; it had failed for certain once both the metric of the alert moved and bad lines came.
    """
    times = [line.time for line in scene.lines] + [
        time.to_pydatetime() for time in (*scene.metrics.index[:1], *scene.metrics.index[-1:])
    ]
    if not times:
        return None
    started = min(times)
    found = [*_departures(scene, settings), *_new_lines(scene.lines, started + _CALM_SHARE * (max(times) - started))]
    found.sort(key=lambda novelty: (novelty.time, novelty.component, novelty.text))
    dating = [novelty for novelty in found if novelty.dates] or [novelty for novelty in found if novelty.is_bad]
    if not dating:
        return None
    alerted = [novelty.time for novelty in dating if _is_alerted(novelty, scene)][:1]
    complained = [novelty.time for novelty in dating if novelty.is_bad][:1]
    failed = scene.onset or min(
        [max([*alerted, *complained], default=dating[0].time), *([scene.alerted_at] if scene.alerted_at else [])]
    )
    return News(
        novelties=tuple(found),
        alert=scene.alert,
        component=scene.component,
        began=min(dating[0].time, failed),
        failed=failed,
        started=started,
        step=_step_of(scene.metrics),
        calm_words=frozenset(
            word for line in scene.lines if line.time < min(dating[0].time, failed) for word in split_words(line.text)
        ),
        dependents=frozenset(_find_dependents(scene)),
    )


def _find_dependents(scene: Scene) -> Iterator[tuple[str, str]]:
    yield from scene.calls
    names = scene.components | scene.observed
    if names:
        named = re.compile("|".join(rf"(?<![\w-]){re.escape(name)}(?![\w-])" for name in sorted(names, key=len, reverse=True)))
        for line in scene.lines:
            yield from ((line.component, name) for name in named.findall(line.text) if name != line.component)


def _step_of(metrics: pd.DataFrame) -> timedelta:
    if len(metrics) < _FEWEST_LINES:
        return timedelta(minutes=1)
    return timedelta(seconds=float(np.median(np.diff(metrics.index.to_numpy()) / np.timedelta64(1, "s"))))


def _is_alerted(novelty: Novelty, scene: Scene) -> bool:
    """Whether it is the metric that raised the alert."""
    words = {word for word in split_words(novelty.text) if tells(word)}
    return novelty.is_metric and novelty.component == scene.component and words <= set(split_words(scene.alert))


def _departures(scene: Scene, settings: ChangeSettings) -> Iterator[Novelty]:
    """Each metric from where it departs; the one of the alert from the start where it has gone one way all along."""
    band = Band(settings.threshold, settings.min_relative_change)
    for position, column in enumerate(scene.metrics.columns):
        series = scene.metrics.iloc[:, position].dropna()
        values = series.to_numpy(dtype=float)
        least = max(settings.min_points, math.ceil(_LEAST_SHARE * len(values)))
        at = find_departure(values, least, band)
        drifts = at is None and len(values) > least and is_drifting(values, band)
        if at is None and not drifts:
            continue
        before, after = float(np.median(values[: at or least])), float(np.median(values[at or -least :]))
        words = f"{' '.join(split_words(str(column[1])))} {'rises' if after > before else 'falls'}"
        novelty = Novelty(
            component=str(column[0]),
            text=words,
            time=series.index[at or 0].to_pydatetime(),
            is_bad=False,
            is_metric=True,
            before=before,
            after=after,
            dates=not _DEMAND.search(words),
        )
        if not drifts or _is_alerted(novelty, scene):
            yield novelty


def _new_lines(lines: Sequence[SceneLine], calm_until: datetime) -> Iterator[Novelty]:
    alike: dict[tuple[str, str], list[SceneLine]] = defaultdict(list)
    for line in lines:
        alike[line.component, _VARIABLE.sub("#", line.text)].append(line)
    for (component, _), group in alike.items():
        group.sort()
        is_bad = group[0].level.lower() in _BAD_LEVELS or (not group[0].level and bool(_SAYS_BAD.search(group[0].text)))
        if group[0].time > calm_until and (is_bad or len(group) >= _FEWEST_LINES):
            yield Novelty(
                component, group[0].text, group[0].time, is_bad=is_bad, is_metric=False, dates=len(group) >= _FEWEST_LINES
            )
