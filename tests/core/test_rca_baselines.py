"""Baselines, other names, other constants and quiet times: the means of ``mimir bench rca``."""

from datetime import UTC, datetime, timedelta
from random import Random

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel

from mimir_core.backends.baro import rank_by_baro
from mimir_core.config import read_params
from mimir_core.evaluation.commit_baselines import last_deployed
from mimir_core.evaluation.metric_baselines import rank_by_deviation
from mimir_core.evaluation.perturb import perturb
from mimir_core.evaluation.quiet import cut_quiet_time
from mimir_core.evaluation.rename import draw_names, rename_components
from mimir_core.records import Incident
from mimir_core.telemetry.changes import Changes, Deploy
from mimir_core.telemetry.signals import Reference, Signals, Statement
from tasks import paths

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def minute(number: int) -> datetime:
    return START + timedelta(minutes=number)


def table(rows: int = 30, failed: int = 20, **heights: float) -> pd.DataFrame:
    """A column `load` a component, which rises by its height at the failure."""
    noise = np.random.default_rng(5)
    series = {(name, "load"): noise.normal(0, 1, rows) + height * (np.arange(rows) >= failed) for name, height in heights.items()}
    return pd.DataFrame(series, index=pd.date_range(START, periods=rows, freq="min"))


@pytest.mark.parametrize("rank", [rank_by_deviation, rank_by_baro])
def test_what_rises_most_comes_first(rank) -> None:  # noqa: ANN001
    metrics = table(web=5, db=50, cart=0)
    assert rank(metrics, pd.DataFrame(), minute(20)) == ["db", "web", "cart"]
    metrics.iloc[3:5, 1] = np.nan
    assert rank(metrics, pd.DataFrame(), minute(20))[0] == "db"


@pytest.mark.parametrize("rank", [rank_by_deviation, rank_by_baro])
def test_a_quiet_recording_replaces_the_time_before(rank) -> None:  # noqa: ANN001
    usual, metrics = table(web=0, db=0), table(failed=0, web=2, db=30, new=90)
    assert rank(metrics, usual, minute(0)) == ["db", "web"]
    assert rank(metrics, pd.DataFrame(), minute(0)) == []


def test_the_last_deploy_is_the_last_one_before_anybody_noticed() -> None:
    deploys = [Deploy(minute(1), "web", "a"), Deploy(minute(2), "db", "b"), Deploy(minute(9), "web", "c")]
    changes = Changes(deploys=deploys)
    assert last_deployed(changes, minute(5)) == "b"
    assert last_deployed(changes, minute(5), "web") == "a"
    assert last_deployed(changes, None) == "c"
    assert last_deployed(changes, minute(0)) is None


def shop() -> Signals:
    metrics = table(**{"orders": 0, "orders-db": 5})
    metrics["orders", "orders__db_call_seconds"] = 1.0
    spans = {"trace": [1], "span": [1], "parent": [-1], "component": ["orders"], "operation": ["ask orders-db"]}
    return Signals(
        Incident(id="i1", title="orders-db is slow", service="orders-db"),
        metrics=metrics,
        spans=pd.DataFrame(spans | {"start_us": [minute(3).timestamp() * 1e6], "duration_us": [5.0], "is_error": [False]}),
        statements=[
            Statement("log", "orders", "orders-db-0 refused, reorders wait", "a.log:1", time=minute(3)),
            Statement("log", "unknown", "no component: unknown", "a.log:2", time=minute(25)),
            Statement("kubernetes", "orders", "0/1 ready", "pods.txt"),
        ],
        calls=frozenset({("orders", "orders-db")}),
        reference=Reference(metrics=table(orders=0)),
    )


def test_other_names_are_everywhere_and_old_ones_nowhere() -> None:
    signals = shop()
    renamed, new = rename_components(signals, 1)
    orders, database = new["orders"], new["orders-db"]
    assert set(new) == {"orders", "orders-db"}
    assert list(renamed.metrics.columns) == [
        (orders, "load"),
        (database, "load"),
        (orders, f"{database.replace('-', '__')}_call_seconds"),
    ]
    assert list(renamed.reference.metrics.columns) == [(orders, "load")]
    assert renamed.spans[["component", "operation"]].to_numpy().tolist() == [[orders, f"ask {database}"]]
    assert [said.component for said in renamed.statements] == [orders, "unknown", orders]
    assert renamed.statements[0].text == f"{database}-0 refused, reorders wait"
    assert renamed.calls == {(orders, database)}
    assert (renamed.incident.service, renamed.incident.title) == (database, f"{database} is slow")
    assert renamed.metrics.to_numpy().tolist() == signals.metrics.to_numpy().tolist()


def test_two_spellings_of_a_name_stay_two_spellings_of_a_name() -> None:
    metrics = table(**{"shop.orders": 0, "shop-orders": 5})
    renamed, new = rename_components(Signals(Incident(id="i1", title="slow"), metrics=metrics), 1)
    assert new["shop.orders"].replace(".", "-") == new["shop-orders"]
    assert list(renamed.metrics.columns) == [(new[name], "load") for name in ("shop.orders", "shop-orders")]


def test_no_drawn_name_begins_with_another_however_short_the_old_ones_are() -> None:
    old = [*"abcdefghijklmnopqrstuvwxyz", "ab", "abc", "B2"]
    new = list(draw_names(old, 2).values())
    assert len(set(new)) == len(old)
    assert not [(one, other) for one in new for other in new if one != other and one.startswith(other)]
    assert draw_names(old, 2) != draw_names(old, 3)


def numbers_in(settings: BaseModel) -> list[float]:
    values = [value for _, value in settings]
    return [
        number
        for value in values
        for number in (numbers_in(value) if isinstance(value, BaseModel) else [value] if isinstance(value, int | float) else [])
    ]


@pytest.mark.parametrize("section", ["culprits", "onset"])
def test_perturbed_settings_are_valid_near_and_never_the_same(section: str) -> None:
    settings = getattr(read_params(paths.PARAMS), section)
    drawn = [perturb(settings, Random(seed)) for seed in range(20)]
    for one in drawn:
        type(settings).model_validate(one.model_dump())
        for before, after in zip(numbers_in(settings), numbers_in(one), strict=True):
            slack = 0.5 if isinstance(before, int) else 1e-9
            assert 0.7 * before - slack <= after <= 1.3 * before + slack
    assert len({str(one) for one in [settings, *drawn]}) == 21


def test_the_quiet_time_ends_before_the_failure_and_begins_after_earlier_ones() -> None:
    signals = shop()
    signals.earlier_faults = (minute(1), minute(26))
    quiet = cut_quiet_time(signals, minute(25), fault_seconds=90)
    assert quiet is not None
    assert (quiet.metrics.index[0], quiet.metrics.index[-1]) == (minute(3), minute(24))
    assert [said.origin for said in quiet.statements] == ["a.log:1"]
    assert (len(quiet.spans), quiet.earlier_faults) == (1, ())
    assert cut_quiet_time(signals, minute(22), fault_seconds=90) is None
    assert cut_quiet_time(Signals(signals.incident), minute(25), fault_seconds=90) is None
