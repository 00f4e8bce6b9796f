"""An incident whose beginning nobody knows -> when it began.

Comes in: a prepared :class:`Investigation`, perhaps a time by which it was noticed. Goes out: the onset, or None where no
time explains anything. Method: each candidate time is tried, and the one for which some component is most suspect is kept:
a change point (Bai, 1995) chosen by what it explains, not by how much moves. Then it is moved to where the deciding series
left its usual range. Surprise: what is noticed is late, so that the time of an alert only bounds the search; of two times that
explain as much the later one is more likely, because what is old was noticed or lived with.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from mimir_core.analysis.culprits import Investigation
from mimir_core.analysis.levels import Shift
from mimir_core.analysis.suspects import Suspicion
from mimir_core.config import OnsetSettings


def find_onset(investigation: Investigation, noticed: datetime | None, settings: OnsetSettings) -> datetime | None:
    """Return the time at which the incident began, or None when nothing changed.

    Args:
        investigation: The incident.
        noticed: When it was noticed, at the latest; None where that is not known.
        settings: The ``onset`` section.
    """
    tried = list(_try_all(investigation, noticed, settings))
    if not tried:
        return None
    end = noticed or max(onset for onset, _ in tried)
    traced = investigation.traced

    def weight(entry: tuple[datetime, Suspicion]) -> float:
        onset, suspicion = entry
        is_seen = traced is None or traced.start <= onset <= traced.end
        return suspicion.strength * _prior(onset, end, settings.usual_lag_seconds) * (1.0 if is_seen else settings.unseen)

    onset, deciding = max(tried, key=weight)
    if deciding.strength < settings.min_strength:
        return None
    if isinstance(deciding.finding, Shift):
        return _departure(investigation.metrics, onset, deciding.finding, settings.out_share)
    return onset


def _try_all(
    investigation: Investigation, noticed: datetime | None, settings: OnsetSettings
) -> Iterator[tuple[datetime, Suspicion]]:
    """Yield each time that is tried, with the strongest suspicion if it is the onset; series first."""
    signals = investigation.signals
    earliest = pd.Timestamp(noticed - timedelta(seconds=settings.lookback_seconds)) if noticed else None
    latest = pd.Timestamp(noticed + timedelta(seconds=settings.slack_seconds)) if noticed else None
    if not signals.metrics.empty:
        rows = np.flatnonzero(~investigation.is_disturbed)
        needed = settings.min_rows if signals.reference.metrics.empty else 0
        last = len(signals.metrics) - (1 if noticed else settings.min_rows)
        times = pd.DatetimeIndex(signals.metrics.index[rows[(rows >= needed) & (rows <= last)]])
        candidates = _spread(times, earliest, latest, settings.candidates)
        first = int(signals.metrics.index.searchsorted(pd.Timestamp(candidates[0]))) if candidates else 0
        for onset in candidates:
            if found := list(investigation.metric_suspicions(onset, max(0, first - settings.history_rows))):
                yield onset, max(found, key=lambda item: item.strength)
    started = pd.to_datetime(np.sort(signals.spans["start_us"].to_numpy(dtype="int64")), unit="us", utc=True)
    for onset in _spread(started, earliest, latest, settings.trace_candidates):
        if found := [*investigation.trace_suspicions(onset), *investigation.log_suspicions(onset)]:
            yield onset, max(found, key=lambda item: item.strength)


def _prior(onset: datetime, noticed: datetime, usual_lag_seconds: float) -> float:
    """How likely a fault is noticed so late: exponential in the lag."""
    return float(np.exp(-max(0.0, (noticed - onset).total_seconds()) / usual_lag_seconds))


def _spread(times: pd.DatetimeIndex, earliest: pd.Timestamp | None, latest: pd.Timestamp | None, most: int) -> list[datetime]:
    """Return at most ``most`` of the times between the bounds, evenly spread; the times are sorted."""
    first = 0 if earliest is None else int(times.searchsorted(earliest))
    end = len(times) if latest is None else int(times.searchsorted(latest, side="right"))
    if first >= end:
        return []
    return [times[row].to_pydatetime() for row in np.unique(np.linspace(first, end - 1, most).astype(int))]


def _departure(metrics: pd.DataFrame, onset: datetime, shift: Shift, out_share: float) -> datetime:
    """Where the series left its usual range for good: back from the onset while it is out, or on to where it goes out."""
    values = metrics[shift.component, shift.metric].dropna()
    height = abs(shift.after - shift.before)
    is_out = ((values - shift.before) * np.sign(shift.after - shift.before) > max(shift.noise, out_share * height)).to_numpy()
    row = int(values.index.searchsorted(pd.Timestamp(onset)))
    while row < len(is_out) and not is_out[row]:
        row += 1
    while 0 < row < len(is_out) and is_out[row - 1]:
        row -= 1
    return values.index[row].to_pydatetime() if row < len(is_out) else onset
