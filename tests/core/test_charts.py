"""Charts show what decided, point to the evidence, and lose no peak."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from mimir_core.analysis.charts import draw_charts
from mimir_core.analysis.flow import LATENCY, Loss
from mimir_core.analysis.levels import Shift
from mimir_core.analysis.root_cause import RootCause
from mimir_core.analysis.signs import read_signs
from mimir_core.analysis.suspects import Suspicion
from mimir_core.analysis.trace_times import Slowness
from mimir_core.reasoning.charts_svg import draw_series
from mimir_core.reasoning.html_page import render_html
from mimir_core.records import (
    Candidate,
    Chart,
    Diagnosis,
    Evidence,
    EvidenceKind,
    EvidencePack,
    FaultKind,
    Incident,
    Measurement,
    Run,
    Verdict,
)
from mimir_core.telemetry.signals import Signals, Statement

START = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
ONSET = START + timedelta(minutes=40)
CALLS = frozenset({("web", "cart"), ("cart", "db"), ("web", "ads"), ("batch", "db"), ("ads", "far"), ("web", "web")})


def test_the_series_of_the_cause_and_what_users_feel_are_drawn_once_each() -> None:
    charts = [chart for chart in _drawn() if chart.kind == "series"]
    assert [chart.title for chart in charts] == ["db cpu_pct", "db io_wait", "web latency_p95"]
    assert {chart.onset for chart in charts} == {ONSET.timestamp()}


def test_a_chart_points_to_the_evidence_that_it_shows() -> None:
    pack = _pack()
    cpu, *_ = _drawn(pack)
    assert [item.subject for item in map(pack.find, cpu.evidence_ids) if item] == ["cpu_pct"]


def test_a_suspicion_that_is_weak_beside_the_others_is_not_drawn() -> None:
    weak = _suspicion(Shift("db", "io_wait", 1, 2, 0.1, 0.01), 0.01)
    titles = [chart.title for chart in _drawn(suspicions=[_suspicion(Shift("db", "cpu_pct", 5, 90, 1, 3)), weak])]
    assert "db cpu_pct" in titles
    assert "db io_wait" not in titles


def test_a_loss_is_drawn_as_its_series_and_slow_spans_as_their_time() -> None:
    found = [_suspicion(Loss("db", LATENCY, "latency_ms", 0.3, 5, 50)), _suspicion(Slowness("cart", "db", 9e3, 1, 1e3, 9e3, 80))]
    loss, spans, *_ = _drawn(suspicions=found)
    assert loss.title == "db latency_ms"
    assert (spans.title, spans.unit) == ("cart calls of db", "ms, mean")
    before, after = _sides(spans)
    assert max(before) == pytest.approx(1.0)
    assert min(after) == pytest.approx(9.0)


def test_a_long_series_is_thinned_and_keeps_its_peak_and_its_dip() -> None:
    values = np.ones(5000)
    values[1234], values[4321] = 80.0, -80.0
    chart = _series_chart(values)
    assert len(chart.times) <= 120
    assert {80.0, -80.0} <= {*_values(chart)}


def test_a_gap_is_missing_and_a_slower_series_is_not() -> None:
    values = np.tile([1.0, np.nan], 40)
    assert None not in _values(_series_chart(values))[:-1]
    values[20:60] = np.nan
    assert None in _values(_series_chart(values))[:-1]


def test_a_series_that_ends_early_is_missing_to_the_end_of_the_time() -> None:
    values = np.ones(80)
    values[50:] = np.nan
    chart = _series_chart(values)
    assert _values(chart)[-1] is None
    assert chart.times[-1] == (START + timedelta(minutes=79)).timestamp()


def test_what_is_not_finite_is_missing() -> None:
    values = np.ones(80)
    values[-1] = np.inf
    assert _values(_series_chart(values))[-1] is None


def test_bins_of_a_burst_meet_at_the_onset_and_hold_each_line_once() -> None:
    (burst,) = (chart for chart in _drawn() if chart.kind == "lines")
    assert burst.title == "db: too many clients, <*> waiting"
    assert ONSET.timestamp() in burst.times
    before, after = _sides(burst)
    assert (sum(before), sum(after)) == (2, 60)


def test_what_decided_is_drawn_even_where_it_is_rare() -> None:
    rare = [_line(minute, "ads", f"lost {minute}") for minute in (45, 50, 55)]
    lost = _evidence(EvidenceKind.LOG, "ads", "lost <*>", before=0, after=3)
    blamed = Candidate(component="db", fault_kind=FaultKind.DATABASE, score=0.9, evidence_ids=(lost.id,))
    for candidates, titles in (((), []), ((blamed,), ["ads: lost <*>"])):
        pack = _pack(lost).model_copy(update={"candidates": candidates})
        charts = _drawn(pack, [_line(0, "web", "up"), *rare, _line(79, "web", "up")])
        assert [chart.title for chart in charts if chart.kind == "lines"] == titles


def test_no_bar_crosses_an_onset_between_two_milliseconds() -> None:
    (burst,) = (chart for chart in _drawn(onset=ONSET + timedelta(microseconds=123_456)) if chart.kind == "lines")
    assert burst.onset in burst.times


def test_lines_that_come_as_often_as_before_are_no_burst() -> None:
    steady = [_line(minute, "db", f"too many clients, {minute} waiting") for minute in range(80)]
    assert not [chart for chart in _drawn(statements=steady) if chart.kind == "lines"]


def test_a_sign_is_counted_by_its_own_words() -> None:
    lines = [_line(minute, "db", "java.lang.OutOfMemoryError: Java heap space") for minute in range(41, 60)]
    sign = next(name for name, sign in read_signs().signs.items() if "log" in sign.places and sign.find(lines[0].text))
    pack = _pack(_evidence(EvidenceKind.LOG, "db", sign, before=0, after=19))
    (burst,) = (chart for chart in _drawn(pack, statements=[_line(0, "web", "up"), *lines]) if chart.kind == "lines")
    assert sum(value or 0 for value in _values(burst)) == 19


def test_the_graph_holds_the_ways_between_cause_and_affected_and_their_neighbours() -> None:
    graph = _drawn()[-1]
    assert {node.component: node.role for node in graph.nodes} == {
        "db": "cause",
        "web": "affected",
        "cart": "between",
        "ads": "near",
        "batch": "near",
    }
    assert graph.edges == (("batch", "db"), ("cart", "db"), ("web", "ads"), ("web", "cart"))


def test_a_crowd_of_neighbours_is_cut_and_the_suspected_ones_stay() -> None:
    crowd = {f"n{number:03}": 0.0 for number in range(100)} | {"zz": 0.5}
    graph = _drawn(calls=CALLS | {("db", name) for name in crowd}, ranking=(("db", 0.9), *crowd.items()))[-1]
    names = [node.component for node in graph.nodes]
    assert len(names) == 25
    assert names[:4] == ["db", "web", "cart", "zz"]


def test_without_an_onset_nothing_is_drawn() -> None:
    assert _drawn(onset=None) == ()


def test_a_cause_without_a_series_a_line_or_a_call_has_no_chart() -> None:
    pack = EvidencePack(incident=Incident(id="i", title="t"))
    root_cause = RootCause(ONSET, (("ghost", 0.5),), (), 0.5, FaultKind.NONE, calls=CALLS)
    assert draw_charts(Signals(pack.incident), root_cause, pack, read_signs()) == ()


def test_the_same_case_gives_the_same_bytes_in_any_order_of_its_parts() -> None:
    lines = _statements()
    pages = {_page(_pack().model_copy(update={"charts": _drawn(statements=said)})) for said in (lines, lines[::-1], lines)}
    assert len(pages) == 1


def test_a_picture_says_its_numbers_in_words() -> None:
    picture = draw_series(_drawn()[0])
    assert 'role="img"' in picture
    assert "<title>db cpu_pct</title>" in picture
    assert "Before the onset at 02:40:00: 5. After it: 90." in picture


def test_a_page_of_a_healthy_system_blames_nobody_in_a_picture() -> None:
    pack = _pack().model_copy(update={"charts": _drawn()})
    assert "<svg" in _page(pack)
    assert "<svg" not in _page(pack, Verdict.HEALTHY)


def test_a_chart_without_a_time_for_each_value_is_refused() -> None:
    with pytest.raises(ValidationError, match="2 times for 1 values"):
        Chart(kind="series", title="t", component="c", times=(1, 2), values=(1,))


def test_charts_survive_the_way_through_json() -> None:
    pack = _pack().model_copy(update={"charts": _drawn()})
    assert EvidencePack.model_validate_json(pack.model_dump_json()) == pack


# --- a case: db is busy, web is slow ----------------------------------------------------------------------------


def _drawn(pack: EvidencePack | None = None, statements: list[Statement] | None = None, **changed: object) -> tuple[Chart, ...]:
    """Draw the case, with something else for a part of what the numbers say."""
    moved = tuple(_suspicion(Shift("db", metric, 5, 90, 1, 3)) for metric in ("cpu_pct", "cpu_m", "io_wait"))
    root_cause = RootCause(ONSET, (("db", 0.9), ("web", 0.1)), moved, 0.9, FaultKind.CPU, calls=CALLS)
    pack = pack or _pack()
    signals = Signals(pack.incident, _metrics(), statements=statements or _statements(), spans=_spans())
    return draw_charts(signals, replace(root_cause, **changed), pack, read_signs())


def _values(chart: Chart) -> tuple[float | None, ...]:
    return chart.values  # noqa: PD011 - no pandas


def _series_chart(values: np.ndarray) -> Chart:
    index = pd.date_range(START, periods=len(values), freq="min")
    signals = Signals(Incident(id="i", title="t"), pd.DataFrame({("db", "cpu_pct"): values}, index=index))
    found = (_suspicion(Shift("db", "cpu_pct", 5, 90, 1, 3)),)
    pack = EvidencePack(incident=signals.incident)
    return draw_charts(signals, RootCause(ONSET, (("db", 0.9),), found, 0.9, FaultKind.CPU), pack, read_signs())[0]


def _metrics() -> pd.DataFrame:
    index = pd.date_range(START, periods=80, freq="min")
    late = np.arange(80) >= 40
    cpu = np.where(late, 90.0, 5.0)
    return pd.DataFrame(
        {
            ("db", "cpu_pct"): cpu,
            ("db", "cpu_m"): cpu * 40,
            ("db", "io_wait"): np.where(late, 3.0, 1.0) + np.sin(np.arange(80)),
            ("db", "latency_ms"): np.where(late, 50.0, 5.0) + np.cos(np.arange(80)),
            ("web", "latency_p50"): np.where(late, 12.0, 10.0) + np.sin(np.arange(80)) / 9,
            ("web", "latency_p95"): np.where(late, 90.0, 20.0) + np.cos(np.arange(80) / 2),
            ("web", "memory_mib"): np.where(late, 900.0, 10.0) + np.sin(np.arange(80) / 3),
        },
        index=index,
    )


def _statements() -> list[Statement]:
    minutes = [5.0, 25.0, *np.linspace(41, 70, 60)]
    return [
        _line(0, "web", "ready"),
        _line(79, "web", "ready"),
        *(_line(m, "db", f"too many clients, {m} waiting") for m in minutes),
    ]


def _line(minute: float, component: str, text: str) -> Statement:
    return Statement("log", component, text, "logs.txt", time=START + timedelta(minutes=minute))


def _spans() -> pd.DataFrame:
    rows = []
    for minute in range(80):
        took = 9000.0 if minute >= 40 else 1000.0
        at = (START + timedelta(minutes=minute)).timestamp() * 1e6
        rows.append((f"t{minute}", "a", "", "cart", "get", at, took + 500, False))
        rows.append((f"t{minute}", "b", "a", "db", "read", at, 500.0, False))
    names = ["trace", "span", "parent", "component", "operation", "start_us", "duration_us", "is_error"]
    return pd.DataFrame(rows, columns=names)


def _suspicion(finding: object, strength: float = 0.8) -> Suspicion:
    return Suspicion("db", "level", FaultKind.CPU, strength, finding)


def _pack(*more: Evidence) -> EvidencePack:
    evidence = (
        _evidence(EvidenceKind.METRIC, "db", "cpu_pct", before=5, after=90),
        *(more or (_evidence(EvidenceKind.LOG, "db", "too many clients, <*> waiting", before=2, after=60),)),
    )
    return EvidencePack(incident=Incident(id="i", title="web is slow", service="web"), evidence=evidence)


def _evidence(kind: EvidenceKind, component: str, subject: str, *, before: float, after: float) -> Evidence:
    value = Measurement(before=before, after=after, unit="lines" if kind is EvidenceKind.LOG else "")
    return Evidence(kind=kind, component=component, subject=subject, origin="case", value=value, score=0.9)


def _sides(chart: Chart) -> tuple[list[float], list[float]]:
    assert chart.onset is not None
    points = [(time, value) for time, value in zip(chart.times, chart.values, strict=False) if value is not None]
    return [value for time, value in points if time < chart.onset], [value for time, value in points if time >= chart.onset]


def _page(pack: EvidencePack, verdict: Verdict = Verdict.UNDETERMINED) -> str:
    run = Run(id="r", incident_id="i", diagnosis_hash="h", reasoner="builtin", started_at=START, latency_ms=1)
    return render_html(Diagnosis(incident_id="i", verdict=verdict, headline="-", reason="-"), pack, run)
