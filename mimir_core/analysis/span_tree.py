"""Spans -> what each call took by itself, and whom it called.

Comes in: :attr:`Signals.spans`. Goes out: the same rows with the place of the parent, the time that no child accounts for,
and, where a child belongs to another component, the callee. Method: self time is the duration less the time covered by
children (Dapper: Sigelman et al., 2010); of a span that waits for another component it is the time on the way, client
minus callee. Surprise: children may overlap, so their durations are summed and capped by the parent's: an upper bound of
what they explain.
"""

import numpy as np
import pandas as pd

NO_PARENT = -1


def link_spans(spans: pd.DataFrame) -> pd.DataFrame:
    """Return ``spans`` with the columns ``parent_row``, ``own_us``, ``children`` and ``callee``; rows are numbered from 0.

    ``parent_row`` is :data:`NO_PARENT` for a root. ``callee`` is the component of the (last) child of another component, or
    the empty text. A span whose id was there before in its trace is dropped.
    """
    linked = spans.drop_duplicates(["trace", "span"]).reset_index(drop=True)
    ids = pd.MultiIndex.from_arrays([linked["trace"], linked["span"]])
    parent_row = ids.get_indexer(pd.MultiIndex.from_arrays([linked["trace"], linked["parent"]]))
    rows = np.arange(len(linked))
    parent_row = np.where(parent_row == rows, NO_PARENT, parent_row)
    durations = linked["duration_us"].to_numpy(dtype=float)
    child = np.flatnonzero(parent_row >= 0)
    explained = np.bincount(parent_row[child], weights=durations[child], minlength=len(linked))
    components = linked["component"].to_numpy(dtype=object)
    crossing = child[components[child] != components[parent_row[child]]]
    callee = np.full(len(linked), "", dtype=object)
    callee[parent_row[crossing]] = components[crossing]
    children = np.bincount(parent_row[child], minlength=len(linked))
    own_us = np.maximum(durations - explained, 0.0)
    return linked.assign(parent_row=parent_row, own_us=own_us, children=children, callee=callee)


def split_traces(linked: pd.DataFrame, at_us: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the traces that began before ``at_us`` (unix microseconds), and the others; a trace is never cut."""
    began = linked.groupby("trace", sort=False)["start_us"].transform("min").to_numpy(dtype=float)
    return _take(linked, began < at_us), _take(linked, began >= at_us)


def join_traces(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """Return the traces of two recordings as one; the same trace id in both means two traces."""
    if first.empty or second.empty:
        return second if first.empty else first
    shifted = np.where(second["parent_row"] >= 0, second["parent_row"] + len(first), NO_PARENT)
    named = [part.assign(trace=which + part["trace"].astype(str)) for which, part in (("a", first), ("b", second))]
    return pd.concat([named[0], named[1].assign(parent_row=shifted)], ignore_index=True)


def calls_in(linked: pd.DataFrame) -> frozenset[tuple[str, str]]:
    """Return who calls whom, as the spans show it."""
    across = linked[linked["callee"] != ""]
    return frozenset(zip(across["component"], across["callee"], strict=True))


def _take(linked: pd.DataFrame, wanted: np.ndarray) -> pd.DataFrame:
    parents = linked["parent_row"].to_numpy(dtype=int)
    new_row = np.cumsum(wanted) - 1
    remapped = np.where(parents >= 0, new_row[parents], NO_PARENT)
    return linked.assign(parent_row=remapped)[wanted].reset_index(drop=True)
