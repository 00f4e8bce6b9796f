"""A chart over time -> SVG that stands in a page: a series as a line, a burst of log lines as bars.

Comes in: :class:`Chart`. Goes out: one ``<svg>`` element; colours and fonts are the page's (``page.html``), so that it can be
read in light and dark. Surprises: all text is escaped here, and names stand on one line; the numbers are told in words too
(``<desc>``), for who cannot see the picture. Same chart, same bytes.
"""

import html
import math
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from mimir_core.records import Chart
from mimir_core.safety import escape

_NOT_XML = re.compile(r"[\ufffe\uffff\ud800-\udfff]")
"""What no XML may hold."""
_WIDTH, _HEIGHT, _TOP, _BOTTOM, _RIGHT = 480, 210, 20, 38, 14
_CHARACTER = 7
"""Width of a character, at most."""
_TICKS = 4
_DAY = 86400
_TIME_STEPS = (1, 2, 5, 10, 15, 30, *(60 * n for n in (1, 2, 5, 10, 15, 30)), *(3600 * n for n in (1, 2, 3, 6, 12)), _DAY)
_SUFFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1, ""))
_NO_SUFFIX_ABOVE = 1e15
_FEW_POINTS = 30
"""So many are drawn as dots on their line."""


class _Frame(NamedTuple):
    """The axes: which times and values there are, and where."""

    first: float
    last: float
    values: list[float]
    """Ticks, lowest first."""
    left: float

    def x(self, time: float) -> float:
        return round(self.left + (time - self.first) / (self.last - self.first) * (_WIDTH - _RIGHT - self.left), 1)

    def y(self, value: float) -> float:
        low, high = self.values[0], self.values[-1]
        return round(_HEIGHT - _BOTTOM - (value - low) / (high - low) * (_HEIGHT - _BOTTOM - _TOP), 1)


def draw_series(chart: Chart) -> str:
    """Draw a metric over time.

    >>> chart = Chart(kind="series", title="web cpu", component="web", times=(0, 60, 120), values=(1, 2, 4), onset=60)
    >>> draw_series(chart).split("<desc>")[1].split("</desc>")[0]
    '3 points from 1970-01-01 00:00:00 to 00:02:00 UTC. Before the onset at 00:01:00: 1. After it: between 2 and 4.'
    """
    there = [value for value in chart.values if value is not None]
    if not there:
        return _without_values(chart)
    low, high = min(there), max(there)
    frame = _frame(chart, value_ticks(0.0 if 0 <= low <= high / 2 else low, high))
    dots = len(there) <= _FEW_POINTS
    parts = []
    for run in _runs(chart.times, chart.values):
        places = [(frame.x(time), frame.y(value)) for time, value in run]
        if len(places) > 1:
            parts.append(f'<polyline class="seen" points="{" ".join(f"{x},{y}" for x, y in places)}"/>')
        if dots or len(places) == 1:
            parts += [f'<circle class="seen" cx="{x}" cy="{y}" r="2.5"/>' for x, y in places]
    return picture(chart.title, _WIDTH, _HEIGHT, _in_words(chart, there), [*_axes(chart, frame), *parts])


def draw_bars(chart: Chart) -> str:
    """Draw how often something was said, one bar a bin.

    >>> drawn = draw_bars(Chart(kind="lines", title="web: oops", component="web", times=(0, 9, 18), values=(0, 5), onset=9))
    >>> drawn.count("<rect"), drawn.split("<desc>")[1].split("</desc>")[0]
    (1, '5 lines from 1970-01-01 00:00:00 to 00:00:18 UTC. Before the onset at 00:00:09: 0. After it: 5, at most 5 in a bar.')
    """
    counts = [value or 0.0 for value in chart.values]
    if not counts:
        return _without_values(chart)
    frame = _frame(chart, value_ticks(0.0, max(counts), least_step=1.0))
    bars = []
    for (begin, end), count in zip(pairwise(chart.times), counts, strict=True):
        if count:
            side = "before" if chart.onset is not None and begin < chart.onset else "after"
            x, y = frame.x(begin), frame.y(count)
            size = f'width="{max(1.0, frame.x(end) - x - 1):.1f}" height="{frame.y(0) - y:.1f}"'
            bars.append(f'<rect class="{side}" x="{x}" y="{y}" {size}/>')
    return picture(chart.title, _WIDTH, _HEIGHT, _in_words(chart, counts), [*_axes(chart, frame), *bars])


def picture(title: str, width: float, height: float, words: str, parts: Iterable[str]) -> str:
    """Return an ``<svg>`` element that tells its ``title`` and its content in ``words``."""
    told = f"<title>{shown(title)}</title><desc>{shown(words)}</desc>"
    size = f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {size}>{told}{"".join(parts)}</svg>'


def shown(text: str) -> str:
    r"""Return ``text`` on one line, harmless in SVG and HTML, in attributes too.

    >>> shown('</title><script x="1">\x1b\n')
    '&lt;/title&gt;&lt;script x=&quot;1&quot;&gt;\\x1b'
    """
    return html.escape(_NOT_XML.sub("\ufffd", escape.line(text)))


def short(number: float, digits: int = 4) -> str:
    """Return a number as people read it on an axis.

    >>> short(1e12), short(-2500), short(0.30000000000000004), short(123456789, 9), short(3e20)
    ('1T', '-2.5k', '0.3', '123.456789M', '3e+20')
    """
    if abs(number) >= _NO_SUFFIX_ABOVE:
        return f"{number:.{digits}g}"
    scale, suffix = next(((scale, suffix) for scale, suffix in _SUFFIXES if abs(number) >= scale), (1, ""))
    return f"{number / scale:.{digits}g}{suffix}"


def value_ticks(low: float, high: float, least_step: float = 0.0) -> list[float]:
    """Return round values, evenly spaced, the first at or below ``low`` and the last at or above ``high``.

    >>> value_ticks(0, 99.9), value_ticks(5, 5), value_ticks(-3, 1)
    ([0.0, 50.0, 100.0], [3.0, 4.0, 5.0, 6.0, 7.0], [-3.0, -2.0, -1.0, 0.0, 1.0])
    """
    if math.isclose(low, high, rel_tol=1e-9, abs_tol=1e-300):
        low, high = low - (abs(low) / _TICKS or 1.0), high + (abs(high) / _TICKS or 1.0)
    power = 10.0 ** math.floor(math.log10((high - low) / _TICKS))
    step = max(least_step, next(power * n for n in (1, 2, 5, 10) if power * n * _TICKS >= high - low))
    return [step * n for n in range(math.floor(low / step), math.ceil(high / step) + 1)]


def time_ticks(first: float, last: float) -> tuple[float, list[float]]:
    """Return a round step in seconds, and its multiples between two times.

    >>> time_ticks(10, 1000)
    (300, [300, 600, 900])
    """
    least = (last - first) / _TICKS
    step = next((step for step in _TIME_STEPS if step >= least), math.ceil(least / _DAY) * _DAY)
    return step, [step * n for n in range(math.ceil(first / step), math.floor(last / step) + 1)]


def _frame(chart: Chart, ticks: list[float]) -> _Frame:
    first, last = chart.times[0], chart.times[-1]
    if first == last:
        first, last = first - 30, last + 30
    return _Frame(first, last, ticks, 12 + _CHARACTER * max(len(label) for label in _labels(ticks)))


def _labels(ticks: Sequence[float]) -> list[str]:
    """The ticks in as many digits as tell them apart."""
    step = ticks[1] - ticks[0]
    digits = max(math.ceil(math.log10(max(abs(tick) for tick in ticks) / step)) + 1, 3)
    return [short(tick, digits) for tick in ticks]


def _axes(chart: Chart, frame: _Frame) -> list[str]:
    """Grid, labels, and the time after the onset."""
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = []
    for value, label in zip(frame.values, _labels(frame.values), strict=True):
        y = frame.y(value)
        parts.append(f'<path class="grid" d="M{frame.left:g} {y}H{right}"/>')
        parts.append(f'<text class="value" x="{frame.left - 5:g}" y="{y + 4:g}">{label}</text>')
    step, ticks = time_ticks(frame.first, frame.last)
    for time in ticks:
        x, label = frame.x(time), _tell(time, _clock(step, frame.last - frame.first))
        parts.append(f'<path class="grid" d="M{x} {bottom}v4"/>')
        half = len(label) * _CHARACTER / 2
        x = min(max(x, half), _WIDTH - half)
        parts.append(f'<text class="time" x="{x:g}" y="{bottom + 16}">{label}</text>')
    dates = " to ".join(dict.fromkeys(_tell(end, "%Y-%m-%d") for end in (frame.first, frame.last)))
    parts.append(f'<text class="date" x="{right}" y="{_HEIGHT - 6}">{dates}, UTC</text>')
    if chart.unit:
        parts.append(f'<text class="unit" x="{frame.left:g}" y="{_HEIGHT - 6}">{shown(chart.unit)}</text>')
    if chart.onset is not None and frame.first <= chart.onset <= frame.last:
        x = frame.x(chart.onset)
        side = "start" if x < (frame.left + right) / 2 else "end"
        at = _tell(chart.onset, _clock(1, frame.last - frame.first)).removesuffix(":00")
        parts.append(f'<path class="after-onset" d="M{x} {_TOP}H{right}V{bottom}H{x}z"/>')
        parts.append(f'<path class="onset" d="M{x} {_TOP - 6}V{bottom}"/>')
        parts.append(f'<text class="{side}" x="{x + (4 if side == "start" else -4):g}" y="{_TOP - 7}">onset {at}</text>')
    return parts


def _runs(times: Iterable[float], values: Iterable[float | None]) -> list[list[tuple[float, float]]]:
    """Return the points between the gaps."""
    runs: list[list[tuple[float, float]]] = [[]]
    for time, value in zip(times, values, strict=True):
        if value is not None:
            runs[-1].append((time, value))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _in_words(chart: Chart, values: Sequence[float]) -> str:
    is_count = chart.kind == "lines"
    amount = f"{sum(values):g} lines" if is_count else f"{len(values)} point{'s' * (len(values) != 1)}"
    first, last = chart.times[0], chart.times[-1]
    same_day = _tell(first, "%F") == _tell(last, "%F")
    said = f"{amount} from {_tell(first, '%F %T')} to {_tell(last, '%T' if same_day else '%F %T')} UTC."
    if chart.onset is None:
        return f"{said} {_range(values, is_count=is_count)}."
    points = [(time, value) for time, value in zip(chart.times, chart.values, strict=False) if value is not None]
    before = _range([value for time, value in points if time < chart.onset], is_count=is_count)
    after = _range([value for time, value in points if time >= chart.onset], is_count=is_count)
    return f"{said} Before the onset at {_tell(chart.onset, '%T')}: {before}. After it: {after}."


def _range(values: Sequence[float], *, is_count: bool) -> str:
    if not values:
        return "nothing"
    low, high = short(min(values)), short(max(values))
    if is_count:
        return f"{sum(values):g}" + (f", at most {high} in a bar" if any(values) else "")
    return low if low == high else f"between {low} and {high}"


def _without_values(chart: Chart) -> str:
    return picture(chart.title, _WIDTH, 40, "No values.", ['<text class="start" x="12" y="24">no values</text>'])


def _clock(step: float, span: float) -> str:
    """Return how to tell times that are ``step`` seconds apart."""
    if step >= _DAY:
        return "%d %b"
    return "%d %b %H:%M" if span > _DAY else "%H:%M" if step >= 60 else "%H:%M:%S"


def _tell(time: float, how: str) -> str:
    return f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=time):{how}}"
