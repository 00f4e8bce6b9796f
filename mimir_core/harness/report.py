"""What a bench run found, as records that a later comparison reads, and the figures of all its cases together.

Comes in: answered cases. Goes out: :class:`BenchReport`. Surprises: held-out cases are among ``all``, and are told apart as well;
a share has the interval of a share (Wilson), any other mean that of a bootstrap over cases; an answer that did not come may have
cost tokens that nobody counted.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import AwareDatetime

from mimir_core.evaluation.diagnosis import share
from mimir_core.evaluation.ranking import mean_of
from mimir_core.harness.times import Timed, median_of
from mimir_core.records import Record

Figure = bool | float | None
"""Of one case: whether, how much, or nothing to tell."""
ALL, HELD_OUT = "all", "held_out"
_RCA = "rca"


class StageResult(Record):
    """What one stage found out about one case."""

    seconds: float
    figures: dict[str, Figure]
    beside: dict[str, dict[str, Figure]]
    """The same figures, of those who answer beside the provider."""
    result: dict[str, Any]


class CaseResult(Record):
    """One answered case."""

    case: str
    case_hash: str
    """Of its files, the truth among them: equal hashes, equal questions."""
    is_held_out: bool
    stages: dict[str, StageResult]
    times: dict[str, Timed]
    """Empty where no stage diagnoses."""

    @property
    def figures(self) -> dict[str, Figure]:
        """All figures of the provider, as ``stage.figure`` and ``time.name``."""
        found: dict[str, Figure] = {
            f"{stage}.{name}": value for stage, done in self.stages.items() for name, value in done.figures.items()
        }
        seconds = {f"{stage}.seconds": done.seconds for stage, done in self.stages.items()}
        return found | seconds | {f"time.{name}": timed.seconds for name, timed in self.times.items()}


class BenchReport(Record):
    """One bench run."""

    name: str
    settings: dict[str, Any]
    """The file that it was run with."""
    started_at: AwareDatetime
    prompt_version: str | None
    """None where no model was asked."""
    index_version: str | None
    cases: tuple[CaseResult, ...]
    unread: dict[str, str]
    """Cases that could not be read, and why."""
    summary: dict[str, Any]


def summarize(cases: Sequence[CaseResult]) -> dict[str, Any]:
    """Return the figures of a run."""
    held_out = [case for case in cases if case.is_held_out]
    groups = {ALL: cases} | ({HELD_OUT: held_out} if 0 < len(held_out) < len(cases) else {})
    asked = [case.stages[_RCA] for case in cases if _RCA in case.stages]
    reasons = Counter(done.result["degraded"] for done in asked if done.result.get("degraded"))
    costs = [cost / 1000 for done in asked if (cost := done.figures["cost_per_1000"]) is not None]
    return {
        "cases": {group: len(members) for group, members in groups.items()},
        "figures": {group: means_of(case.figures for case in members) for group, members in groups.items()},
        "beside": {group: _beside(members) for group, members in groups.items()},
        "latency_seconds": {stage: _percentiles(cases, stage) for stage in cases[0].stages},
        "times": {name: median_of([case.times[name] for case in cases]) for name in cases[0].times},
        "degraded": dict(reasons),
        "cost": {
            **{name: sum(int(done.figures[name] or 0) for done in asked) for name in ("input_tokens", "output_tokens")},
            "total": round(sum(costs), 6) if costs else None,
        },
    }


def means_of(rows: Iterable[Mapping[str, Figure]]) -> dict[str, Any]:
    """Return the mean of each figure over the rows that have it, with its 95 % interval and their number; None for none.

    >>> means_of([{"right": True, "cost": 0.5}, {"right": None, "cost": 0.7}])
    {'right': {'mean': 1.0, 'interval': [0.207, 1.0], 'cases': 1}, 'cost': {'mean': 0.6, 'interval': [0.5, 0.7], 'cases': 2}}
    """
    columns: dict[str, list[bool | float]] = {}
    for row in rows:
        for name, value in row.items():
            columns.setdefault(name, []).extend([] if value is None else [value])
    return {name: _mean(values) for name, values in columns.items()}


def _mean(values: Sequence[bool | float]) -> dict[str, Any] | None:
    if not values:
        return None
    if told := share([value for value in values if isinstance(value, bool)]):
        return {"mean": told["share"], "interval": told["interval"], "cases": told["of"]}
    [figure] = mean_of(np.array(values, dtype=float)[:, None])
    return {"mean": figure.value, "interval": [figure.low, figure.high], "cases": len(values)}


def _beside(cases: Sequence[CaseResult]) -> dict[str, Any]:
    rows: dict[str, list[dict[str, Figure]]] = {}
    for case in cases:
        for name in dict.fromkeys(name for done in case.stages.values() for name in done.beside):
            told = ((stage, done.beside.get(name, {})) for stage, done in case.stages.items())
            rows.setdefault(name, []).append({f"{stage}.{key}": value for stage, found in told for key, value in found.items()})
    return {name: means_of(found) for name, found in rows.items()}


def _percentiles(cases: Sequence[CaseResult], stage: str) -> dict[str, float]:
    middle, late = np.percentile([case.stages[stage].seconds for case in cases], (50, 95))
    return {"p50": round(float(middle), 4), "p95": round(float(late), 4)}
