"""What fills up is warned of before it is full."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mimir_core.analysis.limits import warn_of_limits
from mimir_core.analysis.signs import read_signs
from mimir_core.config import read_params
from mimir_core.records import Evidence, EvidenceKind

START = datetime(2026, 3, 1, tzinfo=UTC)
ANOMALY = read_params(Path(__file__).parents[2] / "params.yaml").anomaly
ROWS = 480
RISING = 50 + np.arange(ROWS) * 0.05 + np.random.default_rng(3).normal(0, 0.3, ROWS)
"""Six an hour where a row is half a minute: 74 after four hours."""


def warnings(metric: str, values: np.ndarray, onset: datetime | None = None) -> list[Evidence]:
    index = pd.date_range(START, periods=ROWS, freq="30s")
    columns = pd.MultiIndex.from_tuples([("db", metric)])
    metrics = pd.DataFrame(values[:, None], index, columns)
    return list(warn_of_limits(metrics, onset, "metrics.csv", read_signs(), ANOMALY))


@pytest.mark.parametrize(
    ("metric", "values"),
    [("disk_used_percent", RISING), ("memory_utilization_ratio", RISING / 100), ("FreeStorageSpace", 1e9 * (100 - RISING))],
)
def test_a_disk_or_a_memory_that_fills_up_is_warned_of(metric: str, values: np.ndarray) -> None:
    [warning] = warnings(metric, values)
    assert (warning.kind, warning.component, warning.subject) == (EvidenceKind.FORECAST, "db", metric)
    assert warning.value
    assert warning.value.after == pytest.approx((100 - 74) / 6, rel=0.1)
    assert "in 4.3 h" in warning.excerpt or "in 4.4 h" in warning.excerpt


@pytest.mark.parametrize("metric", ["cpu_percent", "disk_used_bytes", "http_error_percent", "replicas_ready", "song_percent"])
def test_what_drains_by_itself_or_has_no_known_limit_is_not_warned_of(metric: str) -> None:
    assert not warnings(metric, RISING)


def test_a_share_beyond_its_limit_is_none() -> None:
    assert not warnings("disk_used_percent", RISING + 60)


def test_what_began_with_the_incident_is_its_effect_and_no_forecast() -> None:
    later = np.where(np.arange(ROWS) < 100, RISING[0], RISING - RISING[100] + RISING[0])
    assert warnings("disk_used_percent", later)
    assert not warnings("disk_used_percent", later, START + timedelta(seconds=30 * 100))
