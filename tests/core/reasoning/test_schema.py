"""What a guided answer is held to ends, names nothing that was not shown, and lets through what Mimir itself would answer."""

from typing import Any

import jsonschema
import pytest

from mimir_core.evaluation.variants import Choice
from mimir_core.reasoning.prompt import Prompt
from mimir_core.reasoning.schema import schema_for
from mimir_core.reasoning.steps import Steps

PROMPT = Prompt("", "", {"e1": "m-1", "e2": "m-2"}, {"c1": "web", "c2": "db"})
ACTIONS = ["clean_disk", "scale_out"]
REASON = {"suspect": "c2", "fault_kind": "disk", "because": "it is full", "supporting": ["e2"], "contradicting": []}
ANSWER: dict[str, Any] = {
    "symptoms": ["e1"],
    "hypotheses": [REASON],
    "checks": [{"command": "df -h", "shows": "what fills it"}],
    "verdict": "cause_found",
    "causes": [{"suspect": "c2", "fault_kind": "disk"}],
    "actions": ["clean_disk"],
    "missing": [],
}


def test_a_right_answer_keeps_to_it() -> None:
    jsonschema.validate(ANSWER, schema_for(Steps, PROMPT, ACTIONS))
    jsonschema.validate({key: ANSWER[key] for key in ("verdict", "causes")}, schema_for(Choice, PROMPT, ACTIONS))


@pytest.mark.parametrize(
    "wrong",
    [
        {"symptoms": ["e3"]},
        {"symptoms": ["e1"] * 9},
        {"hypotheses": [REASON] * 5},
        {"hypotheses": [{**REASON, "suspect": "c9"}]},
        {"hypotheses": [{**REASON, "supporting": ["c1"]}]},
        {"causes": ANSWER["causes"] * 3},
        {"causes": [{"suspect": "db", "fault_kind": "disk"}]},
        {"actions": ["drop_database"]},
        {"missing": ["more"] * 4},
        {"more": "words"},
    ],
)
def test_what_was_not_shown_and_what_does_not_end_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**ANSWER, **wrong}, schema_for(Steps, PROMPT, ACTIONS))


def test_where_nobody_is_suspected_a_suspect_is_any_word() -> None:
    """An empty list of choices is no schema."""
    schema = schema_for(Steps, PROMPT._replace(suspects={}), ACTIONS)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate({**ANSWER, "hypotheses": [], "causes": []}, schema)
