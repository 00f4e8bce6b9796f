"""Linked spans -> which components and which calls became slow, against a time without the fault.

Comes in: linked spans of the incident and of the reference. Goes out: one :class:`Slowness` a component and a call.
Method: per operation, self time above median + 3 robust deviations of the reference (Rousseeuw and Croux, 1993), summed: the
flow of excess time, not its z-score, so that a tiny steady callee cannot win. Surprise: a span of a call that was not
answered, or whose answer was not recorded, has no child, so its time is nobody's own: operations that usually wait for
others, and spans without a child where there usually is one, are left out.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from mimir_core.config import TraceSettings

_MAD_TO_SIGMA = 1.4826
_OPERATION = ["component", "operation"]
_CALL = ["component", "callee", "operation"]


class Slowness(NamedTuple):
    """How much longer one component, or one call of it, takes."""

    component: str
    callee: str
    """Empty for time that the component spends by itself."""
    excess_us: float
    """Per trace, less what the reference shows by the same measure."""
    share: float
    """Of its spans that are slow, between 0 and 1."""
    before_us: float
    """Median self time in the reference."""
    after_us: float
    spans: int


def find_slowness(now: pd.DataFrame, reference: pd.DataFrame, settings: TraceSettings) -> list[Slowness]:
    """Return how slow each component and call became, the steady ones too; own time first, else in the order of names."""
    if now.empty or reference.empty:
        return []
    waiting = _usually(reference["callee"] != "", reference)
    calling = _usually(reference["children"] > 0, reference)
    found = []
    for keys, is_call in ((_OPERATION, False), (_CALL, True)):
        after, before = (_of_kind(spans, waiting, calling, is_call=is_call) for spans in (now, reference))
        found.extend(_compare(after, before, keys, _traces(now), _traces(reference), settings))
    return found


def _compare(
    after: pd.DataFrame, before: pd.DataFrame, keys: list[str], traces_after: int, traces_before: int, settings: TraceSettings
) -> list[Slowness]:
    grouped = before.groupby(keys, sort=False)["own_us"]
    profile = pd.DataFrame({"median": grouped.median(), "spans": grouped.size()})
    deviation = (before["own_us"] - profile["median"].reindex(_index(before, keys)).to_numpy()).abs()
    profile["sigma"] = _MAD_TO_SIGMA * deviation.groupby([before[key] for key in keys], sort=False).median()
    profile = profile[profile["spans"] >= settings.min_spans]
    owner = [key for key in keys if key != "operation"]
    excess_after, slow = _excess(after, profile, keys, settings)
    excess_before, _ = _excess(before, profile, keys, settings)
    flow = excess_after.groupby([after[key] for key in owner], sort=True).sum() / traces_after
    usual = excess_before.groupby([before[key] for key in owner], sort=True).sum() / traces_before
    share = slow.groupby([after[key] for key in owner], sort=True).mean()
    medians_after = after.groupby(owner)["own_us"].median()
    medians_before = before.groupby(owner)["own_us"].median()
    sizes = after.groupby(owner).size()
    found = []
    for key, excess in (flow - usual.reindex(flow.index).fillna(0.0)).items():
        if sizes[key] >= settings.min_spans and key in medians_before.index:
            component, callee = key if isinstance(key, tuple) else (key, "")
            found.append(
                Slowness(
                    str(component),
                    str(callee),
                    max(0.0, float(excess)),
                    float(share[key]),
                    float(medians_before[key]),
                    float(medians_after[key]),
                    int(sizes[key]),
                )
            )
    return found


def _excess(spans: pd.DataFrame, profile: pd.DataFrame, keys: list[str], settings: TraceSettings) -> tuple[pd.Series, pd.Series]:
    """Time above the usual, in microseconds, and whether a span is slow; an operation without a profile has neither."""
    usual = profile.reindex(_index(spans, keys))
    median, sigma = usual["median"].to_numpy(), usual["sigma"].to_numpy()
    own = spans["own_us"].to_numpy(dtype=float)
    bound = median + settings.noise_sigmas * sigma
    excess = np.nan_to_num(np.maximum(own - bound, 0.0))
    slow = own > np.maximum(settings.slow_factor * median, bound) + settings.slow_us
    return pd.Series(excess, index=spans.index), pd.Series(slow, index=spans.index)


def _usually(holds: pd.Series, reference: pd.DataFrame) -> pd.Index:
    """The operations of which most spans have a property."""
    share = holds.groupby([reference[key] for key in _OPERATION], sort=False).mean()
    return share.index[share > 1 / 2]


def _of_kind(spans: pd.DataFrame, waiting: pd.Index, calling: pd.Index, *, is_call: bool) -> pd.DataFrame:
    if is_call:
        return spans[spans["callee"] != ""]
    operations = _index(spans, _OPERATION)
    is_unanswered = (spans["children"] == 0).to_numpy() & operations.isin(calling)
    return spans[(spans["callee"] == "").to_numpy() & ~operations.isin(waiting) & ~is_unanswered]


def _index(spans: pd.DataFrame, keys: list[str]) -> pd.MultiIndex:
    return pd.MultiIndex.from_frame(spans[keys])


def _traces(spans: pd.DataFrame) -> int:
    return max(1, int(spans["trace"].nunique()))
