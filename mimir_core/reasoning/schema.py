"""What a guided answer is held to: the form of an answer, with no key that was not shown and no list without end.

Comes in: the form, and what was asked. Goes out: a JSON schema for the server that writes the answer. Surprises: the bounds
stand here and not in the form, since an answer that oversteps them is read all the same, and what is too much is dropped and
counted; a text has none, because a server that is to count characters prepares each question 20 times as long (xgrammar: 3.4
s against 0.2 s).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from mimir_core.reasoning.prompt import Prompt
from mimir_core.reasoning.proposals import MAX_ACTIONS

MAX_CAUSES = 2
"""Whoever blames more has not chosen."""
_MOST: Mapping[str, int] = {"hypotheses": 4, "checks": 3, "causes": MAX_CAUSES, "actions": MAX_ACTIONS, "missing": 3}
_MOST_KEYS = 8
"""Of evidence, cited at one place."""


def schema_for(form: type[BaseModel], prompt: Prompt, actions: Iterable[str]) -> dict[str, Any]:
    """Return the JSON schema of an answer to ``prompt``.

    Args:
        form: What the answer is read as.
        prompt: Its keys are the only ones that can be named.
        actions: The only ones that can be proposed.
    """
    evidence, suspects = list(prompt.evidence), list(prompt.suspects)
    known = {
        "symptoms": evidence,
        "supporting": evidence,
        "contradicting": evidence,
        "suspect": suspects,
        "actions": list(actions),
    }
    schema = form.model_json_schema()
    for part in (schema, *schema["$defs"].values()):
        for name, shape in part.get("properties", {}).items():
            if shape.get("type") == "array":
                shape["maxItems"] = _MOST.get(name, _MOST_KEYS)
            if known.get(name):
                shape.get("items", shape)["enum"] = known[name]
    return schema
