"""Healthy needs proof; a fault that is steady, or a silence, is no proof."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mimir_core.analysis.pack import EvidenceEngine
from mimir_core.analysis.signs import read_signs
from mimir_core.config import read_params
from mimir_core.reasoning.diagnose import diagnose
from mimir_core.records import Alert, Diagnosis, Incident, Verdict
from mimir_core.safety.policy import read_safety_rules
from mimir_core.telemetry.signals import Signals, Statement

PARAMS = read_params(Path(__file__).parents[2] / "params.yaml")
START = datetime(2026, 3, 1, tzinfo=UTC)
ROWS = 60


def _diagnose(series: dict[str, np.ndarray], *statements: Statement, alerted: timedelta = timedelta(minutes=50)) -> Diagnosis:
    alert = Alert(name="HttpErrorRateHigh", starts_at=START + alerted)
    incident = Incident(id="i", title="web", service="web", opened_at=alert.starts_at, alerts=(alert,))
    index = pd.date_range(START, periods=ROWS, freq="1min")
    metrics = pd.DataFrame({("web", name): values for name, values in series.items()}, index=index)
    signals = Signals(incident, metrics=metrics, metrics_origin="m.csv", statements=list(statements))
    engine = EvidenceEngine(lambda _query, _top_k: [], read_signs(), PARAMS)
    return diagnose(engine.build_pack(signals), read_signs(), read_safety_rules(), PARAMS.diagnose).diagnosis


def _flat(level: float) -> np.ndarray:
    return level + np.random.default_rng(3).normal(0, level / 50 + 0.01, ROWS)


def _from(series: np.ndarray, minute: int, level: float) -> np.ndarray:
    changed = series.copy()
    changed[minute:] = level
    return changed


def test_steady_latency_and_errors_are_healthy() -> None:
    diagnosis = _diagnose({"latency_p95_ms": _flat(80), "error_rate_percent": _flat(0.2)})
    assert diagnosis.verdict is Verdict.HEALTHY
    assert "stayed at" in diagnosis.reason
    assert "[1]" in diagnosis.reason


@pytest.mark.parametrize(
    "series",
    [
        {"latency_p95_ms": _flat(80), "requests_per_second": _from(_flat(40), 40, 0.0)},
        {"latency_p95_ms": _flat(80), "up": _from(_flat(1), 40, np.nan)},
        {"latency_p95_ms": _flat(80), "orders_per_minute": _from(_flat(12), 40, 0.0)},
    ],
    ids=["requests stop", "a series vanishes", "an unknown series collapses"],
)
def test_what_stops_or_vanishes_is_not_healthy(series: dict[str, np.ndarray]) -> None:
    assert _diagnose(series).verdict is not Verdict.HEALTHY


def test_an_alert_older_than_the_series_is_not_healthy() -> None:
    steady = {"latency_p95_ms": _flat(900), "error_rate_percent": _flat(100)}
    assert _diagnose(steady, alerted=timedelta(minutes=-30)).verdict is Verdict.UNDETERMINED


def test_warnings_without_a_time_are_not_quiet() -> None:
    fine = Statement("kubernetes", "web", "web-0  1/1  Running", "get.txt", state="fine")
    calm = Statement("log", "web", "request served", "app.log")
    warning = Statement("log", "web", "WARN data lost", "app.log", level="warn")
    assert _diagnose({}, fine, calm).verdict is Verdict.HEALTHY
    assert _diagnose({}, fine, calm, warning).verdict is Verdict.UNDETERMINED


def test_a_service_that_is_not_named_is_never_called_healthy() -> None:
    fine = Statement("kubernetes", "api", "api-0  1/1  Running", "get.txt", state="fine")
    calm = Statement("log", "api", "request served", "app.log")
    assert _diagnose({}, fine, calm).verdict is Verdict.UNDETERMINED
