"""An operation goes on as it did, or breaks off."""

import pandas as pd
import pytest

from mimir_core.analysis.span_tree import link_spans
from mimir_core.analysis.trace_shape import END, START, Break, find_breaks
from mimir_core.telemetry.signals import SPAN_COLUMNS, no_spans


def recording(*paths: tuple[int, str]) -> pd.DataFrame:
    """So many traces in which web calls, one after another: `pay`, say, is answered by the component `pay-api`."""
    rows = []
    for kind, (count, path) in enumerate(paths):
        for number in range(count):
            trace = f"{kind}.{number}"
            rows.append((trace, "root", "", "web", "POST /buy", 0, 100.0))
            for place, call in enumerate(path.split()):
                rows.append((trace, f"ask{place}", "root", "web", f"ask {call}", 10 * place, 9.0))
                rows.append((trace, f"do{place}", f"ask{place}", f"{call}-api", call, 10 * place + 1, 8.0))
    return link_spans(pd.DataFrame([(*row, False) for row in rows], columns=list(SPAN_COLUMNS)))


def breaks(now: pd.DataFrame, reference: pd.DataFrame, min_spans: int = 5) -> dict[tuple[str, str], Break]:
    """By the call before and the call that follows, of the operation of web."""
    found = find_breaks(now, reference, min_spans)
    return {(step.previous, step.following): step for step in found if step.operation == "POST /buy"}


def test_an_operation_that_ends_early_is_found() -> None:
    found = breaks(recording((5, "stock pay"), (15, "stock")), recording((40, "stock pay")))
    early = found["ask stock", END]
    assert (early.before, early.after, early.spans, early.previous_component) == (0, 0.75, 20, "stock-api")
    assert early.z > 5
    assert found["ask stock", "ask pay"].z < -5
    assert found[START, "ask stock"].z == 0


@pytest.mark.parametrize("following", ["pay", "apply", "zip"])
def test_of_two_sides_of_one_change_the_early_end_comes_first(following: str) -> None:
    [first, *_] = find_breaks(recording((20, "stock")), recording((40, f"stock {following}")), 5)
    assert (first.previous, first.following, first.z > 0) == ("ask stock", END, True)


def test_an_operation_called_end_is_no_end() -> None:
    found = breaks(recording((20, "stock pay")), recording((40, "stock pay")))
    assert {following for _, following in found} == {"ask stock", "ask pay", END}
    rows = [("t", "a", "", "web", "POST", 0, 9.0, False), ("t", "b", "a", "web", "end", 1, 3.0, False)]
    [step] = [step for step in find_breaks(*[link_spans(pd.DataFrame(rows, columns=list(SPAN_COLUMNS)))] * 2, 1) if step.previous]
    assert (step.previous, step.following) == ("end", END)


def test_another_mix_of_requests_breaks_nothing() -> None:
    usual = recording((40, "stock pay"), (10, "search show"))
    found = breaks(recording((10, "stock pay"), (40, "search show")), usual)
    given_a_step = [step for (previous, _), step in found.items() if previous != START]
    assert len(given_a_step) == 4
    assert {step.z for step in given_a_step} == {0}


def test_a_new_call_is_found() -> None:
    found = breaks(recording((20, "stock retry pay")), recording((40, "stock pay")))
    assert found["ask stock", "ask retry"].after == 1
    assert ("ask retry", "ask pay") not in found  # nothing is known of what usually follows it


def test_shares_after_a_step_add_up_to_one() -> None:
    found = breaks(recording((5, "stock pay"), (15, "stock"), (7, "stock mail")), recording((40, "stock pay"), (3, "stock")))
    for previous in {previous for previous, _ in found}:
        steps = [step for step in found.values() if step.previous == previous]
        assert sum(step.after for step in steps) == pytest.approx(1, abs=1e-3)
        assert sum(step.before for step in steps) == pytest.approx(1, abs=1e-3)


def test_who_answers_is_known_from_other_calls_where_the_last_one_was_not_answered() -> None:
    cut = recording((20, "stock pay"), (15, "stock"))
    cut = link_spans(cut[~((cut["trace"] == cut["trace"].iloc[-1]) & (cut["component"] == "stock-api"))][list(SPAN_COLUMNS)])
    assert breaks(cut, recording((40, "stock pay")))["ask stock", END].previous_component == "stock-api"


def without_answers(spans: pd.DataFrame, callee: str) -> pd.DataFrame:
    """The same traces, where `callee` was asked and did not answer."""
    return link_spans(spans.loc[spans["component"] != callee, list(SPAN_COLUMNS)])


def test_a_call_that_nobody_answers_any_more_is_found_with_who_used_to() -> None:
    usual = recording((40, "stock pay"))
    found = find_breaks(without_answers(recording((20, "stock pay")), "pay-api"), usual, 5)
    [cut] = [step for step in found if step.operation == "ask pay" and step.following == END and step.z > 5]
    assert (cut.component, cut.previous, cut.before, cut.after, cut.answered_by) == ("web", START, 0, 1, "pay-api")


def test_an_operation_that_does_more_than_call_one_other_component_is_answered_by_nobody() -> None:
    usual = recording((40, "stock pay"))
    assert {step.answered_by for step in find_breaks(usual, usual, 5) if step.operation in ("POST /buy", "pay")} == {""}
    asked = usual[usual["operation"] == "ask pay"]
    noted = asked.assign(parent=asked["span"], span="note", operation="note")  # a second thing that asking does
    busy = link_spans(pd.concat([usual, noted], ignore_index=True)[list(SPAN_COLUMNS)])
    assert {step.answered_by for step in find_breaks(busy, busy, 5) if step.operation == "ask pay"} == {""}
    assert {step.answered_by for step in find_breaks(busy, busy, 5) if step.operation == "ask stock"} == {"stock-api"}


def test_rare_steps_are_not_compared() -> None:
    assert find_breaks(recording((4, "stock")), recording((40, "stock pay")), 5) == []
    nothing = link_spans(no_spans())
    assert find_breaks(nothing, recording((40, "stock")), 5) == find_breaks(recording((40, "stock")), nothing, 5) == []


def test_other_names_mean_other_names_and_nothing_else() -> None:
    now, reference = recording((5, "stock pay"), (15, "stock")), recording((40, "stock pay"))
    new = {"web": "mm", "stock-api": "zz", "pay-api": "aa", "": ""}

    def rename(spans: pd.DataFrame) -> pd.DataFrame:
        return spans.assign(component=spans["component"].map(new), callee=spans["callee"].map(new))

    expected = {
        step._replace(
            component=new[step.component],
            previous_component=new[step.previous_component],
            answered_by=new[step.answered_by],
        )
        for step in find_breaks(now, reference, 5)
    }
    assert set(find_breaks(rename(now), rename(reference), 5)) == expected
