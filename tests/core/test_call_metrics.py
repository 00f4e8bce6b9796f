"""A series may be about a call: its name holds the callee's."""

import pytest

from mimir_core.analysis.call_metrics import CallNames, find_call_shifts, find_slow_calls
from mimir_core.analysis.levels import Shift
from mimir_core.analysis.trace_times import Slowness
from mimir_core.config import TraceSettings

SETTINGS = TraceSettings(
    min_spans=5, noise_sigmas=3.0, slow_factor=2.0, slow_us=1000.0, break_z=5.0, usual_share=0.5, call_floor_share=0.25
)


def shift(component: str, metric: str, before: float, after: float, noise: float = 1.0) -> Shift:
    return Shift(component, metric, before, after, noise, excess=(after - before) / 100)


def family(metric: str) -> str:
    return "latency" if "latency" in metric else "errors"


def slow(*shifts: Shift, kind: str = "latency", least: float = 0.0) -> dict[tuple[str, str], Slowness]:
    names = CallNames({item.component for item in shifts} | {"db", "db-replica", "mq"})
    found = find_slow_calls(find_call_shifts(shifts, names), family, kind, least, SETTINGS)
    return {(call.component, call.callee): call for call in found}


@pytest.mark.parametrize(
    ("metric", "split"),
    [
        ("db_latency", ("db", "*_latency")),
        ("db-replica_latency", ("db-replica", "*_latency")),
        ("web_to_db_latency", ("db", "web_to_*_latency")),
        ("shop__db_latency", ("shop::db", "*_latency")),
        ("web_latency", None),
        ("dbx_latency", None),
        ("mydb_latency", None),
        ("latency", None),
    ],
)
def test_the_callee_is_the_longest_other_component_that_a_name_holds(metric: str, split: tuple[str, str] | None) -> None:
    assert CallNames(["web", "db", "db-replica", "shop::db"]).split("web", metric) == split


def test_where_nobody_is_known_no_series_is_about_a_call() -> None:
    assert CallNames([]).split("web", "db_latency") is None


def test_a_slow_call_is_told_from_a_steady_one() -> None:
    found = slow(shift("web", "db_latency", 20, 90), shift("web", "mq_latency", 20, 20), shift("web", "latency", 30, 100))
    assert found.keys() == {("web", "db"), ("web", "mq")}
    assert (found["web", "db"].share, found["web", "mq"].share, found["web", "mq"].excess_us) == (1, 0, 0)
    assert found["web", "db"].excess_us == pytest.approx(69 / 22.5)


def test_what_the_callee_took_is_not_the_way_between_them() -> None:
    sides = [shift("web", "db_latency_client", 20, 95), shift("web", "db_latency_server", 15, 90)]
    assert slow(*sides)["web", "db"].excess_us == 0
    sides = [shift("web", "db_latency_client", 20, 95), shift("web", "db_latency_server", 15, 15)]
    assert slow(*sides)["web", "db"].excess_us > 1


def test_what_only_the_callee_timed_says_nothing_about_the_way() -> None:
    assert slow(shift("web", "db_latency_server", 15, 90)) == {}


def test_many_times_nothing_is_nothing() -> None:
    found = slow(shift("web", "db_latency", 100, 100), shift("web", "mq_latency", 0.01, 0.5, noise=0.0))
    assert found["web", "mq"].excess_us < 0.01


def test_few_failures_among_many_requests_are_few() -> None:
    failed = shift("web", "db_failed", 0, 30)
    assert slow(failed, kind="errors")["web", "db"].excess_us == pytest.approx(29 / 7.5)
    assert slow(failed, kind="errors", least=290)["web", "db"].excess_us == pytest.approx(0.1)


def test_where_more_than_the_least_is_usual_the_least_says_nothing() -> None:
    shifts = shift("web", "db_failed", 20, 90), shift("web", "mq_failed", 40, 40)
    assert slow(*shifts, kind="errors", least=39) == slow(*shifts, kind="errors")


def test_latency_and_errors_are_asked_for_one_at_a_time() -> None:
    shifts = shift("web", "db_latency", 20, 90), shift("web", "db_failed", 0, 30)
    assert slow(*shifts)["web", "db"].after_us == 90
    assert slow(*shifts, kind="errors")["web", "db"].after_us == 30
