"""What is lost is lost by the one whose callees do not explain it."""

import numpy as np
import pandas as pd
import pytest

from mimir_core.analysis.call_metrics import CallNames
from mimir_core.analysis.flow import FAILURES, LATENCY, Loss, find_losses
from mimir_core.analysis.signs import read_signs
from mimir_core.config import FlowSettings
from mimir_core.telemetry.signals import Calls

ROWS, FAILED = 40, 30
IS_AFTER = np.arange(ROWS) >= FAILED
SETTINGS = FlowSettings(noise_sigmas=3.0, noise_quantile=0.95, first_rows=5, least_available=0.5)
FAMILIES = {
    "latency_avg": "latency",
    "latency_p99": "latency",
    "client_latency_avg": "latency",
    "requests": "traffic",
    "errors": "errors",
    "error_rate": "errors",
    "available": "availability",
}
CHAIN = frozenset({("web", "cart"), ("cart", "db")})


def steps(**levels: tuple[float, float]) -> pd.DataFrame:
    """A series `component__metric` for each pair of levels, before and after the failure, with a little noise."""
    noise = np.random.default_rng(3)
    series = {
        tuple(name.split("__")): np.where(IS_AFTER, after, before) * noise.normal(1, 0.01, ROWS)
        for name, (before, after) in levels.items()
    }
    return pd.DataFrame(series, index=pd.date_range("2026-03-01", periods=ROWS, freq="min", tz="UTC"))


def losses(metrics: pd.DataFrame, calls: Calls = CHAIN, usual: pd.DataFrame | None = None) -> dict[tuple[str, str], Loss]:
    names = CallNames({str(name) for name in metrics.columns.get_level_values(0)} | {end for call in calls for end in call})
    usual = metrics[~IS_AFTER] if usual is None else usual
    found = find_losses(metrics, IS_AFTER, usual, calls, names, FAMILIES.get, SETTINGS)
    return {(loss.component, loss.kind): loss for loss in found}


def shares(metrics: pd.DataFrame, calls: Calls = CHAIN, kind: str = LATENCY) -> dict[str, float]:
    return {loss.component: loss.share for loss in losses(metrics, calls).values() if loss.kind == kind}


def test_a_callers_loss_is_explained_by_its_callees() -> None:
    found = shares(steps(web__latency_avg=(100, 180), cart__latency_avg=(60, 140), db__latency_avg=(20, 100)))
    assert found["db"] == max(found.values()) > 0.5
    assert max(found["cart"], found["web"]) < 0.01


def test_without_calls_nobody_explains_anybody() -> None:
    found = shares(steps(web__latency_avg=(100, 180), db__latency_avg=(20, 100)), frozenset())
    assert min(found.values()) > 0.5


def test_a_tiny_callee_that_is_slower_than_ever_does_not_win() -> None:
    found = shares(steps(web__latency_avg=(100, 200), cart__latency_avg=(30, 30), db__latency_avg=(1, 9)))
    assert found["web"] > 5 * found["db"] > 0
    assert found["cart"] == 0


def test_a_dependency_never_called_before_speaks_against_its_caller() -> None:
    metrics = steps(web__latency_avg=(100, 100), cart__latency_avg=(60, 140), db__latency_avg=(80, 80))
    metrics.loc[~IS_AFTER, ("db", "latency_avg")] = np.nan
    found = shares(metrics)
    assert found["cart"] == pytest.approx(0.8 / 2, rel=0.1)  # a half may be the callee's own
    assert found["web"] < 0.01
    assert "db" not in found


def test_what_an_unmeasured_callee_loses_may_be_its_own() -> None:
    metrics = steps(web__latency_avg=(100, 180))
    alone = shares(metrics, frozenset({("user", "web")}))["web"]
    assert shares(metrics, frozenset({("web", "mail")}))["web"] == pytest.approx(alone / 2)


def test_who_is_no_end_of_a_call_is_a_mere_view() -> None:
    metrics = steps(web__latency_avg=(100, 180), db__latency_avg=(20, 20), dashboard__latency_avg=(100, 180))
    assert shares(metrics).keys() == {"web", "db"}


def test_seconds_count_by_the_requests_that_wait() -> None:
    busy = steps(web__latency_avg=(10, 10), cart__latency_avg=(5, 9), db__latency_avg=(5, 9))
    calls = frozenset({("web", "cart"), ("web", "db")})
    rows = steps(web__requests=(100, 100), cart__requests=(90, 90), db__requests=(9, 9))
    found = shares(busy.join(rows), calls)
    assert found["cart"] == pytest.approx(10 * found["db"], rel=0.15)


@pytest.mark.parametrize("percent", [1.0, 100.0])
def test_failed_requests_are_counted_in_percent_and_in_shares(percent: float) -> None:
    requests = {f"{name}__requests": (50.0, 50.0) for name in ("web", "cart", "db")}
    shown = {"web__available": (percent, 0.7 * percent), "cart__available": (percent, 0.7 * percent)}
    metrics = steps(**requests, **shown, db__available=(percent, percent))
    found = losses(metrics)
    assert found["cart", FAILURES].share == pytest.approx(0.3, rel=0.25)
    assert found["web", FAILURES].share < 0.05
    loss = found["cart", FAILURES]  # told as the metric that it names, so that nobody reads a fall as a rise
    assert (loss.metric, loss.before, loss.after) == (
        "available",
        pytest.approx(percent, rel=0.05),
        pytest.approx(0.7 * percent, rel=0.05),
    )


def test_a_rate_of_errors_is_as_good_as_their_number() -> None:
    requests = steps(web__requests=(50, 50))
    calls = frozenset({("user", "web")})
    by_number = shares(requests.join(steps(web__errors=(1, 20))), calls, FAILURES)
    by_rate = shares(requests.join(steps(web__error_rate=(0.02, 0.4))), calls, FAILURES)
    assert by_number["web"] == pytest.approx(by_rate["web"], rel=0.05)


def test_a_mean_is_taken_before_a_percentile() -> None:
    metrics = steps(web__latency_p99=(900, 900), web__latency_avg=(100, 180), db__latency_avg=(20, 20))
    assert {loss.metric for loss in losses(metrics).values()} == {"latency_avg"}


def test_who_lacks_the_usual_statistic_has_another_one_of_the_same_quantity_and_never_another_quantity() -> None:
    metrics = steps(
        web__latency_avg=(100, 180), cart__latency_avg=(60, 140), db__latency_p99=(20, 100), mail__client_latency_avg=(5, 90)
    )
    found = losses(metrics, CHAIN | {("web", "mail")})
    assert {component: loss.metric for (component, _), loss in found.items()} == {
        "web": "latency_avg",
        "cart": "latency_avg",
        "db": "latency_p99",
    }
    assert found["db", LATENCY].share > 0.5
    assert found["cart", LATENCY].share < 0.01


@pytest.mark.parametrize("known", [("errors", "error_rate", "available"), ("error_rate", "available"), ("available",)])
def test_a_count_of_errors_is_taken_before_their_share_and_that_before_availability(known: tuple[str, ...]) -> None:
    levels = {"requests": (50.0, 50.0), "errors": (1.0, 20.0), "error_rate": (0.02, 0.4), "available": (0.98, 0.6)}
    metrics = steps(**{f"web__{name}": levels[name] for name in ("requests", *known)})
    [loss] = losses(metrics, frozenset({("user", "web")})).values()
    assert loss.metric == known[0]
    assert loss.share == pytest.approx(0.38, rel=0.15)


def test_failures_that_one_component_counts_and_another_one_tells_as_a_share_are_one_flow() -> None:
    requests = {f"{name}__requests": (50.0, 50.0) for name in ("web", "cart")}
    found = shares(steps(**requests, web__errors=(1, 20), cart__error_rate=(0.02, 0.4)), CHAIN, FAILURES)
    assert found["cart"] > 10 * found["web"]


def test_a_count_of_ready_replicas_is_no_availability() -> None:
    family_of = read_signs().family_name
    metrics = steps(web__requests=(50, 50), web__ready_replicas=(3, 1), web__availability_percent=(99, 60))
    calls, names = frozenset({("user", "web")}), CallNames({"web"})
    [loss] = find_losses(metrics, IS_AFTER, metrics[~IS_AFTER], calls, names, family_of, SETTINGS)
    assert (loss.kind, loss.metric) == (FAILURES, "availability_percent")
    metrics = metrics.drop(columns=[("web", "availability_percent")])
    assert find_losses(metrics, IS_AFTER, metrics[~IS_AFTER], calls, names, family_of, SETTINGS) == []


def test_who_had_rare_blips_before_loses_nothing_by_one_blip_after() -> None:
    metrics = steps(web__latency_avg=(100, 100), db__latency_avg=(20, 20))
    metrics.iloc[FAILED + 1, 0] = 290
    assert shares(metrics)["web"] > 0.1
    metrics.iloc[10, 0] = 300
    assert shares(metrics)["web"] == 0
    metrics.iloc[FAILED : FAILED + 5, 0] = 290
    assert shares(metrics)["web"] > 0.5


def test_a_series_about_a_call_is_not_its_owners() -> None:
    metrics = steps(web__latency_avg=(100, 100), db__latency_avg=(20, 20))
    metrics["web", "db_latency_avg"] = np.where(IS_AFTER, 500.0, 20.0)
    assert set(shares(metrics).values()) == {0.0}


def test_a_steady_system_loses_nothing() -> None:
    found = losses(steps(web__latency_avg=(100, 100), db__latency_avg=(20, 20), db__errors=(3, 3)))
    assert len(found) == 3
    assert {loss.share for loss in found.values()} == {0.0}


def test_with_nothing_to_compare_with_nothing_is_lost() -> None:
    metrics = steps(web__latency_avg=(100, 180))
    assert losses(metrics, usual=metrics[:0]) == {}
    assert losses(metrics, usual=pd.DataFrame()) == {}


def test_other_names_mean_other_names_and_nothing_else() -> None:
    metrics = steps(
        web__latency_avg=(100, 180),
        cart__latency_avg=(60, 140),
        db__latency_avg=(20, 40),
        web__requests=(50, 50),
        cart__requests=(70, 70),
        db__requests=(50, 50),
    )
    new = {"web": "aa", "db": "mm", "cart": "zz"}
    renamed = metrics.rename(columns=new, level=0)
    calls = frozenset((new[caller], new[callee]) for caller, callee in CHAIN)
    assert shares(renamed, calls) == pytest.approx({new[name]: share for name, share in shares(metrics).items()}, rel=1e-12)
