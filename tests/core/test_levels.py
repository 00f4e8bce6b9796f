"""A level is raised by what it rose, on the scale of the whole system."""

import numpy as np
import pandas as pd
import pytest

from mimir_core.analysis.levels import Shift, find_shifts, shared_metrics
from mimir_core.config import LevelSettings

ROWS, FAILED = 40, 30
IS_AFTER = np.arange(ROWS) >= FAILED
SETTINGS = LevelSettings(noise_sigmas=3.0, first_rows=3, first_seconds=180.0, usual_sigmas=2.0, floor_share=0.1)


def steps(seed: int = 3, **levels: tuple[float, float]) -> pd.DataFrame:
    """The load of each component before and after the failure, with noise of 1 around it."""
    noise = np.random.default_rng(seed)
    series = {
        (name, "load"): np.where(IS_AFTER, after, before) + noise.normal(0, 1, ROWS) for name, (before, after) in levels.items()
    }
    return pd.DataFrame(series, index=pd.date_range("2026-03-01", periods=ROWS, freq="min", tz="UTC"))


def shifts(metrics: pd.DataFrame, usual: pd.DataFrame | None = None) -> dict[str, Shift]:
    found = find_shifts(metrics, ~IS_AFTER, IS_AFTER, pd.DataFrame() if usual is None else usual, SETTINGS)
    return {shift.component: shift for shift in found}


def test_the_scale_is_the_highest_usual_level_of_all_components() -> None:
    found = shifts(steps(web=(100, 150), db=(10, 60), mail=(50, 50)))
    assert found["web"].excess == pytest.approx(found["db"].excess, abs=0.05) == pytest.approx(0.46, abs=0.05)
    assert found["mail"].excess == 0
    assert (found["db"].before, found["db"].after) == pytest.approx((10, 60), abs=2)


def test_ten_times_nothing_is_nothing() -> None:
    metrics = steps(web=(400, 400))
    metrics["mail", "load"] = np.where(IS_AFTER, 0.02, 0.002)
    assert shifts(metrics)["mail"].excess < 0.001


def test_what_seldom_happens_is_part_of_the_scale() -> None:
    metrics = steps(web=(10, 60))
    without = shifts(metrics)["web"].excess
    metrics.iloc[5:20:5, 0] = 100
    assert shifts(metrics)["web"].excess == pytest.approx(46 / (10 + 2 * 27), rel=0.1)  # 27 deviates who is at 100 in a tenth
    assert without > 3


def test_what_was_idle_everywhere_can_still_be_raised() -> None:
    found = shifts(steps(web=(0, 90), mail=(0, 0)))
    assert 5 < found["web"].excess < 10.1  # a share of the highest level reached stands for the usual one
    assert abs(found["mail"].excess) < 0.05


def test_a_fall_is_negative() -> None:
    assert shifts(steps(web=(100, 20)))["web"].excess == pytest.approx(-0.77, abs=0.05)


def test_a_short_fault_is_seen_in_the_first_minutes() -> None:
    metrics = steps(web=(100, 100))
    metrics.iloc[FAILED : FAILED + 3, 0] += 80
    assert shifts(metrics)["web"].excess > 0.7


def test_what_a_quiet_recording_shows_is_usual() -> None:
    metrics, usual = steps(web=(100, 150), db=(100, 150)), steps(seed=4, web=(150, 150), db=(100, 100))
    found = shifts(metrics, usual)
    assert abs(found["web"].excess) < 0.03
    assert found["db"].excess > 0.3


def test_a_series_with_gaps_is_compared_and_one_without_values_is_not() -> None:
    metrics = steps(web=(100, 150), db=(100, 150), mail=(100, 150))
    metrics.iloc[::3, 0] = np.nan
    metrics.loc[IS_AFTER, ("db", "load")] = np.nan
    metrics.loc[metrics.index[FAILED : FAILED + 3], ("mail", "load")] = np.nan
    found = shifts(metrics)
    assert found.keys() == {"web", "mail"}
    assert found["mail"].after == pytest.approx(150, abs=2)


def test_without_a_time_after_nothing_moved() -> None:
    metrics = steps(web=(100, 150))
    assert find_shifts(metrics, ~IS_AFTER, np.zeros(ROWS, dtype=bool), pd.DataFrame(), SETTINGS) == []
    assert find_shifts(pd.DataFrame(), np.array([], dtype=bool), np.array([], dtype=bool), pd.DataFrame(), SETTINGS) == []


def test_a_series_that_two_components_have_is_shared_but_not_a_flat_line() -> None:
    metrics = steps(web=(1, 9), db=(2, 7))
    metrics["web", "node"], metrics["db", "node"] = metrics["web", "load"], metrics["web", "load"]
    metrics["web", "restarts"] = metrics["db", "restarts"] = 0.0
    metrics["web", "gone"] = metrics["db", "gone"] = np.nan
    assert shared_metrics(metrics) == {"node"}


def test_other_names_mean_other_names_and_nothing_else() -> None:
    metrics = steps(web=(100, 150), db=(10, 60), mail=(50, 50))
    new = {"web": "aa", "db": "zz", "mail": "mm"}
    renamed = shifts(metrics.rename(columns=new, level=0).sort_index(axis=1))
    assert {name: shift._replace(component="") for name, shift in renamed.items()} == {
        new[name]: shift._replace(component="") for name, shift in shifts(metrics).items()
    }
