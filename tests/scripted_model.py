"""A model that answers what a test gave it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mimir_core.errors import BackendError
from mimir_core.reasoning.model import Answered
from mimir_core.records import Message


class ScriptedModel:
    """Answers what it was given, in order, and remembers what it was asked; an error is raised."""

    def __init__(self, *answers: str | BackendError) -> None:
        self.answers = list(answers)
        self.asked: list[Sequence[Message]] = []
        self.schemas: list[Mapping[str, Any] | None] = []

    def ask(self, messages: Sequence[Message], schema: Mapping[str, Any] | None) -> Answered:
        self.asked.append(messages)
        self.schemas.append(schema)
        answer = self.answers.pop(0)
        if isinstance(answer, BackendError):
            raise answer
        return Answered(answer, 100, 10)


def written(**changed: object) -> str:
    """Return an answer that blames nobody, with ``changed`` parts."""
    empty: dict[str, object] = {
        "symptoms": [],
        "hypotheses": [],
        "checks": [],
        "verdict": "undetermined",
        "causes": [],
        "actions": [],
        "missing": [],
    }
    return json.dumps({**empty, **changed})
