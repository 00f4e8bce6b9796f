"""Spans are linked to what they called, and split and joined without losing one."""

import numpy as np
import pandas as pd
import pytest

from mimir_core.analysis.span_tree import NO_PARENT, calls_in, join_traces, link_spans, split_traces
from mimir_core.telemetry.signals import SPAN_COLUMNS, no_spans

Row = tuple[str, str, str, str, str, int, float]
CHECKOUT: list[Row] = [
    ("t1", "a", "", "web", "POST /buy", 0, 100.0),
    ("t1", "b", "a", "web", "ask stock", 10, 60.0),
    ("t1", "c", "b", "stock", "take", 15, 40.0),
]


def spans(*rows: Row) -> pd.DataFrame:
    return pd.DataFrame([(*row, False) for row in rows], columns=list(SPAN_COLUMNS))


def many(traces: int, every_us: int = 1000) -> pd.DataFrame:
    """The checkout again and again."""
    return spans(
        *(
            (f"t{number}", *row[1:5], row[5] + number * every_us, row[6])  # type: ignore[misc]
            for number in range(traces)
            for row in CHECKOUT
        )
    )


def test_self_time_is_what_no_child_accounts_for() -> None:
    linked = link_spans(spans(*CHECKOUT))
    assert linked["own_us"].tolist() == [40, 20, 40]
    assert linked["own_us"].sum() == linked["duration_us"].iloc[0]
    assert linked["children"].tolist() == [1, 1, 0]
    assert linked["parent_row"].tolist() == [NO_PARENT, 0, 1]


def test_who_calls_whom_is_where_a_child_belongs_to_another() -> None:
    linked = link_spans(spans(*CHECKOUT))
    assert linked["callee"].tolist() == ["", "stock", ""]
    assert calls_in(linked) == {("web", "stock")}


def test_children_that_overlap_leave_no_less_than_nothing() -> None:
    linked = link_spans(spans(*CHECKOUT, ("t1", "d", "a", "web", "ask mail", 10, 80.0)))
    assert linked["own_us"].iloc[0] == 0


@pytest.mark.parametrize("parent", ["", "lost", "a", None])
def test_a_parent_that_is_not_there_or_is_the_span_itself_is_none(parent: str) -> None:
    [row] = link_spans(spans(("t1", "a", parent, "web", "GET /", 0, 9.0))).to_dict("records")
    assert (row["parent_row"], row["own_us"], row["callee"]) == (NO_PARENT, 9, "")


def test_a_parent_is_looked_for_in_its_own_trace() -> None:
    linked = link_spans(spans(("t1", "a", "", "web", "GET /", 0, 9.0), ("t2", "b", "a", "db", "get", 1, 3.0)))
    assert linked["parent_row"].tolist() == [NO_PARENT, NO_PARENT]


def test_a_span_that_was_sent_twice_counts_once() -> None:
    assert len(link_spans(spans(*CHECKOUT, *CHECKOUT))) == len(CHECKOUT)


def test_spans_before_and_after_add_up_to_all() -> None:
    linked = link_spans(many(10))
    for at in (0, 3010, 5000, 99_000):
        before, after = split_traces(linked, at)
        assert len(before) + len(after) == len(linked)
        assert before["own_us"].sum() + after["own_us"].sum() == linked["own_us"].sum()


def test_a_trace_is_never_cut() -> None:
    before, after = split_traces(link_spans(many(10)), 3012.0)  # while the fourth one runs
    assert not set(before["trace"]) & set(after["trace"])
    assert before["trace"].nunique() == 4
    for part in (before, after):
        child = part[part["parent_row"] != NO_PARENT]
        assert (part["span"].to_numpy()[child["parent_row"]] == child["parent"]).all()


def test_one_trace_id_in_two_recordings_means_two_traces() -> None:
    first, second = link_spans(many(2)), link_spans(many(3))
    joined = join_traces(first, second)
    assert (len(joined), joined["trace"].nunique()) == (15, 5)
    child = joined[joined["parent_row"] != NO_PARENT]
    assert (joined["trace"].to_numpy()[child["parent_row"]] == child["trace"]).all()


def test_a_recording_without_spans_changes_nothing() -> None:
    nothing, some = link_spans(no_spans()), link_spans(many(2))
    assert calls_in(nothing) == frozenset()
    assert join_traces(nothing, some) is some
    assert join_traces(some, nothing) is some
    assert [len(part) for part in split_traces(nothing, 5.0)] == [0, 0]


def test_other_names_mean_other_names_and_nothing_else() -> None:
    table, new = many(3), {"web": "zz", "stock": "aa"}
    linked, renamed = link_spans(table), link_spans(table.assign(component=table["component"].map(new)))
    assert calls_in(renamed) == {("zz", "aa")}
    assert np.array_equal(linked["own_us"], renamed["own_us"])
