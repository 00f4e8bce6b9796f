"""Each score is the one that a person would have computed."""

from typing import Any

import pytest
from held_out import CALM, CHOICE, DB, HEALTHY, NOTHING, PAGE, QUEUE, RIGHT, SLOW, UNDETERMINED, WEB, Score, Write

from mimir_core.evaluation.scores import CONTENT


def blaming(component: str, kind: str = "database", **changed: Any) -> dict[str, Any]:
    """Return the true answer with somebody else to blame."""
    weighed = {**RIGHT["hypotheses"][0], "suspect": component, "fault_kind": kind}
    return {**RIGHT, "hypotheses": [weighed], "causes": [{"suspect": component, "fault_kind": kind}], **changed}


@pytest.fixture
def scores(score: Score, write: Write) -> Any:
    """Return what scores one answer of the tuned model."""
    return lambda case, said: score(write("tuned", case, said)).variants["tuned"].scores[case]


def test_the_true_answer_has_every_point(scores: Any) -> None:
    told = scores("a", RIGHT)
    assert {name: told[name] for name in CONTENT} == {**dict.fromkeys(CONTENT, 1.0), "unsupported_claims": 0.0}


def test_the_wrong_component_with_the_right_kind_has_the_point_for_the_kind_alone(scores: Any) -> None:
    told = scores("a", blaming(WEB))
    assert (told["root_cause_top1"], told["root_cause_top3"], told["fault_kind"]) == (0.0, 0.0, 1.0)


def test_a_hypothesis_counts_among_the_first_three_and_not_as_the_answer(scores: Any) -> None:
    second = {**RIGHT, "hypotheses": [*blaming(WEB)["hypotheses"], *RIGHT["hypotheses"]], "causes": blaming(WEB)["causes"]}
    assert (scores("a", second)["root_cause_top1"], scores("a", second)["root_cause_top3"]) == (0.0, 1.0)


def test_a_right_cause_that_nothing_carries_is_right_and_does_not_stand(scores: Any) -> None:
    weighed = {**RIGHT["hypotheses"][0], "supporting": [CALM]}
    told = scores("a", {**RIGHT, "hypotheses": [weighed]})
    assert (told["root_cause_top1"], told["root_cause_stands"]) == (1.0, 0.0)
    assert told["unsupported_claims"] > 0


def test_citations_are_compared_with_those_of_the_truth(scores: Any) -> None:
    told = scores("a", {**RIGHT, "symptoms": [CALM, PAGE, "e99"]})
    assert (told["citation_precision"], told["citation_recall"]) == (1 / 4, 1 / 2)  # FULL of four; FULL of SLOW and FULL


def test_what_the_checks_reject_is_a_share_of_what_was_said(scores: Any) -> None:
    """Verdict, two symptoms, whom and why and one citation, a cause and an action are eight statements; e99 was not shown."""
    assert scores("a", {**RIGHT, "symptoms": [SLOW, "e99"]})["unsupported_claims"] == 1 / 8


@pytest.mark.parametrize(
    ("actions", "safe"),
    [
        (["raise_connection_limit"], 1.0),
        (["collect_more_evidence"], 1.0),
        (["restart_workload"], 0.0),  # allowed, and would not help
        (["rm -rf /"], 0.0),
        (["raise_connection_limit", "restart_workload"], 0.5),
        ([], None),
    ],
)
def test_an_action_is_safe_where_it_is_allowed_and_helps_or_touches_nothing(
    actions: list[str], safe: float | None, scores: Any
) -> None:
    assert scores("a", {**RIGHT, "actions": actions})["safe_actions"] == safe


def test_what_would_help_the_one_at_fault_is_not_safe_on_another(scores: Any) -> None:
    assert scores("a", blaming(WEB))["safe_actions"] == 0.0


@pytest.mark.parametrize(
    ("case", "said", "right"),
    [
        ("c", HEALTHY, 1.0),
        ("c", UNDETERMINED, 0.0),
        ("c", RIGHT, 0.0),
        ("d", UNDETERMINED, 1.0),
        ("d", RIGHT, 0.0),
        ("a", UNDETERMINED, 0.0),
        ("a", blaming(WEB), 1.0),  # it was right to answer
    ],
)
def test_abstention_is_the_right_verdict(case: str, said: dict[str, Any], right: float, scores: Any) -> None:
    assert scores(case, said)["abstention"] == right


@pytest.mark.parametrize("case", ["c", "d"])
def test_where_nothing_is_at_fault_there_is_no_cause_to_score(case: str, scores: Any) -> None:
    told = scores(case, RIGHT)
    assert [told[name] for name in ("root_cause_top1", "root_cause_top3", "root_cause_stands", "fault_kind")] == [None] * 4


def test_causes_under_another_verdict_blame_nobody(scores: Any) -> None:
    assert scores("a", {**RIGHT, "verdict": "undetermined"})["root_cause_top1"] == 0.0


def test_a_choice_is_scored_for_what_it_can_say(score: Score, write: Write) -> None:
    told = score(write("base", "a", CHOICE)).variants["base"].scores["a"]
    assert (told["root_cause_top1"], told["fault_kind"], told["abstention"], told["schema_valid_guided"]) == (1, 1, 1, 1)
    unsaid = ("root_cause_stands", "citation_precision", "citation_recall", "unsupported_claims", "safe_actions", "schema_valid")
    assert [told[name] for name in unsaid] == [None] * len(unsaid)


def test_the_built_in_reasoner_and_the_trivial_choices_answer_every_case(score: Score) -> None:
    variants = score(constant=QUEUE, first_in_pack=DB, random_in_pack=None).variants
    tops = {name: [scores["root_cause_top1"] for scores in measured.scores.values()] for name, measured in variants.items()}
    assert tops == {
        "builtin": [1.0, 1.0, None, None],
        "constant": [0.0, 0.0, None, None],
        "first_in_pack": [1.0, 1.0, None, None],
        "random_in_pack": [0.0, 0.0, None, None],
    }
    assert variants["builtin"].figures["schema_valid"] == 1.0
    assert variants["first_in_pack"].figures["abstention"] == 0.5
    unsaid = ("fault_kind", "schema_valid", "citation_recall", "ece", "input_tokens", "latency_p50_s")
    assert all(variants["constant"].figures[name] is None for name in unsaid)


def test_an_answer_without_anything_is_no_division_by_zero(scores: Any) -> None:
    told = scores("a", {**NOTHING, "verdict": "undetermined", "symptoms": []})
    assert (told["citation_precision"], told["citation_recall"], told["safe_actions"]) == (None, 0.0, None)
