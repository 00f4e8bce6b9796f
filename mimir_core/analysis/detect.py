"""Series -> what changed, when, and by how much.

Comes in: :attr:`Signals.metrics`. Goes out: the onset of the incident and one piece of evidence a series.
Method: robust z-score, (median after - median before) / (1.4826 * MAD before); the constant makes the MAD agree with the
standard deviation of normal noise (Rousseeuw and Croux, 1993). The onset is the split that explains most of the absolute
deviation of the series that changed (least-absolute-deviation change point; Bai, 1995).
Surprise: a series that did not change is evidence too; it speaks for health and against hypotheses.
"""

from collections.abc import Iterator
from datetime import datetime

import numpy as np
import pandas as pd

from mimir_core.analysis.robust import MAD_TO_SIGMA
from mimir_core.config import DetectSettings
from mimir_core.records import Evidence, EvidenceKind, Measurement, Window

_ONSET_CANDIDATES = 60
_SCORE_CAP = 20.0
_EPSILON = 1e-9
_MISSED_STEPS = 3


def find_onset(metrics: pd.DataFrame, alerted_at: datetime | None, settings: DetectSettings) -> datetime | None:
    """Return the time that splits the series best into before and after, or None when nothing changed.

    Args:
        metrics: As :attr:`Signals.metrics`.
        alerted_at: The onset is not looked for after this time, plus one step.
        settings: The ``detect`` section.
    """
    rows = len(metrics)
    latest = rows if alerted_at is None else int(metrics.index.searchsorted(pd.Timestamp(alerted_at), side="right")) + 1
    splits = np.arange(settings.min_points, min(latest, rows - settings.min_points + 1))
    if not len(splits):
        return None
    splits = np.unique(splits[np.linspace(0, len(splits) - 1, _ONSET_CANDIDATES).astype(int)])
    values = metrics.to_numpy(dtype=float)
    gains = [_split_gain(values, int(split), settings) for split in splits]
    best = int(np.argmax(gains))
    return metrics.index[splits[best]].to_pydatetime() if gains[best] > 0 else None


def compare_series(metrics: pd.DataFrame, onset: datetime | None, origin: str, settings: DetectSettings) -> Iterator[Evidence]:
    """Yield a piece of evidence for each series with enough points on both sides of ``onset``.

    Where there is no onset the second half of the series is compared with the first. The score is the robust z-score,
    capped at 1 for a score of 20; a series within the noise scores 0.
    """
    if metrics.empty:
        return
    split = len(metrics) // 2 if onset is None else int(metrics.index.searchsorted(pd.Timestamp(onset)))
    window = Window(start=metrics.index[0].to_pydatetime(), end=metrics.index[-1].to_pydatetime())
    values = metrics.to_numpy(dtype=float)
    for position, column in enumerate(metrics.columns):
        component, metric = str(column[0]), str(column[1])
        before, after = values[:split, position], values[split:, position]
        before, after = before[~np.isnan(before)], after[~np.isnan(after)]
        if _has_stopped(pd.DatetimeIndex(metrics.index), values[:, position], settings.min_points):
            yield _vanished(component, metric, np.concatenate([before, after]), origin, window)
            continue
        if min(len(before), len(after)) < settings.min_points:
            continue
        noise = _noise(before, settings)
        middle, now = float(np.median(before)), float(np.median(after))
        score = abs(now - middle) / noise * settings.threshold if noise else 0.0
        yield Evidence(
            kind=EvidenceKind.METRIC,
            component=component,
            subject=metric,
            origin=origin,
            query=f"{component}:{metric}",
            window=window,
            observed_at=onset or window.end,
            value=Measurement(before=_round(middle), after=_round(now), noise=_round(noise)),
            score=min(1.0, score / _SCORE_CAP) if score > settings.threshold else 0.0,
            excerpt=f"{component} {metric}: median {middle:.4g} before, {now:.4g} after, peak {after.max():.4g}",
        )


def _has_stopped(times: pd.DatetimeIndex, values: np.ndarray, min_points: int) -> bool:
    """Whether a series ends while others go on: ``min_points`` rows and three of its own steps before the end."""
    there = np.flatnonzero(~np.isnan(values))
    if len(there) < min_points or len(values) - 1 - there[-1] < min_points:
        return False
    step = np.median(np.diff(times[there].asi8))
    return bool(times.asi8[-1] - times.asi8[there[-1]] > _MISSED_STEPS * step)


def _vanished(component: str, metric: str, before: np.ndarray, origin: str, window: Window) -> Evidence:
    """A series that stops is news: what it measured may be gone."""
    middle = _round(float(np.median(before)))
    return Evidence(
        kind=EvidenceKind.METRIC,
        component=component,
        subject=metric,
        origin=origin,
        query=f"{component}:{metric}",
        window=window,
        value=Measurement(before=middle),
        score=1.0,
        excerpt=f"{component} {metric}: median {middle:g} before, no point after",
    )


def _noise(before: np.ndarray, settings: DetectSettings) -> float:
    """Half-width of "no change": threshold x robust sigma, but at least the smallest relative change that counts."""
    middle = float(np.median(before))
    sigma = MAD_TO_SIGMA * float(np.median(np.abs(before - middle)))
    return max(settings.threshold * sigma, settings.min_relative_change * abs(middle), _EPSILON)


def _split_gain(values: np.ndarray, split: int, settings: DetectSettings) -> float:
    """Sum, over the series that changed, of the share of their absolute deviation that splitting here explains."""
    enough = (np.sum(~np.isnan(values[:split]), axis=0) >= settings.min_points) & (
        np.sum(~np.isnan(values[split:]), axis=0) >= settings.min_points
    )
    if not enough.any():
        return 0.0
    before, after = values[:split, enough], values[split:, enough]
    middle, now = np.nanmedian(before, axis=0), np.nanmedian(after, axis=0)
    sigma = MAD_TO_SIGMA * np.nanmedian(np.abs(before - middle), axis=0)
    needed = np.maximum(settings.threshold * sigma, np.maximum(settings.min_relative_change * np.abs(middle), _EPSILON))
    apart = np.nansum(np.abs(before - middle), axis=0) + np.nansum(np.abs(after - now), axis=0)
    whole = values[:, enough]
    together = np.nansum(np.abs(whole - np.nanmedian(whole, axis=0)), axis=0)
    gain = 1 - apart / np.maximum(together, _EPSILON)
    return float(np.sum(gain[np.abs(now - middle) > needed]))


def _round(number: float) -> float:
    """Four significant digits: what an engineer reads, and the same bytes on every machine."""
    return float(f"{number:.4g}")
