"""A judge grades what the variants answered: the same cases of each, and only what can be read."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from held_out import CHOICE, FULL, HEALTHY, RIGHT, WEB, Write

from mimir_core.analysis.signs import SignTable
from mimir_core.config import Params
from mimir_core.errors import BackendError
from mimir_core.evaluation.evaluate import Evaluated, evaluate
from mimir_core.evaluation.generations import Generation
from mimir_core.evaluation.grading import Grader
from mimir_core.evaluation.judge import STEPS, Answer
from mimir_core.evaluation.scores import JUDGED
from mimir_core.reasoning.diagnose import diagnose
from mimir_core.reasoning.model import Answered
from mimir_core.reasoning.verify import Verified
from mimir_core.records import EvidencePack, Example
from mimir_core.safety.policy import SafetyRules

ANSWER = Answer("Incident: slow", "{}", "because")


class Severe:
    """Finds everything right but the cause, which is what it is told; remembers what it was shown."""

    def __init__(self, *causes: int | None) -> None:
        self._causes = causes or (1,)
        self.shown: list[str] = []

    def ask_all(self, chats: Sequence[Sequence[Any]], schema: Mapping[str, Any] | None) -> list[Answered | BackendError]:
        assert schema
        self.shown += [chat[1].content for chat in chats]
        return [self._vote(self._causes[place % len(self._causes)]) for place in range(len(chats))]

    def _vote(self, cause: int | None) -> Answered | BackendError:
        if cause is None:
            return BackendError("away")
        grades = dict.fromkeys(STEPS, 2) | {"cause": cause}
        return Answered(json.dumps({step: {"why": "-", "grade": grade} for step, grade in grades.items()}), 0, 0)


def test_a_grade_is_a_share_and_what_has_no_majority_is_none() -> None:
    judge = Severe(1, 1, 0)
    assert Grader(judge, 3, ["a"]).grade({"a": ANSWER}) == {"a": dict.fromkeys(JUDGED, 1.0) | {"judged_cause": 0.5}}
    split = Grader(Severe(0, 1, 2), 3, ["a"])
    assert split.grade({"a": ANSWER})["a"]["judged_cause"] is None
    assert split.told()["ungraded"] == 1


def test_what_cannot_be_read_is_wrong_and_nobody_is_asked_about_it() -> None:
    judge = Severe()
    grader = Grader(judge, 1, ["a", "b"])
    assert grader.grade({"a": None, "b": ANSWER})["a"] == dict.fromkeys(JUDGED, 0.0)
    assert len(judge.shown) == grader.told()["votes"] == 1


def test_only_the_chosen_cases_are_graded_and_all_that_it_took_is_counted() -> None:
    judge = Severe(2, None)
    grader = Grader(judge, 2, ["a"])
    assert set(grader.grade({"a": ANSWER, "b": ANSWER})) == {"a"}
    grader.grade({"a": ANSWER})
    told = grader.told()
    assert (told["cases"], told["answers"], told["votes"], told["lost_votes"]) == (1, 2, 4, {"failed": 2})
    assert told["input_tokens"] > told["output_tokens"] > 0


@pytest.fixture
def graded(cases: list[Example], rules: SafetyRules, table: SignTable, params: Params) -> Any:
    def run(judge: Severe, *generations: Generation, examples: Sequence[Example] = cases) -> Evaluated:
        grader = Grader(judge, 1, {"a", "c"})
        named = {"constant": dict.fromkeys("abcd", WEB)}

        def builtin(pack: EvidencePack) -> Verified:
            return diagnose(pack, table, rules, params.diagnose)

        return evaluate(examples, (), generations, named, builtin, rules, params.prompt, grader)

    return run


def test_everybody_who_writes_the_five_steps_is_graded_on_the_same_cases(graded: Any, write: Write) -> None:
    said = {"a": RIGHT, "b": RIGHT, "c": HEALTHY, "d": "no answer"}
    judge = Severe(1)
    tuned = [write("tuned", case, answer) for case, answer in said.items()]
    base = [write("base", case, CHOICE) for case in said]
    evaluated = graded(judge, *tuned, *base, *(one.model_copy(update={"variant": "ablation:top_k=0"}) for one in tuned))
    for variant in ("builtin", "tuned"):
        scores = evaluated.variants[variant].scores
        assert [scores[case]["judged_cause"] for case in "abcd"] == [0.5, None, 0.5, None]
        assert evaluated.variants[variant].figures["judged_symptoms"] == 1.0
    for name, measured in (evaluated.variants | evaluated.ablations).items():
        assert (measured.figures["judged_cause"] is not None) == (name in {"builtin", "tuned"})
    assert len(judge.shown) == 4


def test_an_answer_that_cannot_be_read_counts_against_its_variant(graded: Any, write: Write) -> None:
    evaluated = graded(Severe(2), write("tuned", "a", "nothing"), write("tuned", "c", HEALTHY))
    assert evaluated.variants["tuned"].figures["judged_cause"] == 0.5


def test_the_judge_sees_the_question_the_reference_and_the_answer(graded: Any, write: Write) -> None:
    judge = Severe(2)
    answer = write("tuned", "a", {**RIGHT, "causes": [{"suspect": WEB, "fault_kind": "latency"}]})
    graded(judge, answer)
    shown = judge.shown[-1]
    assert FULL.subject in shown
    assert shown.count(answer.text) == 1
    assert shown.count("shop-db gives out its last connection") == 2  # of the reference, and of the answer


def test_a_case_whose_cause_the_question_does_not_show_is_not_graded(graded: Any, write: Write, cases: list[Example]) -> None:
    elsewhere = cases[0].diagnosis.causes[0].model_copy(update={"component": "billing"})
    hidden = cases[0].model_copy(update={"diagnosis": cases[0].diagnosis.model_copy(update={"causes": (elsewhere,)})})
    judge = Severe(2)
    evaluated = graded(judge, write("tuned", "a", RIGHT), write("tuned", "c", HEALTHY), examples=[hidden, *cases[1:]])
    assert evaluated.variants["tuned"].scores["a"]["judged_cause"] is None
    assert len(judge.shown) == 2  # the healthy case, of builtin and tuned
