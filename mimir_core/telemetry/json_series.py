"""JSON that a tool returned -> series of numbers.

Comes in: parsed JSON. Goes out: a frame as :attr:`Signals.metrics`. Shapes: lists of times beside lists of values (CloudWatch
GetMetricData, in the API's spelling or in lower case), ``Datapoints`` (CloudWatch GetMetricStatistics), and the results of
a Prometheus query over a range. Surprise: a series belongs to what its dimensions or labels name, else to the nearest
component around it.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pandas as pd

from mimir_core.telemetry.json_names import name_of
from mimir_core.telemetry.times import parse_time

_STATISTICS = ("Average", "Maximum", "Minimum", "Sum", "SampleCount")
_MAX_DEPTH = 40


class _Points(NamedTuple):
    component: str
    metric: str
    times: list[Any]
    values: list[Any]


def parse_json_series(content: Any, component: str) -> pd.DataFrame:
    """Return the series in ``content``.

    Returns:
        A frame as :attr:`Signals.metrics`; empty when there is none.
    """
    series = {(found.component, found.metric): _as_series(found) for found in _walk(content, component, "", 0)}
    return pd.DataFrame(series).sort_index() if series else pd.DataFrame()


def _as_series(points: _Points) -> pd.Series:
    index = pd.DatetimeIndex(pd.to_datetime(pd.Series([parse_time(time) for time in points.times]), utc=True))
    numbers = pd.to_numeric(pd.Series(points.values, index=index), errors="coerce").replace([math.inf, -math.inf], math.nan)
    return numbers[numbers.index.notna() & ~numbers.index.duplicated()]


def _walk(node: Any, component: str, key: str, depth: int) -> Iterator[_Points]:
    if depth > _MAX_DEPTH:
        return
    if isinstance(node, list):
        for entry in node:
            yield from _walk(entry, component, key, depth + 1)
    elif isinstance(node, Mapping):
        owner = _dimension(node) or name_of(node) or component
        points = _beside(node) or _datapoints(node) or _pairs(node)
        if points and points[0] and len(points[0]) == len(points[1]):
            yield _Points(owner, _metric(node, key), *points)
            return
        for inner, value in node.items():
            if isinstance(value, Mapping | list):
                yield from _walk(value, owner, inner, depth + 1)


def _beside(node: Mapping[str, Any]) -> tuple[list[Any], list[Any]] | None:
    for times, values in (("timestamps", "values"), ("Timestamps", "Values")):
        if isinstance(node.get(times), list) and isinstance(node.get(values), list):
            return node[times], node[values]
    return None


def _datapoints(node: Mapping[str, Any]) -> tuple[list[Any], list[Any]] | None:
    points = node.get("Datapoints")
    if not isinstance(points, list) or not all(isinstance(point, Mapping) for point in points):
        return None
    statistic = next((name for name in _STATISTICS if any(name in point for point in points)), "")
    return [point.get("Timestamp") for point in points], [point.get(statistic) for point in points]


def _pairs(node: Mapping[str, Any]) -> tuple[list[Any], list[Any]] | None:
    pairs = node.get("values")
    if not isinstance(node.get("metric"), Mapping) or not isinstance(pairs, list):
        return None
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        return None
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def _metric(node: Mapping[str, Any], key: str) -> str:
    labels = node.get("metric")
    if isinstance(labels, Mapping):
        return str(labels.get("__name__") or "value")
    said = (node.get(name) for name in ("metric_name", "MetricName", "label", "Label", "id", "Id"))
    plain = key if key not in ("metric_data_results", "MetricDataResults") else ""
    return str(next((name for name in said if isinstance(name, str) and name), plain or node.get("unit") or "value"))


def _dimension(node: Mapping[str, Any]) -> str | None:
    """CloudWatch names the resource in its first dimension (AWS API reference, ``Dimension``)."""
    dimensions = node.get("dimensions") or node.get("Dimensions")
    if isinstance(dimensions, list) and dimensions and isinstance(dimensions[0], Mapping):
        value = dimensions[0].get("Value") or dimensions[0].get("value")
        return str(value) if value else None
    return None
