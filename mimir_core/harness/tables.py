"""A bench run, and a comparison of some, as tables that people read.

Comes in: a report, or a comparison. Goes out: tables as rows of text. Surprise: each figure stands there in the operator's words,
and which way is better is said once, in :data:`QUALITY` and :data:`EFFORT`; figures that neither names are in the JSON alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from mimir_core.evaluation.ranking import Figure
from mimir_core.harness.compare import Comparison, Difference
from mimir_core.harness.report import ALL, BenchReport
from mimir_core.harness.times import MMTD, MTTD, MTTR


class Table(NamedTuple):
    """Rows under a head."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


class Shown(NamedTuple):
    """A figure in words."""

    words: str
    better: str = ""
    """``higher`` or ``lower``; empty where neither is."""


QUALITY: Mapping[str, Shown] = MappingProxyType(
    {
        "rca.root_cause": Shown("root cause named first", "higher"),
        "rca.root_cause_in_three": Shown("root cause among the first three", "higher"),
        "rca.fault_kind": Shown("kind of fault", "higher"),
        "rca.verdict": Shown("verdict", "higher"),
        "rca.category": Shown("category", "higher"),
        "rca.invented_cause": Shown("cause invented where there is none", "lower"),
        "rca.degraded": Shown("no answer could stand", "lower"),
        "remediation.right_action": Shown("an action that helps", "higher"),
        "remediation.safe_actions": Shown("actions that are safe", "higher"),
        "executor.executable": Shown("actions that could run as they stand"),
    }
)
EFFORT: Mapping[str, Shown] = MappingProxyType(
    {
        "correlation.alerts": Shown("alerts of a case"),
        "correlation.signals": Shown("signals recorded"),
        "correlation.evidence": Shown("pieces of evidence kept"),
        "correlation.noise_reduction": Shown("share of the signals left out"),
        "correlation.cause_in_pack": Shown("cause still among the suspects", "higher"),
        "executor.needs_approval": Shown("actions that need approval"),
        "rca.seconds": Shown("seconds to find the cause", "lower"),
        f"time.{MTTD}": Shown("seconds from case to diagnosis (MTTD)", "lower"),
        f"time.{MMTD}": Shown("seconds from onset to diagnosis (MMTD)", "lower"),
        "rca.input_tokens": Shown("tokens read", "lower"),
        "rca.output_tokens": Shown("tokens written", "lower"),
        "rca.cost_per_1000": Shown("cost of 1,000 such cases", "lower"),
    }
)
SHOWN = {**QUALITY, **EFFORT}
_HEAD = "mean of the cases [95 %]"
_ALIKE = "correlation."
"""What comes before any provider, and so tells none from another."""
_CLOCKS = {MTTD: "MTTD, case to diagnosis", MMTD: "MMTD, onset to diagnosis", MTTR: "MTTR, alert to recovery"}


def tables_of(report: BenchReport) -> Iterator[Table]:
    """Yield what a run found."""
    summary = report.summary
    for group, figures in summary["figures"].items():
        beside = summary["beside"][group]
        rows = [
            [SHOWN[name].words, _told(figures[name]), *(_told(found.get(name)) for found in beside.values())]
            for name in QUALITY
            if figures.get(name)
        ]
        title = f"{report.name}: {summary['cases'][group]} cases, {group.replace('_', ' ')}"
        yield Table(title, [_HEAD, report.name, *(name.replace("_", " ") for name in beside)], rows)
    effort = [[EFFORT[name].words, _told(told)] for name in EFFORT if (told := summary["figures"][ALL].get(name))]
    latency = [
        [f"latency of {stage}", f"p50 {at['p50']:.3f} s, p95 {at['p95']:.3f} s"]
        for stage, at in summary["latency_seconds"].items()
    ]
    clocks = [[_CLOCKS[name], _clock(found)] for name, found in summary["times"].items()]
    yield Table("What it took", [_HEAD, ""], [*effort, *latency, *clocks, ["cost", _cost(summary["cost"])], *_trouble(report)])


def comparison_tables(comparison: Comparison) -> Iterator[Table]:
    """Yield runs beside each other, then what each gains over the first."""
    first, *others = comparison.means
    told = [name for name in SHOWN if any(means.get(name) for means in comparison.means.values())]
    shown = [name for name in told if not name.startswith(_ALIKE)]
    rows = [[SHOWN[name].words, *(_told(means.get(name)) for means in comparison.means.values())] for name in shown]
    yield Table(f"{comparison.cases} cases that all answered", [_HEAD, *comparison.means], rows)
    for other in others:
        found = comparison.differences[other]
        gains = [
            [SHOWN[name].words, _signed(found[name].figure), str(found[name].cases), judge(found[name], SHOWN[name].better)]
            for name in shown
            if name in found
        ]
        yield Table(f"{other} less {first}", ["paired by case", "difference [95 %]", "cases", f"{other} is"], gains)


def judge(difference: Difference, better: str) -> str:
    """Return what a difference says of the run that it is about.

    >>> judge(Difference(Figure(-2.0, -3.0, -1.0), 9), "lower"), judge(Difference(Figure(0.1, -0.1, 0.3), 9), "higher")
    ('better', 'not told apart')
    """
    if not difference.is_told_apart:
        return "not told apart"
    direction = "higher" if difference.figure.value > 0 else "lower"
    return direction if not better else "better" if direction == better else "worse"


def _told(mean: Mapping[str, Any] | None) -> str:
    if mean is None:
        return "-"
    low, high = mean["interval"]
    return f"{_number(mean['mean'])} [{_number(low)}, {_number(high)}]"


def _number(value: float) -> str:
    """Two decimals where they say something.

    >>> _number(0.5), _number(0.0031), _number(412.25)
    ('0.50', '0.0031', '412')
    """
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.2f}" if value == 0 or abs(value) >= 0.1 else f"{value:.2g}"


def _signed(figure: Figure) -> str:
    return f"{'+' if figure.value > 0 else ''}{_number(figure.value)} [{_number(figure.low)}, {_number(figure.high)}]"


def _clock(found: Mapping[str, Any]) -> str:
    why = "; ".join(f"{count} not: {reason}" for reason, count in found["not_counted"].items())
    median = found["median_seconds"]
    told = "none" if median is None else f"median {_number(median)} s of {found['counted']}"
    return f"{told} ({why})" if why else told


def _cost(cost: Mapping[str, Any]) -> str:
    tokens = f"{cost['input_tokens']} tokens read, {cost['output_tokens']} written"
    return f"{'unknown: no price_per_million' if cost['total'] is None else cost['total']} ({tokens})"


def _trouble(report: BenchReport) -> Iterator[Sequence[str]]:
    for reason, count in report.summary["degraded"].items():
        yield "degraded", f"{count}: {reason}"
    for case, reason in report.unread.items():
        yield "not read", f"{case}: {reason}"
