"""What may be trusted about a simulated case, whatever it is about."""

import dataclasses
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mimir_core.config import SimulateSettings
from mimir_core.records import FaultKind, Verdict
from mimir_core.simulate.case import SimulatedCase
from mimir_core.simulate.dice import Dice
from mimir_core.simulate.effects import Effects, Planted, fault_table
from mimir_core.simulate.flow import Inputs, run_flow, usual_times
from mimir_core.simulate.incident import draw_case
from mimir_core.simulate.names import Role
from mimir_core.simulate.plan import Plan, draw_plan, draw_script
from mimir_core.simulate.profile import draw_profile
from mimir_core.simulate.series import draw_exports
from mimir_core.simulate.shapes import draw_timeline
from mimir_core.simulate.spans import MESSAGE_VERB
from mimir_core.simulate.tables import read_table
from mimir_core.simulate.topology import System, draw_system
from mimir_core.telemetry.files import read_case
from tasks.bench_diagnosis import read_truth
from tasks.case_folders import write_case, write_cases

SETTINGS = SimulateSettings(
    healthy_share=0.1,
    undetermined_share=0.1,
    two_faults_share=0.1,
    max_red_herrings=4,
    least_severity=0.0,
    complete_share=0.25,
    min_components=5,
    usual_components=10,
    max_components=30,
    max_spans=400,
    max_log_lines=400,
)
SEED = 5


@pytest.fixture(scope="module")
def cases() -> list[SimulatedCase]:
    return [draw_case(SEED, number, SETTINGS) for number in range(40)]


def _hash(folder: Path) -> dict[str, str]:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def _silent(_: str) -> None:
    return


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("one", 3), ("two", 3), ("other", 4)):
        write_cases(tmp_path / name, 3, seed, SETTINGS, _silent)
    one, two, other = (_hash(tmp_path / name) for name in ("one", "two", "other"))
    assert one == two
    assert not set(one.values()) & set(other.values())


def test_a_case_of_which_no_series_was_recorded_is_written_without_the_file_and_read(
    cases: list[SimulatedCase], tmp_path: Path
) -> None:
    telemetry = cases[0].telemetry
    bare = dataclasses.replace(telemetry, metrics=telemetry.metrics[["time"]])
    write_case(tmp_path / "bare", dataclasses.replace(cases[0], telemetry=bare, baseline=None))
    assert not list(tmp_path.rglob("metrics.*"))
    assert read_case(tmp_path / "bare").metrics.empty


def test_a_case_does_not_depend_on_how_many_are_drawn(tmp_path: Path) -> None:
    write_cases(tmp_path / "few", 2, SEED, SETTINGS, _silent)
    write_cases(tmp_path / "more", 4, SEED, SETTINGS, _silent)
    few, more = _hash(tmp_path / "few"), _hash(tmp_path / "more")
    assert few.items() <= more.items()
    assert len(more) > len(few)


def test_every_fault_kind_has_a_model_and_is_drawn() -> None:
    assert set(fault_table()) == set(FaultKind)
    drawn = {kind for seed in range(400) for kind in draw_script(Dice(np.random.default_rng(seed)), SETTINGS).kinds}
    assert drawn == set(FaultKind) - {FaultKind.NONE}


def test_a_healthy_night_has_no_cause_no_onset_and_no_victims(cases: list[SimulatedCase]) -> None:
    healthy = [case.truth for case in cases if case.truth.verdict is Verdict.HEALTHY]
    assert healthy
    assert all(not truth.causes and truth.onset is None and not truth.victims and truth.change is None for truth in healthy)


def test_the_hidden_culprit_is_in_no_input_file() -> None:
    only_hidden = SETTINGS.model_copy(update={"healthy_share": 0.0, "undetermined_share": 1.0})
    for number in range(8):
        case = draw_case(SEED, number, only_hidden)
        culprit = case.truth.story.split(": ")[0]
        whole = re.compile(rf"(?<![\w.-]){re.escape(culprit)}(?![\w-]|\.\w)")
        lines = [line["component"] + " " + line["message"] for line in case.telemetry.logs or []]
        spans = case.telemetry.traces
        told = [json.dumps(case.alert), *case.telemetry.metrics.columns, *lines, *map(str, case.graph or [])]
        told += [] if spans is None else [*spans["component"], *spans["operation"]]
        assert not [text for text in told if whole.search(text)]
        assert case.truth.causes == ()


def test_the_culprits_own_columns_move_after_the_onset(cases: list[SimulatedCase]) -> None:
    moved = told = 0
    for case in cases:
        truth, metrics = case.truth, case.telemetry.metrics
        first = int(np.searchsorted(metrics["time"], truth.onset or 0))
        for column in truth.signs:
            before, after = metrics[column].to_numpy()[:first], metrics[column].to_numpy()[first:]
            before, after = before[~np.isnan(before)], after[~np.isnan(after)]
            if len(before) < 5 or len(after) < 3:
                continue
            told += 1
            apart = abs(np.quantile(after, 0.8) - np.median(before)), abs(np.quantile(after, 0.2) - np.median(before))
            moved += max(apart) > 2 * np.median(np.abs(before - np.median(before)))
    assert told > 40
    assert moved / told > 0.8  # a subtle fault drowns in noise now and then


def _small_world(role: Role) -> tuple[System, Inputs, int]:
    for seed in range(200):
        dice = Dice(np.random.default_rng([seed, 99]))
        system = draw_system(dice, SETTINGS)
        found = [number for number, known in enumerate(system.components) if known.role is role and system.edges_to(number)]
        if found:
            profile = draw_profile(dice, system)
            drift = np.zeros((len(system.components), 40))
            return system, Inputs(system, profile, np.ones(40), drift, 60.0, usual_times(system, profile)), found[0]
    raise AssertionError(role)


_CALLED = [kind for kind in FaultKind if kind not in (FaultKind.NONE, FaultKind.TRAFFIC, FaultKind.PIPELINE, FaultKind.DNS)]


@pytest.mark.parametrize("kind", _CALLED)
def test_nothing_moves_before_the_onset_and_something_after_it(kind: FaultKind) -> None:
    level = np.where(np.arange(40) >= 20, 1.0, 0.0)
    for fault in fault_table()[kind]:
        system, inputs, number = _small_world(fault.roles[0])
        effects = Effects()
        effects.plant(Planted(fault, number, 0.0, level, {channel: strength[1] for channel, strength in fault.moves.items()}))
        quiet, troubled = run_flow(inputs, Effects()), run_flow(inputs, effects)
        for name in ("latency_ms", "errors", "served", "cpu", "call_ms", "call_errors"):
            assert np.allclose(getattr(quiet, name)[:, :20], getattr(troubled, name)[:, :20]), (system.name, name)
        channels = set(fault.moves) & {"memory", "disk", "pool", "ready", "restarts", "throttled", "io"}
        apart = max(
            float(np.abs(getattr(quiet, name) - getattr(troubled, name)).max())
            for name in ("latency_ms", "errors", "served", "cpu", "depth", "call_errors")
        )
        assert channels or apart > 1e-3


def test_a_slow_callee_slows_its_caller_and_leaves_its_own_callees_alone() -> None:
    system, inputs, number = _small_world(Role.SERVICE)
    latency = fault_table()[FaultKind.LATENCY][0]
    effects = Effects()
    effects.plant(Planted(latency, number, 0.0, np.ones(40), {"stall_ms": 400.0}))
    quiet, troubled = run_flow(inputs, Effects()), run_flow(inputs, effects)
    caller = next(system.edges[edge].caller for edge in system.edges_to(number))
    assert troubled.latency_ms[caller, -1] > quiet.latency_ms[caller, -1] + 50
    for callee in {system.edges[edge].callee for edge in system.edges_from(number)}:
        assert np.allclose(troubled.own_ms[callee], quiet.own_ms[callee], rtol=0.3)


def _herrings(most: int) -> list[int]:
    """How many harmless things happen in each of some cases."""
    counts = []
    for seed in range(60):
        dice = Dice(np.random.default_rng([seed, 7]))
        system, timeline = draw_system(dice, SETTINGS), draw_timeline(dice)
        if plan := draw_plan(dice, system, timeline, draw_script(dice, SETTINGS), 0.0, most):
            counts.append(len(plan.herrings))
    return counts


def test_as_many_harmless_things_happen_as_are_allowed_at_most() -> None:
    assert set(_herrings(0)) == {0}
    assert max(_herrings(2)) == 2


def _exported(complete_share: float, hidden: frozenset[int] = frozenset()) -> tuple[set[tuple[str, int]], set[tuple[str, int]]]:
    """Which component exports which signal in some cases, and could by its role."""
    exported, possible = set(), set()
    for seed in range(20):
        dice = Dice(np.random.default_rng([seed, 8]))
        system, timeline = draw_system(dice, SETTINGS), draw_timeline(dice)
        exports = draw_exports(dice, system, timeline, hidden, complete_share)
        own = {name: entry for name, entry in read_table("metric_names").items() if not name.startswith(("edge_", "node_"))}
        exported |= {(f"{seed} {column.signal}", column.row) for column in exports.columns if column.signal in own}
        for number, component in enumerate(system.components):
            possible |= {(f"{seed} {name}", number) for name, entry in own.items() if component.role in entry["roles"]}
    return exported, possible


def test_in_a_complete_system_everybody_exports_all_that_its_role_has() -> None:
    exported, possible = _exported(1.0)
    assert exported == possible
    exported, possible = _exported(0.0)
    assert exported < possible


def test_in_a_complete_system_too_who_is_hidden_exports_nothing() -> None:
    exported, possible = _exported(1.0, hidden=frozenset({0}))
    assert exported == {(signal, row) for signal, row in possible if row}


def test_no_fault_is_milder_than_the_least_severity(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    def listen(*args: Any) -> Plan | None:
        asked.append(args[4])
        return draw_plan(*args)

    monkeypatch.setattr("mimir_core.simulate.incident.draw_plan", listen)
    for least in (0.0, 0.9):
        asked.clear()
        draw_case(SEED, 0, SETTINGS.model_copy(update={"least_severity": least}))
        assert min(asked) == least


def test_victims_are_no_culprits_and_are_components(cases: list[SimulatedCase]) -> None:
    told = [case.truth for case in cases if case.truth.victims]
    assert told
    assert all(not {name for name, _ in truth.causes} & set(truth.victims) for truth in told)


def test_spans_are_trees_whose_children_lie_inside_their_parents(cases: list[SimulatedCase]) -> None:
    tables = [case.telemetry.traces for case in cases if case.telemetry.traces is not None]
    assert tables
    for spans in tables:
        both = spans.merge(spans, left_on=["trace_id", "parent_id"], right_on=["trace_id", "span_id"], suffixes=("", "_above"))
        assert len(both) == (spans["parent_id"] >= 0).sum()
        assert (spans["parent_id"] < spans["span_id"]).all()
        assert (spans[spans["parent_id"] < 0].groupby("trace_id").size() == 1).all()
        assert (both["start_us"] >= both["start_us_above"] - 2).all()
        both = both[~both["operation"].str.startswith(MESSAGE_VERB)]
        ends, ends_above = both["start_us"] + both["duration_us"], both["start_us_above"] + both["duration_us_above"]
        assert (ends - ends_above <= 1000).all()


def test_counters_never_fall_but_for_a_reset(cases: list[SimulatedCase]) -> None:
    columns = [
        case.telemetry.metrics[name].dropna()
        for case in cases
        for name in case.telemetry.metrics.columns
        if name.endswith(":http_requests_total")
    ]
    assert columns
    assert all((column.diff() < 0).sum() <= 1 for column in columns)


def test_no_word_of_the_truth_is_in_the_input(cases: list[SimulatedCase]) -> None:
    betraying = re.compile(
        r"simulat|\bfault\b|inject|culprit|victim|herring|root.?cause|code_change|planted|\bsim\b", re.IGNORECASE
    )
    for case in cases:
        told = [json.dumps(case.alert), json.dumps(case.changes), json.dumps(case.graph), *case.kubectl.values()]
        told += [json.dumps(line) for line in case.telemetry.logs or []] + list(case.telemetry.metrics.columns)
        said = [text for text in told if betraying.search(text.replace("No preemption victims found", ""))]
        assert not said, said[0][:200]


def test_the_culprit_is_exported_no_better_than_others(cases: list[SimulatedCase]) -> None:
    own, others = [], []
    for case in cases:
        counts = pd.Series([column.rpartition(":")[0] for column in case.telemetry.metrics.columns[1:]]).value_counts()
        for name, _ in case.truth.causes:
            own.append(counts.get(name, 0))
            others.append(counts.mean())
    assert 0.6 < np.mean(own) / np.mean(others) < 1.6


def test_what_is_written_is_a_case_that_the_program_reads(tmp_path: Path) -> None:
    summary = write_cases(tmp_path, 4, SEED, SETTINGS, _silent)
    assert summary["cases"] == sum(summary["verdicts"].values()) == 4
    for number in range(4):
        folder, case = tmp_path / f"sim-{SEED}-{number:04d}", draw_case(SEED, number, SETTINGS)
        signals = read_case(folder)
        assert len(signals.metrics) >= len(case.telemetry.metrics)
        assert signals.incident.alerts
        truth = read_truth(folder)
        assert (truth.verdict, truth.causes) == (case.truth.verdict, case.truth.causes)
