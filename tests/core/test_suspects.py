"""Each finding speaks against somebody, as strongly as it is clear."""

from itertools import permutations

import pytest

from mimir_core.analysis.flow import FAILURES, LATENCY, Loss
from mimir_core.analysis.levels import Shift
from mimir_core.analysis.mentions import Mention
from mimir_core.analysis.signs import MetricFamily
from mimir_core.analysis.suspects import (
    Suspicion,
    explain,
    fuse,
    out_of_bounds,
    suspect_breaks,
    suspect_calls,
    suspect_levels,
    suspect_losses,
    suspect_mentions,
    suspect_slowness,
    suspect_traffic,
    suspect_unmeasured,
)
from mimir_core.analysis.trace_shape import END, START, Break
from mimir_core.analysis.trace_times import Slowness
from mimir_core.config import SuspectSettings
from mimir_core.records import Direction, FaultKind
from mimir_core.telemetry.signals import Calls

SETTINGS = SuspectSettings(
    level_half=0.3,
    latency_half=0.2,
    traffic_half=1.0,
    failures_half=0.02,
    time_half=0.1,
    log_half=0.2,
    mention_half=5.0,
    common_cause=5.0,
    own_fault=2.0,
    shared_blame=0.5,
)
FAMILIES = {
    "cpu": MetricFamily(fault=FaultKind.CPU, weight=0.5, bad=Direction.UP, names=("cpu",)),
    "free": MetricFamily(fault=FaultKind.DISK, weight=0.5, bad=Direction.DOWN, names=("free",)),
    "latency": MetricFamily(fault=FaultKind.LATENCY, weight=0.5, bad=Direction.UP, felt=True, names=("latency",)),
    "requests": MetricFamily(fault=FaultKind.TRAFFIC, weight=0.5, bad=Direction.UP, names=("requests",)),
}
CALLS = frozenset({("web", "cart"), ("cart", "db"), ("web", "mail")})


def shift(component: str, metric: str, excess: float) -> Shift:
    return Shift(component, metric, before=10.0, after=10.0 + 10.0 * excess, noise=0.0, excess=excess)


def suspicion(component: str, signal: str, strength: float, fault: FaultKind = FaultKind.CPU) -> Suspicion:
    return Suspicion(component, signal, fault, strength, finding=None)


def slow(component: str, callee: str, excess_us: float, share: float = 1.0) -> Slowness:
    return Slowness(component, callee, excess_us, share, 10.0, 10.0 + excess_us, 9)


def broken(component: str, answered_by: str, following: str = END, z: float = 15.0) -> Break:
    return Break(component, "POST", "ask", answered_by, following, before=0.0, after=0.8, z=z, spans=20, answered_by="")


def test_who_takes_more_of_a_resource_is_suspected() -> None:
    [found] = suspect_levels([shift("db", "cpu", 0.3), shift("web", "cpu", 0.0)], (), FAMILIES.get, SETTINGS)
    assert (found.component, found.fault_kind, found.strength) == ("db", FaultKind.CPU, 0.5)


@pytest.mark.parametrize(("metric", "excess", "is_bad"), [("cpu", -0.5, False), ("free", -0.5, True), ("free", 0.5, False)])
def test_only_a_move_the_bad_way_speaks_against_anybody(metric: str, excess: float, is_bad: bool) -> None:
    assert bool(suspect_levels([shift("db", metric, excess)], (), FAMILIES.get, SETTINGS)) is is_bad


@pytest.mark.parametrize("metric", ["latency", "requests", "weather"])
def test_what_users_feel_is_to_be_explained_and_explains_nothing(metric: str) -> None:
    assert suspect_levels([shift("db", metric, 5.0)], (), FAMILIES.get, SETTINGS) == []


def test_a_metric_that_two_components_share_speaks_against_neither() -> None:
    shifts = [shift("db", "cpu", 5.0), shift("web", "cpu", 5.0)]
    assert suspect_levels(shifts, {"cpu"}, FAMILIES.get, SETTINGS) == []


def test_seconds_and_requests_that_are_lost_have_scales_of_their_own() -> None:
    losses = [Loss("db", LATENCY, "m", 0.2, 1, 2), Loss("web", FAILURES, "m", 0.02, 1, 2), Loss("mail", LATENCY, "m", 0.0, 1, 1)]
    found = suspect_losses(losses, SETTINGS)
    assert [(item.component, item.strength) for item in found] == [("db", 0.5), ("web", 0.5), ("mail", 0.0)]


def test_more_requests_speak_against_the_world_outside_alone() -> None:
    shifts = [shift("web", "requests", 1.0), shift("cart", "requests", 1.0), shift("mail", "requests", -0.5)]
    found = suspect_traffic(shifts, {"web", "mail"}, {"requests": "traffic"}.get, SETTINGS)
    assert [(item.component, item.strength, item.fault_kind) for item in found] == [("web", 0.5, FaultKind.TRAFFIC)]


@pytest.mark.parametrize("signal", ["level", "log", "shape", "time"])
def test_what_a_caller_loses_is_explained_by_a_suspected_callee_whatever_shows_it(signal: str) -> None:
    found = explain([suspicion("cart", "flow", 0.8), suspicion("db", signal, 0.9)], CALLS)
    assert [round(item.strength, 6) for item in found] == [0.08, 0.9]


@pytest.mark.parametrize(
    ("fault", "left"), [(FaultKind.DATABASE, 0.08), (FaultKind.QUEUE, 0.08), (FaultKind.CPU, 0.8), (FaultKind.MEMORY, 0.8)]
)
def test_connections_and_messages_pile_up_because_of_a_suspected_callee_and_work_does_not(fault: FaultKind, left: float) -> None:
    found = explain([suspicion("cart", "level", 0.8, fault), suspicion("db", "level", 0.9)], CALLS)
    assert [round(item.strength, 6) for item in found] == [left, 0.9]


def test_connections_that_pile_up_at_a_callee_are_not_explained_by_its_caller() -> None:
    found = explain([suspicion("db", "level", 0.8, FaultKind.DATABASE), suspicion("cart", "log", 0.9)], CALLS)
    assert [item.strength for item in found] == [0.8, 0.9]


def lost(**strengths: float) -> list[Suspicion]:
    return [suspicion(name, "flow", strength, FaultKind.LATENCY) for name, strength in strengths.items()]


def ranked(losses: list[Suspicion], calls: Calls) -> list[str]:
    return list(fuse(explain([*losses, *suspect_unmeasured(losses, calls, SETTINGS)], calls)))


def test_a_callee_that_nobody_measures_comes_before_its_callers_if_all_of_them_lose() -> None:
    calls = frozenset({("web", "db"), ("cart", "db")})
    assert ranked(lost(web=0.8, cart=0.8), calls)[0] == "db"


def test_a_single_caller_comes_before_the_callee_that_nobody_measures() -> None:
    assert ranked(lost(web=0.8), frozenset({("web", "db")})) == ["web", "db"]


def test_a_steady_caller_clears_the_callee_that_nobody_measures() -> None:
    calls = frozenset({("web", "db"), ("cart", "db"), ("mail", "db")})
    losses = lost(web=0.8, cart=0.8, mail=0.8)
    [all_lose] = suspect_unmeasured(losses, calls, SETTINGS)
    [one_is_steady] = suspect_unmeasured([*losses[:2], losses[2]._replace(strength=0.0)], calls, SETTINGS)
    assert one_is_steady.strength == pytest.approx(all_lose.strength * 2 / 3)
    assert suspect_unmeasured(lost(web=0.0, cart=0.0), calls, SETTINGS) == []


def test_a_callee_that_is_measured_speaks_for_itself() -> None:
    calls = frozenset({("web", "db"), ("cart", "db")})
    assert suspect_unmeasured(lost(web=0.8, cart=0.8, db=0.0), calls, SETTINGS) == []


def test_seconds_and_failures_of_callers_are_counted_apart() -> None:
    calls = frozenset({("web", "db"), ("cart", "db")})
    failed = suspicion("cart", "flow", 0.8, FaultKind.DEPENDENCY)
    found = suspect_unmeasured([*lost(web=0.8), failed], calls, SETTINGS)
    assert {(item.component, item.fault_kind) for item in found} == {("db", FaultKind.LATENCY), ("db", FaultKind.DEPENDENCY)}
    together = suspect_unmeasured(lost(web=0.8, cart=0.8), calls, SETTINGS)
    assert max(item.strength for item in found) < together[0].strength


def test_a_callee_is_not_explained_by_its_caller() -> None:
    found = explain([suspicion("cart", "level", 0.9), suspicion("db", "flow", 0.8)], CALLS)
    assert [item.strength for item in found] == [0.9, 0.8]


def test_requests_from_outside_explain_all_that_moves_behind_their_entry() -> None:
    moved = [suspicion("db", "level", 0.5), suspicion("db", "log", 0.5), suspicion("user", "level", 0.5)]
    found = explain([suspicion("web", "traffic", 0.8), *moved], CALLS)
    assert [round(item.strength, 6) for item in found] == [0.8, 0.1, 0.5, 0.5]


def test_of_two_ends_of_slow_calls_the_one_whose_other_calls_are_slow_too_is_suspected() -> None:
    calls = [slow("web", "db", 500), slow("cart", "db", 400), slow("web", "mail", 0, 0.0), slow("cart", "mail", 0, 0.0)]
    strengths = {item.component: item.strength for item in suspect_calls(calls, FaultKind.NETWORK, 100.0)}
    assert max(strengths, key=lambda name: strengths[name]) == "db"
    assert strengths["web"] < 0.6 * strengths["db"]
    assert "mail" not in strengths


def test_own_time_counts_as_a_share_of_a_trace_and_of_the_slow_spans() -> None:
    [found] = suspect_slowness([slow("db", "", 100, share=0.5), slow("web", "", 0), slow("mail", "", 9, 0.0)], 1000.0, SETTINGS)
    assert (found.component, found.strength) == ("db", 0.25)


def test_an_operation_that_ends_early_blames_who_answered_if_that_one_changed_itself() -> None:
    found = fuse(suspect_breaks([broken("web", "db"), broken("db", "db")], frozenset(), 5.0, SETTINGS))
    assert next(iter(found)) == "db"
    alone = {item.component: item.strength for item in suspect_breaks([broken("web", "db")], frozenset(), 5.0, SETTINGS)}
    assert alone["web"] == pytest.approx(0.6)
    assert alone["db"] == pytest.approx(0.3)


def unanswered(z: float, previous: str = START) -> Break:
    return broken("web", "web", z=z)._replace(operation="ask db", previous=previous, answered_by="db")


def test_a_call_that_nobody_answers_any_more_speaks_against_who_used_to() -> None:
    strengths = {item.component: item.strength for item in suspect_breaks([unanswered(z=15.0)], frozenset(), 5.0, SETTINGS)}
    assert strengths == {"db": pytest.approx(0.6), "web": pytest.approx(0.3)}


@pytest.mark.parametrize("step", [unanswered(z=-15.0), unanswered(z=15.0, previous="look up")])
def test_a_call_that_is_answered_does_not_speak_against_who_answers(step: Break) -> None:
    assert {item.component for item in suspect_breaks([step], frozenset(), 5.0, SETTINGS)} == {"web"}


def test_whom_the_errors_of_others_name_is_suspected_by_how_many_and_by_its_share_of_them() -> None:
    mentions = [
        Mention("db", 0.0, 3.0, own=5.0, share=0.8, example="db refused"),
        Mention("web", 0.0, 1.0, 5.0, 0.2, "web failed"),
    ]
    found = suspect_mentions(mentions, half=5.0)
    assert [(item.component, item.signal, item.strength) for item in found] == [("db", "mention", 0.4), ("web", "mention", 0.1)]


def test_who_is_called_by_one_that_changed_is_given_other_work() -> None:
    steps = [broken("web", "web"), broken("db", "db", "other")]
    strengths = {item.component: item.strength for item in suspect_breaks(steps, frozenset({("web", "db")}), 5.0, SETTINGS)}
    assert strengths["db"] == strengths["web"] / 2


def test_a_call_of_oneself_is_no_excuse() -> None:
    steps = [broken("web", "web")]
    assert suspect_breaks(steps, frozenset({("web", "web")}), 5.0, SETTINGS) == suspect_breaks(steps, frozenset(), 5.0, SETTINGS)


def test_a_step_within_the_noise_breaks_nothing() -> None:
    assert suspect_breaks([broken("web", "db", z=4.9), broken("db", "db", START, z=-4.9)], frozenset(), 5.0, SETTINGS) == []


def test_two_signals_are_two_reasons_and_two_series_of_one_are_not() -> None:
    assert fuse([suspicion("db", "level", 0.5), suspicion("db", "level", 0.4)]) == {"db": 0.5}
    assert fuse([suspicion("db", "level", 0.5), suspicion("db", "log", 0.4)]) == {"db": pytest.approx(0.7)}
    assert fuse([]) == {}


def test_the_most_suspect_comes_first_in_whatever_order_they_were_found() -> None:
    found = [suspicion("db", "level", 0.5), suspicion("web", "log", 0.6), suspicion("mail", "flow", 0.1)]
    assert {tuple(fuse(order)) for order in permutations(found)} == {("web", "db", "mail")}


def test_a_resource_is_out_of_bounds_from_one_half_on_and_the_furthest_one_counts() -> None:
    reasons = [
        suspicion("stock", "level", 0.6, FaultKind.DISK),
        suspicion("stock", "level", 0.5, FaultKind.CPU),
        suspicion("stock", "flow", 0.9, FaultKind.LATENCY),
        suspicion("web", "level", 0.49, FaultKind.CPU),
    ]
    assert out_of_bounds(reasons) == {"stock": FaultKind.DISK}


def test_other_names_mean_other_names_and_nothing_else() -> None:
    new = {"web": "zz", "cart": "mm", "db": "aa", "mail": "bb"}
    found = [suspicion("web", "traffic", 0.4), suspicion("cart", "flow", 0.8), suspicion("db", "level", 0.5)]
    renamed = [item._replace(component=new[item.component]) for item in found]
    calls = frozenset((new[caller], new[callee]) for caller, callee in CALLS)
    expected = [item._replace(component=new[item.component]) for item in explain(found, CALLS)]
    assert explain(renamed, calls) == expected
