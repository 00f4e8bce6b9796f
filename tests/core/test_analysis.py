"""What changed is found, what did not is not, and the blame goes where the evidence points."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mimir_core.analysis.detect import compare_series, find_onset
from mimir_core.analysis.last_words import find_last_words
from mimir_core.analysis.lines import LogSpan
from mimir_core.analysis.logs import find_templates
from mimir_core.analysis.rank import rank_candidates
from mimir_core.analysis.signs import find_signs, read_signs
from mimir_core.analysis.spelling import find_misspellings
from mimir_core.analysis.suspects import Suspicion
from mimir_core.analysis.templates import TemplateGroups
from mimir_core.config import DetectSettings, LogSettings, TemplateSettings
from mimir_core.errors import ParamsError
from mimir_core.records import Direction, Evidence, EvidenceKind, FaultKind
from mimir_core.telemetry.signals import State, Statement

DETECT = DetectSettings(min_points=5, threshold=6, min_relative_change=0.15)
TEMPLATES = TemplateSettings(evidence=20, max_words=30, max_shapes=1000, min_constant_words=2, alike_share=0.5, max_statements=20)
LOGS = LogSettings(burst_ratio=3)
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
    found = list(find_templates(lines, LogSpan.of(lines, START + timedelta(minutes=40)), TemplateGroups(TEMPLATES), LOGS))
    assert [(item.subject, item.value and item.value.after) for item in found] == [("cannot parse order <*>", 10.0)]


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


def _reason(signal: str, fault: FaultKind, strength: float) -> tuple[Evidence, Suspicion]:
    item = Evidence(kind=EvidenceKind.TRACE, component="web", subject=signal, origin="x", score=strength)
    return item, Suspicion("web", signal, fault, strength, None)


def test_time_lost_where_a_resource_is_out_of_bounds_speaks_for_the_resource() -> None:
    lost, level = _reason("flow", FaultKind.LATENCY, 0.9), _reason("level", FaultKind.DISK, 0.6)
    faults = {
        reasons: [c.fault_kind for c in rank_candidates([], read_signs(), reasons_of=reasons)]
        for reasons in ((lost,), (lost, level))
    }
    assert faults == {(lost,): [FaultKind.LATENCY], (lost, level): [FaultKind.DISK, FaultKind.LATENCY]}


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


# --- what follows from what -----------------------------------------------------------------------------------------


def _ranked(statements: list[Statement], affected: str | None = None, span: LogSpan = NO_SPAN) -> list[tuple[str, FaultKind]]:
    found = list(find_signs(statements, span, read_signs()))
    found += find_last_words(found, statements)
    return [(c.component, c.fault_kind) for c in rank_candidates(found, read_signs(), affected)]


def test_an_effect_speaks_for_its_cause() -> None:
    crash = _said("Warning BackOff: Back-off restarting failed container web", "bad")
    panic = _log("web", "panic: runtime error: invalid memory address or nil pointer dereference", 1)
    assert _ranked([crash])[0] == ("web", FaultKind.CRASH)
    assert _ranked([crash, panic])[0] == ("web", FaultKind.CODE_CHANGE)


def test_of_two_that_share_a_complaint_the_affected_one_is_the_victim() -> None:
    mine = _log("shop", "denied: will exceed the configured upper limit of 50 GiB (registry.example.net)", 1)
    theirs = _log("registry", "repository team/shop: quota exceeded", 1)
    assert _ranked([mine, theirs], "shop")[0] == ("registry", FaultKind.QUOTA)


def test_a_shortage_belongs_to_who_shows_it_in_its_own_state() -> None:
    complaints = [_log(name, "OOM command not allowed when used memory > 'maxmemory'.", 1) for name in ("a", "b", "c")]
    state = Statement("tool", "cache", "used_memory 1000 of maxmemory 1000: memory is full", "info.txt", state="bad")
    assert _ranked([*complaints, state], "a")[0] == ("cache", FaultKind.MEMORY)


def test_what_is_far_from_the_question_counts_less() -> None:
    mine = Statement("kubernetes", "web", "web-0  0/1  Pending  0  5m", "get.txt", state="bad")
    far = Statement("kubernetes", "other", "other-0  0/1  ImagePullBackOff  0  9d", "get.txt", state="bad")
    stuck = Statement("kubernetes", "web", "condition Available False MinimumReplicasUnavailable", "d.txt", state="bad")
    found = list(find_signs([mine, far, stuck], NO_SPAN, read_signs()))

    def score(affected: str | None) -> float:
        ranked = rank_candidates(found, read_signs(), affected)
        return next(candidate.score for candidate in ranked if candidate.component == "other")

    assert score("web") == score(None) / 2


def test_what_users_feel_is_no_cause_by_itself() -> None:
    rows = pd.date_range(START, periods=80, freq="1min")
    latency = np.concatenate([np.full(50, 100.0), np.full(30, 900.0)]) + np.random.default_rng(3).normal(0, 2, 80)
    columns = pd.MultiIndex.from_tuples([("web", "latency_p95_ms"), ("web", "error_rate_percent")])
    metrics = pd.DataFrame(np.column_stack([latency, latency / 100]), index=rows, columns=columns)
    found = list(compare_series(metrics, START + timedelta(minutes=50), "m.csv", DETECT))
    assert all(candidate.score < 0.35 for candidate in rank_candidates(found, read_signs(), "web"))


def test_what_begins_shortly_before_the_onset_is_news_though_it_ends_there() -> None:
    noise = [_log("web", f"GET /{n} 200", n) for n in range(60)]
    stopped = [_log("worker", "consumer cancelled and not restarted", 37 + n) for n in range(3)]
    lines = [*noise, *stopped]
    [seen] = find_signs(lines, LogSpan.of(lines, START + timedelta(minutes=40)), read_signs())
    [alerted] = find_signs(lines, LogSpan.of(lines, START + timedelta(minutes=40), is_seen=False), read_signs())
    assert (seen.score, alerted.score) == (1.0, 0.2)


def test_the_last_words_of_a_crash_are_the_telling_ones() -> None:
    crash = _said("Warning BackOff: Back-off restarting failed container web", "bad")
    lines = [_log("web", text, n) for n, text in enumerate(("starting", "cannot read licence file", "bye"))]
    found = list(find_signs([crash], NO_SPAN, read_signs()))
    [last] = find_last_words(found, lines)
    assert last.excerpt == "cannot read licence file"
    assert not list(find_last_words([], lines))


def test_a_name_that_is_nearly_one_that_is_there_is_a_misspelling() -> None:
    said = [
        _said('Error: configmap "shop-setings" not found', "bad"),
        _said("shop-settings  3  9d", "untold"),
        _log("agent", "/bin/sh: crul: not found", 1),
        _said('pod "web-7d9f8b6c54-x2k4p" not found', "untold"),
        _said("web-7d9f8b6c54  1/1", "fine"),
    ]
    assert [s.text for s in find_misspellings(said)] == [
        '"shop-setings" is not there, "shop-settings" is: a spelling mistake?',
        '"crul" is not there, "curl" is: a spelling mistake?',
    ]


def test_a_sign_tells_the_facts_without_cut_words() -> None:
    sign = read_signs().signs["ImagePull"]
    excerpt = 'Failed to pull image "shop/web:2": manifest unknown\nBack-off pulling image "shop/web:2"'
    assert sign.meaning(excerpt) == "the container image cannot be pulled: shop/web:2; manifest unknown"


def test_a_table_that_explains_what_is_not_there_is_refused(tmp_path: Path) -> None:
    entry = (
        "fault: disk\n    weight: 0.5\n    patterns: [x]\n    means: m\n    check: c\n    actions: [a]\n    explains: [Nothing]\n"
    )
    (tmp_path / "a.yaml").write_text(f"signs:\n  One:\n    {entry}")
    with pytest.raises(ParamsError, match="there is no Nothing"):
        read_signs(tmp_path)
