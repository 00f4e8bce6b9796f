"""A Prometheus server -> the series around an incident.

Comes in: the labels of an alert and a time. Goes out: a frame as :attr:`Signals.metrics`. Asked is for sums by component, in the
cluster and namespace of the alert where it names them (Prometheus documentation, "HTTP API", range queries). Surprises: counters
become rates, and a sum beside its count becomes a mean, because a total that only grows says nothing about now; requests that
failed are asked for by their status and stand beside all requests, since a sum would hide them.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import httpx
import numpy as np
import pandas as pd

from mimir_core.analysis.series import rate_of
from mimir_core.config import PrometheusSettings
from mimir_core.errors import BackendError
from mimir_core.telemetry.signals import workload_of

_OWNERS = ("service", "deployment", "app", "component", "pod", "job")
"""Labels that name a component, the most telling first."""
_SCOPES = ("cluster", "namespace")
_NOT_ASKED = r".*_bucket|.*_created|ALERTS.*|scrape_.*|promhttp_.*|prometheus_.*|go_.*|process_start.*|python_.*"
_STATUSES = ("code", "status", "status_code", "http_status_code")
_FAILED = "_5xx"
_GROWS = ("_total", "_count")


class PrometheusSource:
    """One server."""

    def __init__(self, url: str, settings: PrometheusSettings) -> None:
        self._url = url.rstrip("/")
        self._settings = settings

    def read_series(self, labels: Mapping[str, str], end: datetime) -> pd.DataFrame:
        """Return the series of the hour before ``end``, or however long the settings say.

        Args:
            labels: Of the alert.
            end: The last time.

        Raises:
            BackendError: The server does not answer, or refuses the query.
        """
        scope = [f'{name}="{_quoted(labels[name])}"' for name in _SCOPES if labels.get(name)]
        every = _selector(f'__name__!~"{_NOT_ASKED}"', *scope)
        failed = " or ".join(_selector(f'__name__=~".*(_total|_count)", {status}=~"5.."', *scope) for status in _STATUSES)
        series: dict[tuple[str, str], pd.Series] = {}
        for query, suffix in ((every, ""), (failed, _FAILED)):
            for component, metric, points in self._ask(query, end):
                key = component, f"{metric}{suffix}"
                series[key] = series[key].add(points, fill_value=0.0) if key in series else points
        return _now_instead_of_ever(pd.DataFrame(series).sort_index()) if series else pd.DataFrame()

    def _ask(self, selector: str, end: datetime) -> Iterator[tuple[str, str, pd.Series]]:
        start = end - timedelta(minutes=self._settings.history_minutes)
        asked = {
            "query": f"sum by (__name__, {', '.join(_OWNERS)}) ({selector})",
            "start": start.timestamp(),
            "end": end.timestamp(),
            "step": self._settings.step_seconds,
        }
        try:
            reply = httpx.post(f"{self._url}/api/v1/query_range", data=asked, timeout=self._settings.timeout_seconds)
            answer: dict[str, Any] = reply.json()
        except (httpx.HTTPError, ValueError) as error:
            raise BackendError(f"{self._url}: does not answer as Prometheus does: {error or type(error).__name__}") from error
        if answer.get("status") != "success":
            raise BackendError(f"{self._url}: {answer.get('errorType')}: {answer.get('error')}")
        for one in answer["data"]["result"][: self._settings.max_series]:
            owner, labels = next((name for name in _OWNERS if one["metric"].get(name)), None), one["metric"]
            if owner:
                times = pd.to_datetime([float(time) for time, _ in one["values"]], unit="s", utc=True)
                points = pd.Series([float(value) for _, value in one["values"]], index=times)
                name = labels[owner]
                yield (workload_of(name) if owner == "pod" else name), labels["__name__"], points


def _selector(*matchers: str) -> str:
    return f"{{{', '.join(matchers)}}}"


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _now_instead_of_ever(metrics: pd.DataFrame) -> pd.DataFrame:
    """Counters as rates a second; of sums and counts the mean."""
    rates = metrics.apply(_rate)
    found: dict[tuple[str, str], pd.Series] = {}
    columns: pd.Index = metrics.columns
    for component, metric in columns.to_list():
        if metric.endswith("_sum") and (component, count := f"{metric[:-4]}_count") in metrics.columns:
            found[component, f"{metric[:-4]}_mean"] = rates[component, metric] / rates[component, count].replace(0.0, np.nan)
        elif metric.removesuffix(_FAILED).endswith(_GROWS):
            name = metric.replace("_total", "_per_second").replace("_count", "_per_second")
            found[component, name] = rates[component, metric]
        else:
            found[component, metric] = metrics[component, metric]
    return pd.DataFrame(found)


def _rate(series: pd.Series) -> pd.Series:
    there = series.dropna()
    times = there.index.to_numpy(dtype="datetime64[ns]").astype(np.int64) / 1e9
    return pd.Series(rate_of(times, there.to_numpy(dtype=float)), there.index).reindex(series.index)
