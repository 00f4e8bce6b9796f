"""Who takes longer by itself is told from who waits longer for others."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest

from mimir_core.analysis.span_tree import link_spans
from mimir_core.analysis.trace_times import Slowness, find_slowness
from mimir_core.config import TraceSettings
from mimir_core.telemetry.signals import SPAN_COLUMNS, no_spans

SETTINGS = TraceSettings(
    min_spans=5, noise_sigmas=3.0, slow_factor=2.0, slow_us=1000.0, break_z=5.0, usual_share=0.5, call_floor_share=0.25
)
USUAL = {"web": 20_000, "way": 1_000, "stock": 30_000, "mail": 300}


def recording(traces: int = 20, unanswered: int = 0, seed: int = 5, **own: int) -> pd.DataFrame:
    """web asks stock, which asks mail: microseconds that each takes by itself, and the way from web to stock."""
    noise = np.random.default_rng(seed)
    rows = []
    for number in range(traces):
        took = {name: time * noise.normal(1, 0.02) for name, time in (USUAL | own).items()}
        mail = took["mail"]
        stock = took["stock"] + mail
        asked = stock + took["way"]
        rows.append((number, "a", "", "web", "POST /buy", 0, asked + took["web"]))
        rows.append((number, "b", "a", "web", "ask stock", 1, asked))
        if number >= unanswered:
            rows.append((number, "c", "b", "stock", "take", 2, stock))
            rows.append((number, "d", "c", "stock", "ask mail", 3, mail + 100))
            rows.append((number, "e", "d", "mail", "send", 4, mail))
    return link_spans(pd.DataFrame([(*row, False) for row in rows], columns=list(SPAN_COLUMNS)))


def found(now: pd.DataFrame, reference: pd.DataFrame | None = None) -> Mapping[tuple[str, str], Slowness]:
    reference = recording(seed=6) if reference is None else reference
    return {(item.component, item.callee): item for item in find_slowness(now, reference, SETTINGS)}


def slowest(now: pd.DataFrame) -> tuple[str, str]:
    return max(found(now).items(), key=lambda item: item[1].excess_us)[0]


def test_who_takes_longer_by_itself_is_not_who_waits_for_it() -> None:
    slow = found(recording(stock=90_000))
    assert slow["stock", ""].excess_us == pytest.approx(60_000, rel=0.1)
    assert slow["stock", ""].share == 1
    assert max(item.excess_us for key, item in slow.items() if key != ("stock", "")) < 1_000
    assert slow["stock", ""].before_us == pytest.approx(30_000, rel=0.05)


def test_time_on_the_way_is_the_calls() -> None:
    assert slowest(recording(way=50_000)) == ("web", "stock")


def test_a_tiny_callee_that_became_several_times_slower_does_not_win() -> None:
    slow = found(recording(mail=1_500, web=60_000))
    assert slow["web", ""].excess_us > 20 * slow["mail", ""].excess_us > 0
    assert slow["mail", ""].share == 0  # a millisecond more is nothing


def test_a_steady_system_is_not_slow() -> None:
    slow = found(recording())
    assert slow.keys() == {("web", ""), ("stock", ""), ("mail", ""), ("web", "stock"), ("stock", "mail")}
    assert max(item.excess_us for item in slow.values()) < 500
    assert {item.share for item in slow.values()} == {0}


def test_a_client_span_without_an_answer_is_nobodys_own_time() -> None:
    slow = found(recording(unanswered=8))
    assert max(item.excess_us for item in slow.values()) < 500


def test_rare_operations_are_not_compared() -> None:
    assert found(recording(traces=4, stock=90_000)) == {}
    known_too_little = found(recording(stock=90_000), recording(traces=4))
    assert {(item.excess_us, item.share) for item in known_too_little.values()} == {(0, 0)}


def test_without_spans_on_both_sides_nothing_is_slow() -> None:
    nothing = link_spans(no_spans())
    assert find_slowness(nothing, recording(), SETTINGS) == find_slowness(recording(), nothing, SETTINGS) == []


def test_other_names_mean_other_names_and_nothing_else() -> None:
    new = {"web": "mm", "stock": "zz", "mail": "aa", "": ""}

    def rename(spans: pd.DataFrame) -> pd.DataFrame:
        return spans.assign(component=spans["component"].map(new), callee=spans["callee"].map(new))

    now, reference = recording(stock=90_000, way=9_000), recording(seed=6)
    expected = {(new[caller], new[callee]): item[2:] for (caller, callee), item in found(now, reference).items()}
    renamed = {key: item[2:] for key, item in found(rename(now), rename(reference)).items()}
    assert renamed.keys() == expected.keys()
    assert [renamed[key] for key in expected] == [pytest.approx(item) for item in expected.values()]
