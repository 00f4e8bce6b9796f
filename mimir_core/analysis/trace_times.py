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

from mimir_core.analysis.robust import MAD_TO_SIGMA
from mimir_core.config import TraceSettings

_OPERATION = ["component", "operation"]
_OWNER = ["component", "callee"]
_CALL = [*_OWNER, "operation"]


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
    """Return how slow each component and call became, the steady ones too, in the order of names."""
    if now.empty or reference.empty:
        return []
    waiting = _usually(reference["callee"] != "", reference, settings.usual_share)
    calling = _usually(reference["children"] > 0, reference, settings.usual_share)
    after, before = (_accountable(spans, waiting, calling) for spans in (now, reference))
    profile = _profile(before, settings.min_spans)
    excess_after, slow = _excess(after, profile, settings)
    excess_before, _ = _excess(before, profile, settings)
    owner_after, owner_before = ([spans[key] for key in _OWNER] for spans in (after, before))
    flow = excess_after.groupby(owner_after).sum() / now["trace"].nunique()
    usual = excess_before.groupby(owner_before).sum() / reference["trace"].nunique()
    found = pd.DataFrame(
        {
            "excess_us": (flow - usual.reindex(flow.index).fillna(0.0)).clip(lower=0.0),
            "share": slow.groupby(owner_after).mean(),
            "before_us": before["own_us"].groupby(owner_before).median().reindex(flow.index),
            "after_us": after["own_us"].groupby(owner_after).median(),
            "spans": after.groupby(owner_after).size(),
        }
    )
    found = found[(found["spans"] >= settings.min_spans) & found["before_us"].notna()].reset_index()
    return [Slowness(*row) for row in found.itertuples(index=False)]


def _accountable(spans: pd.DataFrame, waiting: pd.Index, calling: pd.Index) -> pd.DataFrame:
    """Return the calls, and the spans whose self time is their component's own."""
    operations = pd.MultiIndex.from_frame(spans[_OPERATION])
    is_call = (spans["callee"] != "").to_numpy()
    is_unanswered = (spans["children"] == 0).to_numpy() & operations.isin(calling)
    return spans[is_call | (~operations.isin(waiting) & ~is_unanswered)]


def _usually(holds: pd.Series, reference: pd.DataFrame, usual_share: float) -> pd.Index:
    """Return the operations of which more than a share of the spans have a property."""
    share = holds.groupby([reference[key] for key in _OPERATION], sort=False).mean()
    return share.index[share > usual_share]


def _profile(before: pd.DataFrame, min_spans: int) -> pd.DataFrame:
    """Return median and robust deviation of the self time of each operation with enough spans."""
    own = before.groupby(_CALL, sort=False)["own_us"]
    profile = pd.DataFrame({"median": own.median(), "spans": own.size()})
    deviation = (before["own_us"] - own.transform("median")).abs()
    profile["sigma"] = MAD_TO_SIGMA * deviation.groupby([before[key] for key in _CALL], sort=False).median()
    return profile[profile["spans"] >= min_spans]


def _excess(spans: pd.DataFrame, profile: pd.DataFrame, settings: TraceSettings) -> tuple[pd.Series, pd.Series]:
    """Return time above the usual, in microseconds, and whether a span is slow; without a profile it has neither."""
    usual = profile.reindex(pd.MultiIndex.from_frame(spans[_CALL]))
    median, sigma = usual["median"].to_numpy(), usual["sigma"].to_numpy()
    own = spans["own_us"].to_numpy(dtype=float)
    bound = median + settings.noise_sigmas * sigma
    excess = np.nan_to_num(np.maximum(own - bound, 0.0))
    slow = own > np.maximum(settings.slow_factor * median, bound) + settings.slow_us
    return pd.Series(excess, index=spans.index), pd.Series(slow, index=spans.index)
