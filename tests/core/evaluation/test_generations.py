"""Whatever a model wrote, or did not, is scored or counted; nothing is dropped silently."""

import pytest
from held_out import CHOICE, DB, HEALTHY, RIGHT, UNDETERMINED, WEB, Score, Write
from pydantic import ValidationError

from mimir_core.config import Params
from mimir_core.errors import InputError
from mimir_core.evaluation.figures import difference
from mimir_core.evaluation.generations import Generation
from mimir_core.evaluation.ranking import Figure
from mimir_core.evaluation.variants import VARIANTS, Choice, variant_of, write_question
from mimir_core.reasoning.steps import Steps
from mimir_core.records import EvidenceKind, Example
from mimir_core.safety.policy import SafetyRules

TRUE = {"a": RIGHT, "b": RIGHT, "c": HEALTHY, "d": UNDETERMINED}
LONG = '{"symptoms": [' + '"e1", ' * 200_000
UNREAD = ["", "I cannot tell.", "{", LONG, "[" * 100_000, '{"symptoms": []}', "null", "\x00", "{}}{", '{"verdict": "maybe"}']


@pytest.mark.parametrize("text", UNREAD, ids=range(len(UNREAD)))
@pytest.mark.parametrize("variant", ["tuned", "base"])
def test_an_answer_that_cannot_be_read_is_wrong_and_counted(variant: str, text: str, score: Score, write: Write) -> None:
    measured = score(write(variant, "a", text), write(variant, "a", text, guided=False)).variants[variant]
    told = measured.scores["a"]
    assert (told["root_cause_top1"], told["abstention"], told["schema_valid"], told["schema_valid_guided"]) == (0, 0, 0, 0)
    assert (told["citation_precision"], told["unsupported_claims"], told["safe_actions"]) == (None, None, None)
    counts = {"guided": 1, "unguided": 1, "missing": 3, "failed": 0, "unread": 1, "refused": 0, "confident": 0}
    assert measured.figures["counts"] == counts


def test_an_unknown_key_is_no_such_answer(score: Score, write: Write) -> None:
    told = score(write("tuned", "a", {**RIGHT, "mood": "good"})).variants["tuned"].scores["a"]
    assert (told["schema_valid_guided"], told["root_cause_top1"]) == (0.0, 0.0)


def test_words_around_the_answer_do_not_spoil_it(score: Score, write: Write) -> None:
    text = f"Here it is:\n{write('tuned', 'a', RIGHT).text}\nGood luck!"
    told = score(write("tuned", "a", text, guided=False)).variants["tuned"].scores["a"]
    assert (told["schema_valid"], told["schema_valid_guided"], told["root_cause_top1"]) == (1.0, None, 1.0)


def test_keys_that_were_not_shown_blame_nobody(score: Score, write: Write) -> None:
    stranger = {**RIGHT, "causes": [{"suspect": "c99", "fault_kind": "database"}]}
    told = score(write("tuned", "a", stranger)).variants["tuned"].scores["a"]
    assert (told["root_cause_top1"], told["root_cause_stands"]) == (0.0, 0.0)
    assert told["unsupported_claims"] > 0


def test_the_guided_answer_is_scored_and_the_form_of_each_is_told(score: Score, write: Write) -> None:
    told = score(write("tuned", "a", "no", guided=False), write("tuned", "a", RIGHT)).variants["tuned"].scores["a"]
    assert (told["root_cause_top1"], told["schema_valid"], told["schema_valid_guided"]) == (1.0, 0.0, 1.0)


def test_a_failed_answer_is_wrong_whatever_came_of_it_and_its_seconds_are_nobody_s(score: Score, write: Write) -> None:
    measured = score(write("tuned", "a", RIGHT, failed="timed out", seconds=99.0), write("tuned", "b", RIGHT)).variants["tuned"]
    assert [measured.scores[case]["root_cause_top1"] for case in "ab"] == [0.0, 1.0]
    assert (measured.figures["counts"]["failed"], measured.figures["latency_p95_s"]) == (1, 1.0)


def test_a_case_that_nobody_asked_about_is_missing_and_not_wrong(score: Score, write: Write) -> None:
    measured = score(*(write("tuned", case, TRUE[case]) for case in "acd")).variants["tuned"]
    assert list(measured.scores) == ["a", "b", "c", "d"]
    assert set(measured.scores["b"].values()) == {None}
    assert (measured.figures["root_cause_top1"], measured.figures["counts"]["missing"]) == (1.0, 1)


def test_answers_to_other_cases_and_second_answers_are_refused_and_counted(score: Score, write: Write) -> None:
    stray = write("tuned", "a", RIGHT).model_copy(update={"case": "zz"})
    measured = score(write("tuned", "a", RIGHT), write("tuned", "a", "second"), stray).variants["tuned"]
    assert (measured.scores["a"]["root_cause_top1"], measured.figures["counts"]["refused"]) == (1.0, 2)


def test_a_variant_that_nobody_asked_is_absent_with_the_reason(score: Score, write: Write) -> None:
    stray = write("awq", "a", RIGHT).model_copy(update={"case": "zz"})
    unknown = write("tuned", "a", RIGHT).model_copy(update={"variant": "gpt-9<script>"})
    evaluated = score(stray, unknown)
    assert set(evaluated.variants) == {"builtin", "constant"}
    assert set(evaluated.absent) == {*VARIANTS, "gpt-9<script>"}
    assert evaluated.absent["awq"].endswith("1 lines: its case is not held out")
    assert "is no variant" in evaluated.absent["gpt-9<script>"]


def test_no_generations_at_all_leave_what_needs_none(score: Score) -> None:
    evaluated = score()
    assert list(evaluated.variants) == ["builtin", "constant"]
    assert set(evaluated.absent) == set(VARIANTS)


@pytest.mark.parametrize("told", [{"seconds": -1}, {"seconds": float("nan")}, {"input_tokens": -1}, {"failed": ""}, {"mood": 1}])
def test_a_generation_that_cannot_be_is_refused(told: dict[str, object]) -> None:
    good = {"variant": "tuned", "case": "a", "guided": True, "text": "", "input_tokens": 1, "output_tokens": 1, "seconds": 1}
    assert Generation.model_validate(good)
    with pytest.raises(ValidationError):
        Generation.model_validate({**good, **told})


# --- figures ------------------------------------------------------------------------------------------------------


def test_the_figures_are_those_of_the_cases(score: Score, write: Write) -> None:
    said = {"a": RIGHT, "b": UNDETERMINED, "c": HEALTHY, "d": RIGHT}
    costs = {"a": (10, 1.0), "b": (20, 2.0), "c": (30, 3.0), "d": (40, 4.0)}
    answers = [write("tuned", case, said[case], output_tokens=costs[case][0], seconds=costs[case][1]) for case in "abcd"]
    figures = score(*answers).variants["tuned"].figures
    assert {name: figures[name] for name in ("root_cause_top1", "abstention", "output_tokens", "latency_p50_s")} == {
        "root_cause_top1": 0.5,
        "abstention": 0.5,
        "output_tokens": 25.0,
        "latency_p50_s": 2.5,
    }
    assert figures["latency_p95_s"] == 3.85
    assert figures["intervals"]["root_cause_top1"] == [0.0, 1.0]
    assert figures["schema_valid"] is None
    # Two causes were named, each with the engine's confidence of 0.8; one of them was right.
    assert (figures["counts"]["confident"], figures["ece"], figures["auroc"], figures["brier"]) == (2, 0.3, 0.5, 0.34)


def test_a_difference_is_paired_by_the_cases_that_both_have(score: Score, write: Write) -> None:
    wrong = {**CHOICE, "causes": [{"suspect": WEB, "fault_kind": "latency"}]}
    base = [write("base", case, wrong) for case in "abcd"]
    variants = score(*base, *(write("tuned", case, RIGHT) for case in "acd"), first_in_pack=DB).variants
    assert difference(variants["tuned"], variants["base"]) == (Figure(1.0, 1.0, 1.0), 1)
    assert difference(variants["builtin"], variants["first_in_pack"]) == (Figure(0.0, 0.0, 0.0), 2)


# --- variants -----------------------------------------------------------------------------------------------------


def test_each_variant_is_asked_what_it_is_for(cases: list[Example], rules: SafetyRules, params: Params) -> None:
    asked = {name: write_question(cases[0], variant, rules, params.prompt) for name, variant in VARIANTS.items()}
    pages = {name: sum(prompt.user.count(f"\n{key} runbook ") for key in prompt.evidence) for name, prompt in asked.items()}
    assert {name for name, count in pages.items() if not count} == {"tuned_no_rag"}
    assert {name for name, prompt in asked.items() if "\nRanked: " not in prompt.user} == {"tuned_no_hints"}
    assert {name for name, prompt in asked.items() if "five steps" not in prompt.system} == {"base"}
    assert {name for name, variant in VARIANTS.items() if variant.form is Choice} == {"base"}
    assert asked["base"].user == asked["base_cot"].user == asked["tuned"].user
    assert len({tuple(prompt.suspects.items()) for prompt in asked.values()}) == 1
    assert {"cpu", "database"} <= set(asked["base"].system.rpartition("Fault kinds: ")[2].strip(".").split(", "))


def test_an_ablation_changes_one_amount_of_what_is_shown(cases: list[Example], rules: SafetyRules, params: Params) -> None:
    without = write_question(cases[0], variant_of("ablation:top_k=0"), rules, params.prompt)
    kinds = {cases[0].pack.find(item).kind for item in without.evidence.values()}
    assert EvidenceKind.RUNBOOK not in kinds
    assert variant_of("ablation:max_evidence=5").form is Steps


@pytest.mark.parametrize("name", ["", "tuned2", "ablation:", "ablation:top_k=", "ablation:top_k=-1", "ablation:top_k=two"])
def test_an_unknown_variant_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="is no variant"):
        variant_of(name)


def test_an_ablation_is_reported_apart_and_one_that_cannot_be_asked_has_a_reason(score: Score, write: Write) -> None:
    few = write("tuned", "a", RIGHT).model_copy(update={"variant": "ablation:max_evidence=1"})
    evaluated = score(write("ablation:top_k=0", "a", RIGHT), few)
    assert list(evaluated.ablations) == ["ablation:top_k=0"]
    assert evaluated.ablations["ablation:top_k=0"].scores["a"]["root_cause_top1"] == 1.0
    assert "greater than or equal to 4" in evaluated.absent["ablation:max_evidence=1"]
