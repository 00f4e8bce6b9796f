"""Signals of an incident -> those of the quiet time before it, to ask whether a method raises false alarms.

Comes in: :class:`Signals` and when the failure began. Goes out: signals of which the failure is no part. Surprise: what carries
no time, such as the state of a cluster, is left out, because it may tell of the failure.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from mimir_core.telemetry.signals import Signals

_MIN_ROWS = 20


def cut_quiet_time(signals: Signals, failed: datetime, fault_seconds: float) -> Signals | None:
    """Return what was recorded before the failure and after earlier ones, or None where that is less than 20 rows of metrics.

    Args:
        signals: Of the whole incident.
        failed: When it began.
        fault_seconds: How long an earlier incident lasts.
    """
    times = signals.metrics.index
    if times.empty:
        return None
    earlier = (fault + timedelta(seconds=fault_seconds) for fault in signals.earlier_faults if fault < failed)
    start = max([times[0].to_pydatetime(), *earlier])
    metrics = signals.metrics[(times >= start) & (times < failed)]
    if len(metrics) < _MIN_ROWS:
        return None
    started_us = signals.spans["start_us"].astype("int64")
    return replace(
        signals,
        metrics=metrics,
        spans=signals.spans[(started_us >= start.timestamp() * 1e6) & (started_us < failed.timestamp() * 1e6)],
        statements=[said for said in signals.statements if said.time and start <= said.time < failed],
        manifests=[],
        query_loads=[],
        earlier_faults=(),
    )
