"""Linked spans -> calls that a component stopped making, or began to make, against a time without the fault.

Comes in: linked spans of the incident and of the reference. Goes out: one :class:`Break` for each operation that goes on
differently. Method: within an operation the calls form a Markov chain from its start to its end; each step's probability is
compared by a two-proportion z-test (Pearson). A fault in code returns early or throws, so that a chain ends where it never
did. Surprise: the mix of requests may change by itself; only a step given the step before it is compared, never a rate.
"""

from collections import Counter
from typing import NamedTuple

import numpy as np
import pandas as pd

from mimir_core.analysis.span_tree import NO_PARENT

START, END = "", "end"
"""Before the first call of an operation, and after its last one."""


class Break(NamedTuple):
    """A step of an operation whose probability changed."""

    component: str
    operation: str
    previous: str
    """The call before, or :data:`START`."""
    previous_component: str
    """Who answered the call before; the component itself where nobody else did."""
    following: str
    """The call that comes next, or :data:`END`."""
    before: float
    """Probability in the reference."""
    after: float
    z: float
    spans: int
    """How often the step before was taken during the incident."""


class _Step(NamedTuple):
    component: str
    operation: str
    previous: str
    previous_component: str
    following: str


def find_breaks(now: pd.DataFrame, reference: pd.DataFrame, min_spans: int) -> list[Break]:
    """Return the changed steps, the surest first; only steps seen ``min_spans`` times on both sides are compared."""
    if now.empty or reference.empty:
        return []
    after, before = _count_steps(now), _count_steps(reference)
    taken_after, taken_before = _taken(after), _taken(before)
    found = []
    for step in after.keys() | before.keys():
        m, n = taken_after[step[:4]], taken_before[step[:4]]
        if min(m, n) < min_spans:
            continue
        share_after, share_before = after[step] / m, before[step] / n
        pooled = (after[step] + before[step] + 0.5) / (m + n + 1)  # half a count (Agresti, 2002) keeps 0 and 1 finite
        z = (share_after - share_before) / float(np.sqrt(pooled * (1 - pooled) * (1 / m + 1 / n)))
        found.append(Break(*step, round(share_before, 4), round(share_after, 4), round(z, 4), m))
    return sorted(found, key=lambda step: (-abs(step.z), step[:5]))


def _taken(steps: Counter[_Step]) -> Counter[tuple[str, ...]]:
    taken: Counter[tuple[str, ...]] = Counter()
    for step, count in steps.items():
        taken[step[:4]] += count
    return taken


def _count_steps(linked: pd.DataFrame) -> Counter[_Step]:
    """Count, for each operation, which call follows which."""
    parents = linked["parent_row"].to_numpy(dtype=int)
    named = pd.MultiIndex.from_frame(linked[["component", "operation"]])
    codes, operations = named.factorize()
    child = np.flatnonzero(parents != NO_PARENT)
    order = child[np.lexsort((linked["start_us"].to_numpy()[child], parents[child]))]
    owner, call = parents[order], codes[order]
    is_first = np.r_[True, owner[1:] != owner[:-1]] if len(order) else np.array([], dtype=bool)
    is_last = np.r_[is_first[1:], True] if len(order) else is_first
    previous = np.where(is_first, -1, np.r_[-1, call[:-1]]) if len(order) else call
    leaves = np.setdiff1d(np.arange(len(linked)), owner)
    steps = pd.DataFrame(
        {
            "owner": np.concatenate([codes[owner], codes[owner[is_last]], codes[leaves]]),
            "previous": np.concatenate([previous, call[is_last], np.full(len(leaves), -1)]),
            "following": np.concatenate([call, np.full(int(is_last.sum()) + len(leaves), -1)]),
        }
    )
    callee = dict(zip(codes, linked["callee"], strict=True))
    counts: Counter[_Step] = Counter()
    for (owner_code, previous_code, following_code), count in steps.value_counts(sort=False).items():
        component, operation = operations[owner_code]
        before, answered_by = START, component
        if previous_code >= 0:
            answered_by, before = operations[previous_code]
            answered_by = callee[previous_code] or answered_by
        following = operations[following_code][1] if following_code >= 0 else END
        counts[_Step(component, operation, before, answered_by, following)] += int(count)
    return counts
