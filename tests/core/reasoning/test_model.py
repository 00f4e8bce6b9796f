"""A pack never goes unanswered, and nobody is told that a model answered when it did not."""

import json
from collections.abc import Callable

import jsonschema
import pytest
from scripted_model import ScriptedModel, written

from mimir_core.config import Params
from mimir_core.errors import BackendError
from mimir_core.reasoning.diagnose import diagnose
from mimir_core.reasoning.model import ModelReasoner
from mimir_core.reasoning.prompt import focus, prompt_version, write_prompt
from mimir_core.reasoning.steps import steps_of
from mimir_core.records import EvidencePack, Verdict

Reasoner = Callable[..., ModelReasoner]
GONE = BackendError("nobody answers")
RUBBISH = "I would rather talk about the weather."


@pytest.fixture
def right(reasoner: Reasoner, pack: EvidencePack) -> str:
    """What the built-in reasoner would have answered."""
    built = reasoner(ScriptedModel())
    found = diagnose(pack, built.table, built.rules, built.params.diagnose).diagnosis
    prompt = write_prompt(focus(pack, built.params.prompt), pack.incident.id, built.rules, hints=True)
    return steps_of(found, prompt).model_dump_json()


@pytest.fixture
def blemished(right: str) -> str:
    """The right answer, with a key that was never shown."""
    return json.dumps({**json.loads(right), "symptoms": ["e99"]})


def test_a_right_answer_is_the_diagnosis(reasoner: Reasoner, pack: EvidencePack, right: str) -> None:
    model = ScriptedModel(right)
    found = reasoner(model).diagnose(pack)
    assert (found.reasoner, found.model, found.diagnosis.degraded) == ("model", "m", None)
    assert [cause.component for cause in found.diagnosis.causes] == ["shop-db"]
    assert (found.input_tokens, found.output_tokens, found.rejected) == (100, 10, {})
    assert found.prompt_hash == prompt_version(reasoner(model).rules)


def test_the_same_answer_makes_the_same_bytes(reasoner: Reasoner, pack: EvidencePack, right: str) -> None:
    one, other = (reasoner(ScriptedModel(right)).diagnose(pack).diagnosis.model_dump_json() for _ in range(2))
    assert one == other


@pytest.mark.parametrize("guided", [True, False])
def test_the_answer_is_held_to_the_schema_where_the_endpoint_can(
    reasoner: Reasoner, pack: EvidencePack, right: str, *, guided: bool
) -> None:
    model = ScriptedModel(right)
    reasoner(model, guided=guided).diagnose(pack)
    [schema] = model.schemas
    assert (schema is not None) == guided
    if schema:
        jsonschema.validate(json.loads(right), schema)
        with pytest.raises(jsonschema.ValidationError, match="'e99' is not one of"):
            jsonschema.validate({**json.loads(right), "symptoms": ["e99"]}, schema)


def test_what_does_not_hold_is_sent_back_once_with_the_reasons(
    reasoner: Reasoner, pack: EvidencePack, right: str, blemished: str
) -> None:
    model = ScriptedModel(blemished, right)
    found = reasoner(model).diagnose(pack)
    assert (found.reasoner, found.diagnosis.degraded) == ("model", None)
    assert found.rejected == {"cites evidence that was not shown": 1}
    assert (found.input_tokens, found.output_tokens) == (200, 20)
    question, again = model.asked
    assert again[:2] == question
    assert again[2].content == blemished
    assert "cites evidence that was not shown" in again[3].content


def test_what_is_no_json_is_sent_back_too(reasoner: Reasoner, pack: EvidencePack, right: str) -> None:
    found = reasoner(ScriptedModel(RUBBISH, right)).diagnose(pack)
    assert found.reasoner == "model"
    assert found.rejected == {"an answer is not the five steps as JSON": 1}


@pytest.mark.parametrize("second", [RUBBISH, GONE, written(verdict="healthy")])
def test_the_last_answer_that_can_stand_is_kept_without_what_does_not_hold(
    reasoner: Reasoner, pack: EvidencePack, blemished: str, second: str | BackendError
) -> None:
    found = reasoner(ScriptedModel(blemished, second)).diagnose(pack)
    assert (found.reasoner, found.diagnosis.degraded) == ("model", None)
    assert found.diagnosis.verdict is Verdict.CAUSE_FOUND
    assert found.diagnosis.symptoms == ()


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([RUBBISH, RUBBISH], "an answer is not the five steps as JSON"),
        ([RUBBISH, GONE], "nobody answers"),
        ([GONE], "nobody answers"),
        ([written(verdict="cause_found")] * 2, "names no cause that holds"),
        ([written(verdict="healthy")] * 2, "says healthy without anything that stayed calm"),
    ],
)
def test_where_nothing_can_stand_the_built_in_diagnosis_does_and_says_why(
    reasoner: Reasoner, pack: EvidencePack, params: Params, answers: list[str | BackendError], reason: str
) -> None:
    asking = reasoner(ScriptedModel(*answers))
    found = asking.diagnose(pack)
    assert (found.reasoner, found.model) == ("builtin", "m")
    assert found.diagnosis.degraded == f"no answer of the model can stand: {reason}"
    expected = diagnose(pack, asking.table, asking.rules, params.diagnose).diagnosis
    assert found.diagnosis.model_copy(update={"degraded": None}) == expected


def test_a_model_may_abstain(reasoner: Reasoner, pack: EvidencePack) -> None:
    found = reasoner(ScriptedModel(written(missing=["the slow query log of shop-db"]))).diagnose(pack)
    assert (found.reasoner, found.diagnosis.verdict) == ("model", Verdict.UNDETERMINED)
    assert "the slow query log of shop-db" in found.diagnosis.reason


def test_an_empty_pack_is_answered(reasoner: Reasoner, pack: EvidencePack) -> None:
    empty = pack.model_copy(update={"evidence": (), "candidates": ()})
    assert reasoner(ScriptedModel(written())).diagnose(empty).diagnosis.verdict is Verdict.UNDETERMINED


def test_a_question_that_fits_nowhere_is_never_asked(reasoner: Reasoner, pack: EvidencePack) -> None:
    model = ScriptedModel()
    found = reasoner(model, max_input_tokens=300).diagnose(pack)
    assert not model.asked
    assert "max_input_tokens" in (found.diagnosis.degraded or "")
