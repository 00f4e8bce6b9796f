"""What changed is found, what did not is not, and the blame goes where the evidence points."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from mimir_core.analysis.detect import compare_series, find_onset
from mimir_core.analysis.lines import LogSpan
from mimir_core.analysis.logs import find_templates
from mimir_core.analysis.rank import rank_candidates
from mimir_core.analysis.signs import find_signs, read_signs
from mimir_core.backends.drain import DrainMiner
from mimir_core.config import DetectSettings, LogSettings
from mimir_core.records import Direction, Evidence, EvidenceKind, FaultKind
from mimir_core.telemetry.signals import State, Statement

DETECT = DetectSettings(min_points=5, threshold=6, min_relative_change=0.15)
LOGS = LogSettings(similarity=0.5, depth=4, max_templates=1000, burst_ratio=3)
START = datetime(2026, 3, 1, tzinfo=UTC)
NO_SPAN = LogSpan(None, None)


def _metrics(shift: float, rows: int = 80, at: int = 55) -> pd.DataFrame:
    rng = np.random.default_rng(7)
    calm, moved = rng.normal(100, 3, rows), rng.normal(50, 2, rows)
    moved[at:] += shift
    columns = pd.MultiIndex.from_tuples([("web", "cpu_cores"), ("db", "memory_mib")])
    return pd.DataFrame(np.column_stack([calm, moved]), index=pd.date_range(START, periods=rows, freq="1min"), columns=columns)


def test_the_onset_is_where_the_series_parts() -> None:
    onset = find_onset(_metrics(shift=60), None, DETECT)
    assert onset is not None
    assert abs(onset - (START + timedelta(minutes=55))) <= timedelta(minutes=2)


def test_noise_has_no_onset_and_no_change() -> None:
    metrics = _metrics(shift=0)
    assert find_onset(metrics, None, DETECT) is None
    assert {item.direction for item in compare_series(metrics, None, "m.csv", DETECT)} == {Direction.STEADY}


def test_only_the_series_that_moved_scores() -> None:
    metrics = _metrics(shift=60)
    found = {item.component: item for item in compare_series(metrics, find_onset(metrics, None, DETECT), "m.csv", DETECT)}
    assert found["db"].direction is Direction.UP
    assert found["db"].score > 0
    assert (found["web"].direction, found["web"].score) == (Direction.STEADY, 0.0)


def test_missing_points_do_not_hide_a_change() -> None:
    metrics = _metrics(shift=60).mask(np.random.default_rng(1).random((80, 2)) < 0.4)
    assert find_onset(metrics, None, DETECT) is not None


def _log(component: str, text: str, minute: int, level: str = "info") -> Statement:
    return Statement("log", component, text, "logs.jsonl", time=START + timedelta(minutes=minute), level=level)


def test_a_new_template_is_news_and_an_old_one_is_not() -> None:
    lines = [_log("web", f"request {n} took {n * 3} ms", n % 60) for n in range(120)]
    lines += [_log("web", f"cannot parse order {n}", 40 + n, "error") for n in range(10)]
    found = list(find_templates(lines, LogSpan.of(lines, START + timedelta(minutes=40)), DrainMiner(LOGS), LOGS))
    assert [(item.subject, item.value and item.value.after) for item in found] == [("cannot parse order <n>", 10.0)]


def test_a_complaint_that_names_its_target_blames_the_target() -> None:
    lines = [_log("web", "dial tcp orders-db:5432: connect: connection refused", 5, "error")]
    [best, *_] = rank_candidates(find_signs(lines, NO_SPAN, read_signs()), read_signs())
    assert (best.component, best.fault_kind) == ("orders-db", FaultKind.DEPENDENCY)


def test_each_target_is_blamed_for_its_own_lines() -> None:
    lines = [
        _log("web", f"dial tcp {target}:5432: connection refused", n) for n, target in enumerate(["db-one"] + ["db-two"] * 5)
    ]
    found = {item.excerpt.split(":")[0]: item.value and item.value.after for item in find_signs(lines, NO_SPAN, read_signs())}
    assert found == {"dial tcp db-one": 1.0, "dial tcp db-two": 5.0}


def test_an_alert_or_a_metric_that_is_called_like_a_sign_bears_none() -> None:
    for kind in (EvidenceKind.ALERT, EvidenceKind.METRIC, EvidenceKind.RUNBOOK):
        item = Evidence(kind=kind, component="web", subject="OOMKilled", origin="x", score=1.0)
        assert rank_candidates([item], read_signs()) == ()


def test_a_series_that_stops_is_news() -> None:
    metrics = _metrics(shift=0)
    metrics.loc[metrics.index[60] :, ("db", "memory_mib")] = np.nan
    found = {
        item.component: item.direction for item in compare_series(metrics, metrics.index[60].to_pydatetime(), "m.csv", DETECT)
    }
    assert found == {"web": Direction.STEADY, "db": Direction.VANISHED}


def test_errors_that_were_always_there_weigh_little() -> None:
    always = [_log("web", "connection pool exhausted", minute) for minute in range(60)]
    fresh = [_log("api", "connection pool exhausted", minute) for minute in range(40, 60)]
    span = LogSpan.of(always + fresh, START + timedelta(minutes=40))
    ranked = rank_candidates(find_signs(always + fresh, span, read_signs()), read_signs())
    assert [candidate.component for candidate in ranked] == ["api", "web"]
    assert ranked[0].score > 2 * ranked[1].score


def test_a_fine_state_bears_no_sign() -> None:
    fine = Statement("kubernetes", "web", "web-1  1/1  Running  OOMKilled-guard", "get.txt", state="fine")
    assert list(find_signs([fine], NO_SPAN, read_signs())) == []


def _said(text: str, state: State = "untold") -> Statement:
    return Statement("kubernetes", "web", text, "get.txt", state=state)


def test_an_event_of_a_component_that_is_well_again_weighs_little() -> None:
    event = _said("Warning FailedScheduling: 0/3 nodes are available")
    now, bad = _said("web-1  1/1  Running", "fine"), _said("web-2  0/1  Pending", "bad")
    [over] = find_signs([event, now], NO_SPAN, read_signs())
    [lasting] = (s for s in find_signs([event, now, bad], NO_SPAN, read_signs()) if s.subject == over.subject)
    [alone] = find_signs([event], NO_SPAN, read_signs())
    assert over.score < lasting.score == alone.score == 1.0


def test_equal_scores_rank_by_name() -> None:
    lines = [_log(component, "no space left on device", 1) for component in ("b", "a", "c")]
    assert [c.component for c in rank_candidates(find_signs(lines, NO_SPAN, read_signs()), read_signs())] == ["a", "b", "c"]
