"""A trace printed as a tree of spans -> where its time goes.

Comes in: text with one span a line, children indented below (Tempo's and Jaeger's text form). Goes out: a statement for each
span that a trace spends much of its time in by itself. Surprise: a span's own time is its duration less that of its children
(Jaeger documentation, "self time"); a parent that only waits is not slow.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from mimir_core.telemetry.signals import Statement

_SPAN = re.compile(r"^(?P<indent>[\s│]*)[├└]─+\s*(?P<name>.+?) \((?P<service>[\w.-]+)\) - (?P<ms>\d+(?:\.\d+)?)ms")
_STATEMENT = re.compile(r"^[\s│]*db\.(?:statement|query\.text): (\S.*)$")
_MAIN_SHARE = 0.3
_QUOTED_CHARACTERS = 140


@dataclass
class _Span:
    name: str
    service: str
    depth: int
    ms: float
    children_ms: float = 0.0
    query: str = ""
    root: "_Span | None" = field(default=None, repr=False)

    @property
    def own_ms(self) -> float:
        return max(0.0, self.ms - self.children_ms)


def is_trace(text: str) -> bool:
    """Whether ``text`` is a printed trace.

    >>> is_trace("├─ GET /cart (web) - 712.5ms (span_id=1)"), is_trace("├── Pod/web 1/1 Running")
    (True, False)
    """
    return any(_SPAN.match(line) for line in text.splitlines()[:50])


def parse_trace(text: str, origin: str, query: str = "") -> Iterator[Statement]:
    """Yield a statement for each place where the traces in ``text`` spend a main share of their time."""
    places: dict[tuple[str, str, str], list[_Span]] = defaultdict(list)
    for span in _spans(text.splitlines()):
        if span.root and span.root.ms > 0 and span.own_ms >= _MAIN_SHARE * span.root.ms:
            places[span.service, span.name, span.query].append(span)
    for (service, name, statement), spans in places.items():
        own, whole = (sum(values) / len(spans) for values in ((s.own_ms for s in spans), (s.root.ms for s in spans if s.root)))
        what = f"the database query {statement[:_QUOTED_CHARACTERS]}" if statement else name
        said = f"spends {own:.0f} of {whole:.0f} ms of {spans[0].root.name if spans[0].root else name} in {what}"
        yield Statement("tool", service, said, origin, query, state="bad", count=len(spans))


def _spans(lines: Iterable[str]) -> list[_Span]:
    spans: list[_Span] = []
    above: list[_Span] = []
    for line in lines:
        if found := _SPAN.match(line):
            span = _Span(found["name"], found["service"], len(found["indent"]), float(found["ms"]))
            above = [parent for parent in above if parent.depth < span.depth]
            if above:
                above[-1].children_ms += span.ms
            span.root = above[0] if above else span
            above.append(span)
            spans.append(span)
        elif spans and (statement := _STATEMENT.match(line)):
            spans[-1].query = " ".join(statement[1].split())
    return spans
