"""Answers that were graded by hand: what ships is whole, and what is careless is refused with file and place."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from mimir_core.analysis.signs import SignTable
from mimir_core.config import Params
from mimir_core.errors import InputError
from mimir_core.evaluation.judge import STEPS
from mimir_core.evaluation.judge_calibration import HandGraded
from mimir_core.learning.gold import read_by_hand
from mimir_core.learning.judged import JudgedAnswer, JudgedSystem, read_judged
from mimir_core.reasoning.steps import Steps
from mimir_core.records import FaultKind, Verdict
from mimir_core.safety.policy import SafetyRules

GOLD = Path(__file__).parents[3] / "data" / "gold"
Read = Callable[[Path], list[HandGraded]]
FILES = sorted((GOLD / "judge").glob("*.yaml"))


@pytest.fixture(scope="module")
def answers() -> list[JudgedAnswer]:
    return [answer for file in FILES for answer in read_by_hand(file, JudgedSystem).answers]


@pytest.fixture(scope="module")
def read(table: SignTable, rules: SafetyRules, params: Params) -> Read:
    """Return what reads a folder of answers to the incidents that ship."""
    return lambda folder: read_judged(folder, GOLD, table, rules, params.prompt)


@pytest.fixture(scope="module")
def graded(read: Read) -> list[HandGraded]:
    return read(GOLD / "judge")


# --- what ships -----------------------------------------------------------------------------------------------------


def test_enough_answers_ship_half_of_them_wrong_on_purpose(answers: list[JudgedAnswer]) -> None:
    assert len(answers) >= 120
    assert len(FILES) >= 25
    assert sum(bool(answer.wrong) for answer in answers) == len(answers) / 2
    assert {answer.answer.verdict for answer in answers if answer.wrong} == set(Verdict)
    assert {answer.answer.verdict for answer in answers if not answer.wrong} == set(Verdict)
    blamed = {cause.fault_kind for answer in answers for cause in answer.answer.causes}
    assert len(blamed) > len(FaultKind) / 2


def test_every_grade_is_given_in_every_step(answers: list[JudgedAnswer]) -> None:
    for step in STEPS:
        assert {getattr(answer.first, step) for answer in answers} == {0, 1, 2}


def test_some_wrong_answers_are_wrong_in_one_step_alone(answers: list[JudgedAnswer]) -> None:
    assert sum(list(answer.first.model_dump().values()).count(2) == 4 for answer in answers if answer.wrong) >= 5


def test_every_answer_is_what_a_model_could_have_written_to_its_prompt(graded: list[HandGraded]) -> None:
    for item in graded:
        steps = Steps.model_validate_json(item.answer.text)
        shown = {line.split(" ", 1)[0] for line in item.answer.question.splitlines()}
        weighed = steps.hypotheses
        named = {*steps.symptoms, *(key for h in weighed for key in (h.suspect, *h.supporting, *h.contradicting))}
        assert named | {cause.suspect for cause in steps.causes} <= shown


def test_no_answer_is_the_reference_and_no_judge_is_told_what_is_wrong(
    answers: list[JudgedAnswer], graded: list[HandGraded]
) -> None:
    for written, item in zip(answers, graded, strict=True):
        assert item.answer.text != item.answer.reference
        assert not written.wrong or written.wrong not in "".join(item.answer)


# --- what is refused ------------------------------------------------------------------------------------------------


def an_answer(**changes: Any) -> dict[str, Any]:
    """One answer that is as it should be."""
    grades = dict.fromkeys(STEPS, 2)
    answer = {
        "symptoms": ["slow", "waits"],
        "hypotheses": [
            {
                "suspect": "policy-pg",
                "fault_kind": "database",
                "because": "It is full.",
                "supporting": ["full"],
                "contradicting": [],
            }
        ],
        "checks": [{"command": "kubectl get pods", "shows": "what runs"}],
        "verdict": "cause_found",
        "causes": [{"suspect": "policy-pg", "fault_kind": "database"}],
        "actions": ["raise_connection_limit"],
        "missing": [],
    }
    return {"id": "a", "incident": "tw-1", "first": grades, "second": grades, "answer": answer | changes}


def write(folder: Path, *answers: dict[str, Any], system: str = "tidewater-claims") -> Path:
    file = folder / f"{system}.yaml"
    file.write_text(yaml.safe_dump({"answers": list(answers)}), encoding="utf-8")
    return file


ALL_RIGHT = dict.fromkeys(STEPS, 2)
BAD = {
    "incident that there is not": (an_answer() | {"incident": "tw-99"}, "answer a: tw-99 is no incident of"),
    "fact that there is not": (an_answer(symptoms=["smoke"]), "answer a: smoke: not among"),
    "suspect that there is not": (an_answer(causes=[{"suspect": "moon", "fault_kind": "dns"}]), "answer a: moon: not among"),
    "action that is not on the list": (an_answer(actions=["delete_all"]), "answer a: actions: delete_all"),
    "fault kind that there is not": (
        an_answer(causes=[{"suspect": "policy-pg", "fault_kind": "ghost"}]),
        r"answers\.0\.answer\.causes",
    ),
    "step of the answer is missing": (an_answer() | {"answer": {"symptoms": []}}, r"answers\.0\.answer\.hypotheses"),
    "grade beyond the scale": (an_answer() | {"first": ALL_RIGHT | {"cause": 3}}, r"answers\.0\.first\.cause"),
    "grade that is a truth": (an_answer() | {"second": ALL_RIGHT | {"cause": True}}, r"answers\.0\.second\.cause"),
    "grade that is missing": (an_answer() | {"second": {"cause": 2}}, r"answers\.0\.second\.symptoms"),
    "key that there is not": (an_answer() | {"third": ALL_RIGHT}, r"answers\.0\.third"),
    "wrong, and all is right": (an_answer() | {"wrong": "blames the moon"}, r"answers\.0: .*all is right"),
    "graded 0, and nothing is wrong": (an_answer() | {"first": ALL_RIGHT | {"cause": 0}}, r"answers\.0: .*nothing is said"),
}


@pytest.mark.parametrize(("answer", "place"), BAD.values(), ids=list(BAD))
def test_a_careless_answer_is_refused_with_file_and_place(answer: dict[str, Any], place: str, tmp_path: Path, read: Read) -> None:
    file = write(tmp_path, answer)
    with pytest.raises(InputError, match=place) as raised:
        read(tmp_path)
    assert str(file) in str(raised.value)


def test_an_id_that_two_answers_share_is_refused(tmp_path: Path, read: Read) -> None:
    write(tmp_path, an_answer(), an_answer())
    with pytest.raises(InputError, match="the id a is there twice"):
        read(tmp_path)


def test_answers_to_a_system_that_there_is_not_are_refused(tmp_path: Path, read: Read) -> None:
    write(tmp_path, an_answer(), system="atlantis")
    with pytest.raises(InputError, match="atlantis"):
        read(tmp_path)


def test_an_incident_whose_prompt_hides_the_cause_cannot_be_judged(tmp_path: Path, read: Read) -> None:
    write(tmp_path, an_answer() | {"incident": "hf-3"}, system="harrow-forge")
    with pytest.raises(InputError, match="answer a: the prompt of hf-3 does not show its cause"):
        read(tmp_path)
