"""A change is blamed for what it can have done, and for nothing that began without it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mimir_core.analysis.changes import ChangeVerdict, judge_changes
from mimir_core.analysis.diffs import Edit, read_edit
from mimir_core.analysis.mechanisms import read_mechanisms
from mimir_core.analysis.scene import Scene, SceneLine
from mimir_core.config import read_params
from mimir_core.errors import InputError
from mimir_core.telemetry.changes import Changes, Commit, Deploy, FlagFlip, parse_changes

SETTINGS = read_params(Path(__file__).parents[2] / "params.yaml").changes
START = datetime(2026, 2, 3, 8, tzinfo=UTC)
MINUTES = 120
LOCK_REMOVED = "@@ web/tally.go\n-\tt.mu.Lock()\n-\tdefer t.mu.Unlock()\n \tt.seen[id]++"
HELPER_EXTRACTED = (
    "@@ web/page.go\n-\tout := load(r)\n-\treturn render(out)\n+\treturn show(r)\n+}\n+func show(r Request) Page {\n"
    "+\tout := load(r)\n+\treturn render(out)"
)
ENDS_IN_RACE = "fatal error: concurrent map writes tally.go:12"


def _at(minute: float) -> datetime:
    return START + timedelta(minutes=minute)


def _metrics(
    fails_at: int | None = 90, *, metric: str = "error_ratio", before: float = 0.002, after: float = 0.4
) -> pd.DataFrame:
    values = before * (1 + np.random.default_rng(3).normal(0, 0.05, MINUTES))
    if fails_at is not None:
        values[fails_at:] = after
    index = pd.date_range(START, periods=MINUTES, freq="1min")
    return pd.DataFrame(values, index=index, columns=pd.MultiIndex.from_tuples([("web", metric)]))


def _lines(text: str, fails_at: float = 90) -> list[SceneLine]:
    calm = [SceneLine(_at(minute), "web", "INFO", f"GET / 200 in {minute} ms") for minute in range(0, MINUTES, 3)]
    return sorted([*calm, *(SceneLine(_at(fails_at + number), "web", "ERROR", text) for number in range(10))])


def _scene(text: str = ENDS_IN_RACE, metrics: pd.DataFrame | None = None, lines: Sequence[SceneLine] | None = None) -> Scene:
    return Scene(
        "web error ratio above 5%", "web", _metrics() if metrics is None else metrics, _lines(text) if lines is None else lines
    )


def _commit(sha: str, minute: float, diff: str = "", path: str = "web/tally.go", message: str = "refactor: tidy") -> Commit:
    return Commit(sha, _at(minute), message, paths=(path,), diff=diff)


def _changes(*shipped: tuple[float, Commit], flags: Sequence[FlagFlip] = ()) -> Changes:
    deploys = [Deploy(_at(minute), "web", commit.sha) for minute, commit in shipped]
    return Changes([commit for _, commit in shipped], deploys, list(flags))


def _blamed(verdict: ChangeVerdict) -> str:
    return verdict.blamed.id if verdict.blamed else verdict.outcome


def _edit(diff: str, path: str = "web/a.go") -> Edit:
    return read_edit(_commit("a" * 8, 0, diff, path), SETTINGS.max_diff_lines)


def test_entries_that_cannot_be_read_are_counted_under_a_reason() -> None:
    payload: dict[str, Any] = {
        "commits": [
            {"sha": "a1", "timestamp": "2026-02-03T08:00:00"},
            {"sha": "b2"},
            {"timestamp": "2026-02-03T08:00:00Z"},
            "c3",
        ],
        "flags": [{"timestamp": "2026-02-03T08:00:00Z"}],
    }
    changes = parse_changes(payload, "changes.json")
    assert [commit.sha for commit in changes.commits] == ["a1"]
    assert changes.dropped == {"commits: no time": 1, "commits: no name": 1, "commits: not an object": 1, "flags: no name": 1}


def test_a_time_without_a_zone_is_utc() -> None:
    changes = parse_changes({"deploys": [{"timestamp": "2026-02-03T08:00:00", "service": "web"}]}, "changes.json")
    assert changes.deploys[0].time == START


def test_a_commit_that_is_listed_twice_is_kept_once_with_its_diff() -> None:
    entry = {"sha": "a1", "timestamp": "2026-02-03T08:00:00Z", "diff": None}
    changes = parse_changes({"commits": [entry, {**entry, "diff": "+x"}, entry]}, "changes.json")
    assert [commit.diff for commit in changes.commits] == ["+x"]
    assert changes.dropped == {"commits: listed twice": 2}


def test_a_list_that_is_none_is_an_error_that_names_it() -> None:
    with pytest.raises(InputError, match=r"changes.json: deploys must be a list"):
        parse_changes({"deploys": {"web": 1}}, "changes.json")


def test_code_that_moves_is_harmless_and_code_that_goes_is_not() -> None:
    assert _edit(HELPER_EXTRACTED).harmless
    assert not _edit(LOCK_REMOVED).harmless


def test_layout_comments_and_order_are_no_change() -> None:
    assert _edit("-  import b\n-  import a\n+import a\n+import b\n-  // one\n+  // two").harmless


def test_a_patch_release_is_harmless_and_a_major_one_is_not() -> None:
    assert _edit("-  x/y v1.2.3\n+  x/y v1.2.4", "go.mod").harmless
    assert not _edit("-  x/y v1.2.3\n+  x/y v2.0.0", "go.mod").harmless


def test_numbers_are_compared_in_one_unit() -> None:
    changed = _edit("-  ctx = WithTimeout(ctx, 5*time.Second)\n+  ctx = WithTimeout(ctx, 300*time.Millisecond)").numbers
    assert [(number.old, number.new) for number in changed] == [(5.0, 0.3)]
    assert not _edit("-  limit: 2Gi\n+  limit: 2048Mi", "web/values.yaml").numbers


def test_of_a_huge_diff_only_the_first_lines_are_read() -> None:
    commit = _commit("a" * 8, 0, "\n".join(f"-gone({number}, now)" for number in range(100_000)))
    assert len(read_edit(commit, 50).removed) == 50


def test_the_table_of_mechanisms_can_be_read() -> None:
    assert all(mechanism.seen for mechanism in read_mechanisms().mechanisms.values())


def test_the_change_that_can_have_done_it_is_blamed_and_not_the_last_one() -> None:
    culprit, last = _commit("c" * 8, 80, LOCK_REMOVED), _commit("d" * 8, 88, HELPER_EXTRACTED, "web/page.go")
    verdict = judge_changes(_changes((83, culprit), (89.5, last)), _scene(), SETTINGS)
    assert _blamed(verdict) == culprit.sha
    assert verdict.confidence > 0.8
    assert any("lock" in reason.text for reason in verdict.ranking[0].reasons)


def test_a_change_that_came_after_is_left_out() -> None:
    verdict = judge_changes(_changes((95, _commit("c" * 8, 94, LOCK_REMOVED))), _scene(), SETTINGS)
    assert _blamed(verdict) == "none"
    assert (verdict.came_after, verdict.ranking) == (1, ())


def test_a_commit_that_was_never_deployed_is_not_blamed() -> None:
    changes = _changes((20, _commit("d" * 8, 10, HELPER_EXTRACTED)))
    changes.commits.append(_commit("c" * 8, 85, LOCK_REMOVED))
    assert _blamed(judge_changes(changes, _scene(), SETTINGS)) == "none"


def test_commits_run_at_once_where_no_deploy_is_recorded() -> None:
    changes = Changes([_commit("c" * 8, 86, LOCK_REMOVED)])
    assert _blamed(judge_changes(changes, _scene(), SETTINGS)) == "c" * 8


def test_a_deploy_carries_the_earlier_commits_of_its_service() -> None:
    changes = _changes((86, _commit("d" * 8, 84, HELPER_EXTRACTED)))
    changes.commits.insert(0, _commit("c" * 8, 80, LOCK_REMOVED))
    assert _blamed(judge_changes(changes, _scene(), SETTINGS)) == "c" * 8


def test_a_deploy_without_a_known_commit_can_be_blamed() -> None:
    changes = Changes(deploys=[Deploy(_at(89), "web", version="v7")])
    verdict = judge_changes(changes, _scene("cannot route message"), SETTINGS)
    assert verdict.blamed
    assert (verdict.blamed.kind, verdict.blamed.id, verdict.blamed.sha) == ("deploy", "v7", "")


def test_a_flag_that_is_blamed_names_the_commit_that_it_switched_on() -> None:
    behind = _commit("c" * 8, 10, '+\tif on("tiered_tally") {\n+\t\treturn table[id].factor\n+\t}')
    flags = [FlagFlip(_at(89), "tiered_tally", "web", "off->on")]
    verdict = judge_changes(_changes((20, behind), flags=flags), _scene("tiered tally: no factor for id"), SETTINGS)
    assert verdict.blamed
    assert (verdict.blamed.kind, verdict.blamed.sha) == ("flag", behind.sha)


def test_a_flag_that_flipped_just_before_is_not_blamed_for_what_a_provider_reports() -> None:
    changes = Changes(flags=[FlagFlip(_at(88), "new_banner", "web", "off->on")])
    scene = _scene("POST https://api.payments.example.com/v2/charge: 503 Service Unavailable")
    assert _blamed(judge_changes(changes, scene, SETTINGS)) == "none"


def test_a_slow_rise_that_began_before_a_change_is_not_its_work() -> None:
    leak, last = (
        _commit("c" * 8, 25, "+var kept []Row\n+func keep(r Row) {\n+\tkept = append(kept, r)"),
        _commit("d" * 8, 95, "+\tx := 1"),
    )
    metrics = _metrics(None, metric="memory_mb", before=200)
    metrics.iloc[30:, 0] = np.linspace(200, 1000, MINUTES - 30)
    lines = _lines("OOMKilled: memory limit exceeded", 105)
    verdict = judge_changes(_changes((29, leak), (100, last)), _scene(metrics=metrics, lines=lines), SETTINGS)
    assert _blamed(verdict) == leak.sha
    assert any(reason.text.startswith("something was wrong") for reason in verdict.ranking[-1].reasons)


def test_a_metric_that_makes_the_step_of_the_diff_convicts() -> None:
    commit = _commit("c" * 8, 85, "-  slots: 40\n+  slots: 8", "web/config.yaml")
    metrics = _metrics(90, metric="slots", before=40, after=8)
    verdict = judge_changes(_changes((89, commit)), _scene("no reply", metrics), SETTINGS)
    assert any("40 -> 8" in reason.text for reason in verdict.ranking[0].reasons)


def test_a_change_that_people_took_back_is_likelier() -> None:
    suspect, revert = _commit("c" * 8, 85, "-  a()\n+  b()"), _commit("e" * 8, 100, message=f"Revert {'c' * 7}")
    plain = judge_changes(_changes((88, suspect)), _scene("no reply"), SETTINGS)
    taken_back = judge_changes(_changes((88, suspect), (101, revert)), _scene("no reply"), SETTINGS)
    assert taken_back.ranking[0].score > plain.ranking[0].score


def test_where_nothing_was_recorded_the_verdict_is_unknown_not_none() -> None:
    verdict = judge_changes(Changes(), _scene(), SETTINGS)
    assert (verdict.outcome, verdict.confidence) == ("unknown", 0.0)


def test_where_nothing_is_abnormal_no_change_is_to_blame() -> None:
    calm = [line for line in _lines("") if line.level == "INFO"]
    verdict = judge_changes(
        _changes((88, _commit("c" * 8, 85, LOCK_REMOVED))), _scene(metrics=_metrics(None), lines=calm), SETTINGS
    )
    assert verdict.outcome == "none"
    assert verdict.confidence > 0.9


def test_a_single_warning_long_before_does_not_date_the_trouble() -> None:
    lines = sorted([*_lines(ENDS_IN_RACE), SceneLine(_at(50), "web", "WARN", "slow checkpoint")])
    verdict = judge_changes(_changes((86, _commit("c" * 8, 80, LOCK_REMOVED))), _scene(lines=lines), SETTINGS)
    assert _blamed(verdict) == "c" * 8


def test_a_scene_without_metrics_is_judged_by_its_lines() -> None:
    scene = _scene(metrics=pd.DataFrame())
    assert _blamed(judge_changes(_changes((86, _commit("c" * 8, 80, LOCK_REMOVED))), scene, SETTINGS)) == "c" * 8
