"""Linked spans -> calls that a component stopped making, or began to make, against a time without the fault.

Comes in: linked spans of the incident and of the reference. Goes out: one :class:`Break` for each operation that goes on
differently. Method: within an operation the calls form a Markov chain from its start to its end; each step's probability is
compared by a two-proportion z-test (Pearson). A fault in code returns early or throws, so that a chain ends where it never
did. Surprise: the mix of requests may change by itself; only a step given the step before it is compared, never a rate.
"""

from collections import Counter
from itertools import chain
from typing import NamedTuple

import numpy as np
import pandas as pd

from mimir_core.analysis.span_tree import NO_PARENT

START = END = ""
"""Before the first call of an operation, and after its last one."""


_NOTHING = -1


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
    answered_by: str
    """Who usually answers the operation, where it is nothing but one call of another component."""


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
    clients = _find_clients(reference)
    found = []
    for step in after.keys() | before.keys():
        m, n = taken_after[step[:4]], taken_before[step[:4]]
        if min(m, n) < min_spans:
            continue
        share_after, share_before = after[step] / m, before[step] / n
        pooled = (after[step] + before[step] + 0.5) / (m + n + 1)  # half a count (Agresti, 2002) keeps 0 and 1 finite
        z = (share_after - share_before) / float(np.sqrt(pooled * (1 - pooled) * (1 / m + 1 / n)))
        answered_by = clients.get((step.component, step.operation), "")
        found.append(Break(*step, round(share_before, 4), round(share_after, 4), round(z, 4), m, answered_by))
    return sorted(found, key=lambda step: (-abs(step.z), step[:5]))


def _find_clients(linked: pd.DataFrame) -> dict[tuple[str, str], str]:
    """Return who answers each operation that has one child, always of the same other component: the client's side of a call."""
    seen = linked.loc[linked["children"] > 0, ["component", "operation", "children", "callee"]].drop_duplicates()
    alone = seen[~seen.duplicated(["component", "operation"], keep=False)]
    alone = alone[(alone["children"] == 1) & (alone["callee"] != "")]
    return dict(zip(zip(alone["component"], alone["operation"], strict=True), alone["callee"], strict=True))


def _taken(steps: Counter[_Step]) -> Counter[tuple[str, ...]]:
    taken: Counter[tuple[str, ...]] = Counter()
    for step, count in steps.items():
        taken[step[:4]] += count
    return taken


def _count_steps(linked: pd.DataFrame) -> Counter[_Step]:
    """Count, for each operation, which call follows which."""
    of_span = pd.MultiIndex.from_frame(linked[["component", "operation"]])
    operations = of_span.unique()
    codes = operations.get_indexer(of_span)
    parents = linked["parent_row"].to_numpy(dtype=int)
    child = np.flatnonzero(parents != NO_PARENT)
    order = child[np.lexsort((linked["start_us"].to_numpy()[child], parents[child]))]
    owner, call = parents[order], codes[order]
    is_first = np.diff(owner, prepend=-1) != 0
    is_last = np.diff(owner, append=-1) != 0
    leaves = np.setdiff1d(np.arange(len(linked)), owner)
    previous = np.where(is_first, _NOTHING, np.roll(call, 1))
    between = zip(codes[owner].tolist(), previous.tolist(), call.tolist(), strict=True)
    ends = ((whose, last, _NOTHING) for whose, last in zip(codes[owner[is_last]].tolist(), call[is_last].tolist(), strict=True))
    empty = ((whose, _NOTHING, _NOTHING) for whose in codes[leaves].tolist())
    named = [(str(component), str(operation)) for component, operation in operations.tolist()]
    is_call = (linked["callee"] != "").to_numpy()
    callees = dict(zip(codes[is_call].tolist(), linked["callee"][is_call], strict=True))
    counts: Counter[_Step] = Counter()
    for (whose, last, following), count in Counter(chain(between, ends, empty)).items():
        component, operation = named[whose]
        answered_by, before = component, START
        if last != _NOTHING:
            answered_by, before = callees.get(last, named[last][0]), named[last][1]
        after = named[following][1] if following != _NOTHING else END
        counts[_Step(component, operation, before, answered_by, after)] += count
    return counts
