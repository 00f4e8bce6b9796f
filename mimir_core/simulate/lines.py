"""Log lines: what each component says while it serves requests, and what it says anyway.

Comes in: requests and the faults. Goes out: records with ``time, component, level, message`` and, where known, ``pod`` and
``trace_id``. Surprise: a fault changes lines by what it does to requests; a request that returns early lacks the lines that
would have followed, and no line says why.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from mimir_core.records import FaultKind
from mimir_core.simulate.dice import Dice
from mimir_core.simulate.effects import Planted
from mimir_core.simulate.names import STORES, Role
from mimir_core.simulate.requests import Call, Visit
from mimir_core.simulate.shapes import Timeline
from mimir_core.simulate.tables import read_table
from mimir_core.simulate.topology import System

_LEVELS = {"error": 3, "warn": 2, "info": 1, "debug": 0}
Line = dict[str, str]


class _Said(NamedTuple):
    """One line before it is given its form."""

    time: float
    component: int
    level: str
    message: str
    pod: str
    trace_id: str


@dataclass(frozen=True)
class _Voice:
    """The templates of one operation of one component."""

    enter: str
    doing: tuple[str, ...]
    done: str
    failed: str
    ordinary: str
    lost: str
    noun: str


class Writer:
    """Writes the log of one system."""

    def __init__(self, dice: Dice, system: System, hidden: frozenset[int]) -> None:
        self._dice, self._system, self._hidden = dice, system, hidden
        self._planted: list[Planted] = []
        self._phrases, self._words = read_table("phrases"), read_table("words")
        self._voices: dict[tuple[int, str], _Voice] = {}
        self._lowest = dice.pick([0, 1, 1, 1, 2])
        self._prefix = dice.pick(["", "", "[{level}] ", "{logger} - ", "level={level} msg="])
        self._has_pods, self._has_trace_ids = dice.chance(0.7), dice.chance(0.6)
        self._says_how_it_failed = dice.chance(0.6)
        self._silent = {
            number for number, known in enumerate(system.components) if known.role is Role.EXTERNAL or dice.chance(0.15)
        }
        self._reticent = {number for number, known in enumerate(system.components) if known.role in STORES}
        """Stores write what troubles them, not every request."""

    def write(self, requests: list[tuple[str, Visit]], planted: list[Planted], timeline: Timeline, most: int) -> list[Line]:
        """Return the lines in the order of time, at most about ``most``: whole requests are left out evenly."""
        self._planted = planted
        lines = [self._lines_of(visit, trace_id) for trace_id, visit in requests]
        total = sum(len(written) for written in lines)
        every = max(1, -(-total // most))
        told = [line for written in lines[::every] for line in written]
        told += self._background(timeline, max(50, len(told) // 4))
        for item in planted:
            told += self._sayings(item, timeline)
        return [self._record(said) for said in sorted(told, key=lambda said: said.time)]

    def _lines_of(self, visit: Visit, trace_id: str) -> list[_Said]:
        """Return all lines of one request."""
        voice, written = self._voice(visit), list[_Said]()
        took, end = visit.duration_us // 1000, visit.start_us + visit.duration_us
        known = {"op": visit.operation, "noun": voice.noun, "took": took, "id": f"{self._dice.integer(10_000, 99_999)}"}

        def say(time_us: float, level: str, template: str) -> None:
            if visit.component in self._reticent and level == "info":
                return
            if visit.component not in self._silent and visit.component not in self._hidden and _LEVELS[level] >= self._lowest:
                message = self._fill(template, **known)
                written.append(_Said(time_us / 1e6, visit.component, level, message, visit.pod, trace_id))

        say(visit.start_us, "info", voice.enter)
        middle = visit.start_us + visit.duration_us * 0.3
        if visit.ended in ("own", "fault"):
            self._say_failure(say, visit, voice, end)
        elif visit.ended != "early":
            for template in voice.doing:
                say(middle, "info", template)
        for call in visit.calls:
            if call.failed:
                self._say_lost(say, call, voice)
            if call.visit is not None:
                written += self._lines_of(call.visit, trace_id)
        if not visit.failed:
            say(end, "info", voice.done)
        elif self._says_how_it_failed and visit.component not in self._reticent:
            say(end, "error", voice.failed)
        return written

    def _say_failure(self, say: Any, visit: Visit, voice: _Voice, end: float) -> None:
        planted = self._at_fault(visit.component)
        if visit.ended == "own" or planted is None or not planted.fault.fails:
            say(end, "warn", voice.ordinary)
            return
        level, _, message = planted.fault.fails[_steady(visit.operation, len(planted.fault.fails))].partition("|")
        say(end, level, message + (self._stack(voice) if planted.fault.stack else ""))

    def _say_lost(self, say: Any, call: Call, voice: _Voice) -> None:
        callee = self._system.edges[call.edge].callee
        if callee in self._hidden:
            return
        planted, name = self._at_fault(callee), self._system.components[callee].name
        at = call.start_us + call.duration_us
        resolver = next((item for item in self._planted if item.fault.kind is FaultKind.DNS and call.visit is None), None)
        blamed = resolver or (planted if call.visit is None or call.visit.ended == "fault" else None)
        if blamed and blamed.fault.seen and at >= blamed.onset * 1e6:
            level, _, message = self._dice.pick(blamed.fault.seen).partition("|")
            say(at, level, message.replace("{callee}", name))
        else:
            say(at, "error", voice.lost.replace("{callee}", name))
        if self._system.edges[call.edge].retries:
            say(at + 1000, "warn", self._dice.pick(self._phrases["again"]).replace("{callee}", name))

    def _at_fault(self, number: int) -> Planted | None:
        return next((item for item in self._planted if item.component == number), None)

    def _stack(self, voice: _Voice) -> str:
        frames = "".join(
            f"\n    at {voice.noun}.{self._dice.pick(self._words['verbs'])}({voice.noun}.java:{self._dice.integer(12, 400)})"
            for _ in range(self._dice.integer(2, 5))
        )
        return frames if self._dice.chance(0.9) else ""

    def _background(self, timeline: Timeline, count: int) -> Iterator[_Said]:
        """Yield what is always there: each component has some lines of its own, at its own rate, errors among them."""
        told = [number for number in range(len(self._system.components)) if number not in self._hidden | self._silent]
        owned = {
            (number, level, template): often * self._dice.log_between(0.2, 5)
            for number in told
            for level, template, often in self._dice.sample(self._phrases["background"], self._dice.integer(0, 3))
        }
        for _ in range(count if owned else 0):
            number, level, template = self._dice.weighted(owned)
            if _LEVELS[level] >= self._lowest:
                time = timeline.start + self._dice.uniform() * (timeline.end - timeline.start)
                yield _Said(time, number, level, self._fill(template, **self._own_words(number)), self._pod(number), "")

    def _own_words(self, number: int) -> dict[str, Any]:
        """The words of a component's lines that do not vary."""
        return {"noun": self._voice_noun(number), "key": self._voice_noun(number + 1), "class": self._of_classes(number)}

    def _sayings(self, item: Planted, timeline: Timeline) -> Iterator[_Said]:
        """Yield what a component says while a fault lasts, a few lines a minute, more the stronger it is."""
        if item.component in self._hidden | self._silent or not item.fault.says or self._dice.chance(0.3):
            return
        callees = [self._system.components[edge.callee].name for edge in self._system.edges if edge.callee not in self._hidden]
        told = self._dice.sample(item.fault.says, self._dice.integer(1, len(item.fault.says)))
        per_row = self._dice.log_between(0.3, 12) * timeline.step / 60
        for row in range(timeline.rows):
            time = timeline.start + timeline.step * (row - self._dice.uniform())
            if time >= item.onset and self._dice.chance(min(per_row, 1.0) * float(item.level[row])):
                level, _, message = self._dice.pick(told).partition("|")
                text = message.replace("{callee}", self._dice.pick(callees))
                if _LEVELS[level] >= self._lowest:
                    words = self._own_words(item.component)
                    yield _Said(time, item.component, level, self._fill(text, **words), self._pod(item.component), "")

    def _voice(self, visit: Visit) -> _Voice:
        key = visit.component, visit.operation
        if key not in self._voices:
            pick, phrases = self._dice.pick, self._phrases
            noun = self._voice_noun(visit.component)
            fixed = {"key": pick(self._words["nouns"])["en"], "noun": noun, "class": pick(phrases["classes"])}

            def settle(template: str) -> str:
                for name, word in fixed.items():
                    template = template.replace(f"{{{name}}}", word)
                return template

            doing = tuple(settle(text) for text in self._dice.sample(phrases["doing"], self._dice.integer(0, 2)))
            enter, done, failed, ordinary, lost = (
                settle(pick(phrases[kind])) for kind in ("enter", "done", "failed", "ordinary", "lost")
            )
            self._voices[key] = _Voice(enter, doing, done, failed, ordinary, lost, noun)
        return self._voices[key]

    def _voice_noun(self, number: int) -> str:
        nouns = self._words["nouns"]
        return str(nouns[_steady(self._system.name + str(number), len(nouns))]["en"])

    def _of_classes(self, number: int) -> str:
        classes = self._phrases["classes"]
        return str(classes[_steady(self._system.name + str(number), len(classes))])

    def _pod(self, number: int) -> str:
        pods = self._system.components[number].pods
        return self._dice.pick(pods) if pods else ""

    def _fill(self, template: str, **known: Any) -> str:
        return template.format_map(_Words(self._dice, known)) if "{" in template else template

    def _record(self, said: _Said) -> Line:
        moment = datetime.fromtimestamp(round(said.time, 3), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        name = self._system.components[said.component].name
        prefix = self._prefix.format(level=said.level.upper(), logger=name)
        line = {"time": moment, "component": name, "level": said.level, "message": prefix + said.message}
        if said.pod and self._has_pods:
            line["pod"] = said.pod
        if said.trace_id and self._has_trace_ids:
            line["trace_id"] = said.trace_id
        return line


def _steady(text: str, below: int) -> int:
    """Return a number below ``below`` that is the same in every process."""
    return zlib.crc32(text.encode()) % below


class _Words(dict[str, Any]):
    """Draws the variables of a line when the template asks for them."""

    def __init__(self, dice: Dice, known: dict[str, Any]) -> None:
        super().__init__(known)
        self._dice = dice

    def __missing__(self, key: str) -> str:
        match key:
            case "ms":
                return str(round(self._dice.log_between(120, 9000)))
            case "id":
                return self._dice.hex(8)
            case "pct":
                return str(self._dice.integer(86, 99))
            case "path":
                return f"/var/lib/data/{self._dice.hex(6)}"
            case "class":
                return str(self._dice.pick(read_table("phrases")["classes"]))
            case "key" | "noun":
                return str(self._dice.pick(read_table("words")["nouns"])["en"])
        return str(self._dice.integer(2, 250))
