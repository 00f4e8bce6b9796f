"""Figures of rankings and confidences say what they say, and nothing more."""

import json

import numpy as np
import pytest

from mimir_core.evaluation.calibration import calibration_of
from mimir_core.evaluation.ranking import hits_of, prior_rankings, random_hits, score_hits

NAMES = ["a", "b", "c", "d", "e", "f"]


# --- rankings -------------------------------------------------------------------------------------------------------


def test_avg_5_is_the_mean_of_all_five_depths_not_of_those_shown() -> None:
    (row,) = hits_of({"x": NAMES}, {"x": "d"})
    assert row.tolist() == [0, 0, 1, 0.4]


def test_what_is_ranked_sixth_or_not_at_all_is_a_miss() -> None:
    assert not hits_of({"x": NAMES, "y": NAMES}, {"x": "f", "y": "unheard-of", "z": "a"}).any()


def test_a_random_order_hits_k_of_n_and_never_what_is_no_candidate() -> None:
    known, unknown = random_hits({"x": NAMES, "y": NAMES}, {"x": "f", "y": "unheard-of"})
    assert known.tolist() == pytest.approx([1 / 6, 3 / 6, 5 / 6, 3 / 6])
    assert not unknown.any()


def test_the_prior_does_not_know_the_truth_of_the_case_itself() -> None:
    names = {"x": NAMES, "y": NAMES, "z": NAMES}
    rankings = prior_rankings(names, {"x": "c", "y": "e"})
    assert rankings["x"][:2] == ["e", "a"]
    assert rankings["y"][:2] == ["c", "a"]
    assert rankings["z"][:3] == ["c", "e", "a"]


def test_an_interval_holds_the_mean_and_shrinks_with_more_cases() -> None:
    few, many = (score_hits(np.tile([[1.0] * 4, [0.0] * 4], (pairs, 1)))["AC@1"] for pairs in (5, 500))
    assert few.low < many.low < 0.5 < many.high < few.high
    assert few.value == many.value == 0.5


def test_a_paired_difference_is_surer_than_the_two_intervals() -> None:
    truths = {str(case): "a" for case in range(100)}
    ours = hits_of({case: ["a"] for case in list(truths)[:60]}, truths)
    other = hits_of({case: ["a"] for case in list(truths)[:50]}, truths)
    assert score_hits(ours)["AC@1"].low < score_hits(other)["AC@1"].high
    assert score_hits(ours - other)["AC@1"].low > 0


def test_the_same_hits_give_the_same_figures_and_they_are_json() -> None:
    hits = np.random.default_rng(1).random((30, 4))
    assert json.dumps(score_hits(hits)) == json.dumps(score_hits(hits))


def test_no_case_is_an_error_not_a_zero() -> None:
    with pytest.raises(ValueError, match="no case"):
        score_hits(hits_of({}, {}))


# --- confidences ----------------------------------------------------------------------------------------------------


def test_a_confidence_that_holds_has_no_calibration_error_and_one_that_lies_has_all_of_it() -> None:
    honest = calibration_of([0.75] * 4, [True, True, True, False])
    assert (honest.ece, honest.brier, honest.brier_of_constant) == (0, 0.1875, 0.1875)
    assert calibration_of([1.0] * 4, [False] * 4).ece == 1
    assert calibration_of([0.1] * 4, [True] * 4)[1:3] == (0.9, 0.0)  # doubt is no overconfidence


def test_opposite_errors_in_different_bins_do_not_cancel() -> None:
    assert calibration_of([0.1] * 10 + [0.9] * 10, [True] * 10 + [False] * 10).ece == 0.9


def test_without_a_wrong_answer_there_is_nothing_to_tell_apart() -> None:
    assert calibration_of([0.9, 0.5], [True, True]).auroc is None
    assert calibration_of([0.9, 0.9, 0.5], [True, False, False]).auroc == 0.75


def test_answering_only_when_sure_is_scored_on_what_is_answered() -> None:
    figures = calibration_of([0.9, 0.8, 0.7, 0.6, 0.5], [True, True, False, True, False])
    assert (figures.accuracy_at_50, figures.accuracy_at_80) == (1.0, 0.75)


def test_the_order_of_equally_sure_answers_does_not_matter() -> None:
    right = [True] * 5 + [False] * 5
    assert calibration_of([0.5] * 10, right) == calibration_of([0.5] * 10, right[::-1])
    assert calibration_of([0.5] * 10, right).accuracy_at_50 == 0.5


def test_confidences_without_answers_are_refused() -> None:
    with pytest.raises(ValueError, match="2 confidences for 1 answers"):
        calibration_of([0.1, 0.2], [True])
