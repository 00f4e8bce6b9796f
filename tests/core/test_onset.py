"""An incident began where its cause began to show, not where somebody noticed."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from mimir_core.analysis.culprits import Investigation
from mimir_core.analysis.onset import find_onset
from mimir_core.analysis.signs import read_signs
from mimir_core.analysis.suspects import fuse
from mimir_core.config import read_params
from mimir_core.evaluation.rename import rename_components
from mimir_core.records import Incident
from mimir_core.telemetry.signals import SPAN_COLUMNS, Reference, Signals
from tasks import paths

PARAMS = read_params(paths.PARAMS)
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
ROWS, FAILED = 60, 45
CHAIN = frozenset({("web", "cart"), ("cart", "stock")})


def minute(number: float) -> datetime:
    return START + timedelta(minutes=number)


def series(heights: Mapping[str, Mapping[int, float]], seed: int = 7) -> pd.DataFrame:
    """The load of each component: 20 with a little noise, and so much more in some rows."""
    noise = np.random.default_rng(seed)
    columns = {}
    for component, risen in heights.items():
        load = 20 + noise.normal(0, 0.5, ROWS)
        for row, height in risen.items():
            load[row] += height
        columns[component, "cpu_percent"] = load
    return pd.DataFrame(columns, index=pd.date_range(START, periods=ROWS, freq="min"))


def shop(stock: Mapping[int, float], **more: object) -> Signals:
    metrics = series({"web": {}, "cart": {}, "stock": stock})
    return Signals(Incident(id="i1", title="slow"), metrics=metrics, calls=CHAIN, **more)  # type: ignore[arg-type]


def prepare(signals: Signals) -> Investigation:
    return Investigation(signals, read_signs(), PARAMS.culprits)


def onset(signals: Signals, noticed: datetime | None) -> datetime | None:
    return find_onset(prepare(signals), noticed, PARAMS.onset)


def spans(traces: int, own: int = 20_000, first: float = 0.0, every: float = 0.1, seed: int = 5) -> pd.DataFrame:
    """web asks stock, which takes so many microseconds, each tenth of a minute."""
    noise = np.random.default_rng(seed)
    rows = []
    for number in range(traces):
        at, took = int(minute(first + number * every).timestamp() * 1e6), own * noise.normal(1, 0.02)
        rows += [
            (f"{seed}.{number}", "a", "", "web", "POST /buy", at, took + 5_000, False),
            (f"{seed}.{number}", "b", "a", "web", "ask stock", at + 1, took + 1_000, False),
            (f"{seed}.{number}", "c", "b", "stock", "take", at + 2, took, False),
        ]
    return pd.DataFrame(rows, columns=list(SPAN_COLUMNS))


@pytest.mark.parametrize("late", [0, 1, 5])
def test_the_onset_is_found_when_the_alert_came_minutes_late(late: int) -> None:
    assert onset(shop(dict.fromkeys(range(FAILED, ROWS), 60.0)), minute(FAILED + late)) == minute(FAILED)


def test_the_onset_is_found_without_an_alert() -> None:
    assert onset(shop(dict.fromkeys(range(FAILED, ROWS), 60.0)), None) == minute(FAILED)


def test_where_nothing_changed_nothing_began() -> None:
    assert onset(shop({}), minute(FAILED)) is None
    assert onset(Signals(Incident(id="i1", title="slow")), minute(FAILED)) is None


def test_an_incident_does_not_begin_after_it_was_noticed() -> None:
    found = onset(shop(dict.fromkeys(range(FAILED, ROWS), 60.0)), minute(20))
    assert found is None or found <= minute(21)


def test_an_earlier_known_fault_does_not_hide_the_onset() -> None:
    earlier, own = dict.fromkeys(range(20, 24), 75.0), dict.fromkeys(range(FAILED, ROWS), 30.0)
    signals = shop(earlier | own, earlier_faults=(minute(20),))
    assert onset(signals, minute(FAILED + 2)) == minute(FAILED)
    assert prepare(signals).is_disturbed.nonzero()[0].tolist() == list(range(19, 25))


def test_what_happened_long_before_does_not_hide_the_onset() -> None:
    signals = shop(dict.fromkeys(range(5), 1e6) | dict.fromkeys(range(FAILED, ROWS), 30.0))
    short = PARAMS.onset.model_copy(update={"history_rows": 10})
    assert find_onset(prepare(signals), minute(FAILED + 1), short) == minute(FAILED)
    long = PARAMS.onset.model_copy(update={"history_rows": ROWS})
    assert find_onset(prepare(signals), minute(FAILED + 1), long) is None


def test_earlier_faults_without_series_disturb_nobody() -> None:
    signals = Signals(Incident(id="i1", title="slow"), spans=spans(50), earlier_faults=(minute(1),))
    assert onset(signals, None) is None


def test_the_onset_is_found_in_spans_alone() -> None:
    signals = Signals(Incident(id="i1", title="slow"), spans=pd.concat([spans(200), spans(100, 90_000, first=20.0, seed=6)]))
    found = onset(signals, minute(22))
    assert found is not None
    assert abs(found - minute(20)) < timedelta(minutes=6)  # few times are tried


def test_spans_without_anything_to_compare_with_say_nothing() -> None:
    signals = Signals(Incident(id="i1", title="slow"), spans=spans(100, 90_000, first=20.0))
    assert list(prepare(signals).trace_suspicions(minute(20))) == []
    signals.reference = Reference(spans=spans(100))
    assert next(iter(fuse(prepare(signals).suspicions_at(minute(20))))) == "stock"


def test_calls_are_told_by_the_case_by_spans_and_by_names_of_series() -> None:
    signals = shop({}, spans=spans(1))
    signals.metrics["mail", "stock_call_latency_ms"] = 1.0
    assert prepare(signals).calls == CHAIN | {("web", "stock"), ("mail", "stock")}


@pytest.mark.parametrize("seed", range(5))
def test_other_names_mean_other_names_and_nothing_else(seed: int) -> None:
    traces = pd.concat([spans(50, first=FAILED - 5), spans(100, 90_000, first=FAILED, seed=6)], ignore_index=True)
    signals = shop(dict.fromkeys(range(FAILED, ROWS), 60.0), spans=traces)
    signals.metrics.iloc[FAILED:, :2] += 5.0  # a tie, nearly
    renamed, new = rename_components(signals, seed)
    expected = {new[name]: strength for name, strength in fuse(prepare(signals).suspicions_at(minute(FAILED))).items()}
    assert expected.keys() == set(new.values())
    assert fuse(prepare(renamed).suspicions_at(minute(FAILED))) == pytest.approx(expected, rel=1e-9)
    found = onset(signals, minute(FAILED))
    assert found is not None
    assert abs(found - minute(FAILED)) < timedelta(minutes=1)
    assert onset(renamed, minute(FAILED)) == found


def test_where_nobody_noticed_a_last_blip_is_no_onset_and_where_somebody_did_it_may_be() -> None:
    signals = shop({**dict.fromkeys(range(FAILED, FAILED + 6), 8.0), ROWS - 1: 60.0})
    assert onset(signals, None) == minute(FAILED)
    assert onset(shop({ROWS - 1: 60.0}), minute(ROWS - 1)) == minute(ROWS - 1)
