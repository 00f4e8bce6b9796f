"""The confidence of a ranking says how probable it is that the first component is at fault."""

import math
from pathlib import Path

import pytest

from mimir_core.analysis.calibrate import confidence_in, features_of, read_calibration
from mimir_core.analysis.suspects import Suspicion
from mimir_core.errors import ParamsError
from mimir_core.records import FaultKind


def suspicion(component: str, signal: str, strength: float) -> Suspicion:
    return Suspicion(component, signal, FaultKind.CPU, strength, None)


def test_a_clear_lead_is_more_probable_than_a_crowd() -> None:
    clear = (("web", 0.9), ("cart", 0.1), ("db", 0.0))
    crowd = (("web", 0.9), ("cart", 0.85), ("db", 0.8))
    reasons = [suspicion("web", "shape", 0.9)]
    assert confidence_in(clear, reasons, is_noticed=True) > confidence_in(crowd, reasons, is_noticed=True)


def test_what_nobody_noticed_must_show_by_itself() -> None:
    strong, faint = [suspicion("web", "flow", 0.99), suspicion("web", "level", 0.9)], [suspicion("web", "level", 0.05)]
    assert confidence_in((("web", 0.999),), strong, is_noticed=False) > 0.5
    assert confidence_in((("web", 0.05),), faint, is_noticed=False) < 0.1
    assert confidence_in((("web", 0.05),), faint, is_noticed=True) > 0.3


def test_where_nothing_is_suspected_nothing_is_confident() -> None:
    assert confidence_in((("web", 0.0),), [], is_noticed=True) == 0


def test_certainty_is_a_finite_feature() -> None:
    features = features_of((("web", 1.0),), [suspicion("web", "flow", 1.0)])
    assert features == pytest.approx({"first": math.log(999), "signals": 1, "rivals": 0})


def test_rivals_are_at_least_half_as_suspect_and_faint_signals_do_not_count() -> None:
    reasons = [suspicion("web", "log", 0.1), suspicion("web", "time", 0.09), suspicion("db", "shape", 0.9)]
    features = features_of((("web", 0.8), ("db", 0.4), ("mail", 0.39)), reasons)
    assert features["signals"] == 1
    assert features["rivals"] == pytest.approx(math.log(2))


def test_a_broken_calibration_stops_the_start(tmp_path: Path) -> None:
    file = tmp_path / "calibration.json"
    file.write_text('{"weights": 3}')
    with pytest.raises(ParamsError, match="calibration"):
        read_calibration(file)
