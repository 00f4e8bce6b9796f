"""A model that grades the answers of models, step by step, and when its grades count.

Comes in: a question, a reference, an answer, and who is asked. Goes out: a grade for each step of the answer, or none. Surprises:
a grade counts only if more than half of all votes that were asked for agree on it, so that a vote which failed or cannot be read
counts for nobody and what stays without a majority is ungraded, not wrong. The rubric is a file of its own (``prompts/judge.md``)
whose hash names its version. Tokens are word pieces as :func:`~mimir_core.knowledge.chunk.count_words` counts them, the same for
every judge.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Generic, NamedTuple, Protocol, TypeVar

from pydantic import Field, ValidationError

from mimir_core.config import Settings
from mimir_core.errors import BackendError
from mimir_core.knowledge.chunk import count_words
from mimir_core.reasoning.model import Endpoint
from mimir_core.records import Message, content_hash

_RUBRIC = Path(__file__).with_name("prompts") / "judge.md"
_CODE_BLOCK = re.compile(r"```(?:json)?\s*(\{.*\})\s*```", re.DOTALL)

Grade = Annotated[int, Field(strict=True, ge=0, le=2)]
"""0 wrong, 1 partly right, 2 right; ``true`` and ``"2"`` are none."""

Item = TypeVar("Item")


class PerStep(Settings, Generic[Item]):
    """One of something for each of the five steps."""

    symptoms: Item
    hypotheses: Item
    checks: Item
    cause: Item
    actions: Item


STEPS = tuple(PerStep.model_fields)


class Opinion(Settings):
    """A grade, with the reason before it: who must say why first grades better."""

    why: str
    grade: Grade


class Asker(Protocol):
    """Anything that answers a chat. To give votes of its own each time, it must sample (temperature above 0)."""

    def ask(self, messages: Sequence[Message], schema: Mapping[str, Any] | None) -> str:
        """Return the answer's text, held to the JSON ``schema`` where it can be.

        Raises:
            BackendError: There is none.
        """


class EndpointJudge:
    """Asks a served model; one that always answers alike gives the same vote each time."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def ask(self, messages: Sequence[Message], schema: Mapping[str, Any] | None) -> str:
        """Return the answer's text.

        Raises:
            BackendError: There is none.
        """
        return self._endpoint.ask(messages, schema).text


class Answer(NamedTuple):
    """What is graded, and by what."""

    question: str
    reference: str
    """The five steps, as JSON, of somebody who knew what had happened."""
    text: str


class Judgement(NamedTuple):
    """What the votes on one answer came to."""

    grades: PerStep[Grade | None]
    """None where no grade has a majority."""
    lost: Counter[str]
    """Votes that count for nobody: ``failed`` or ``unreadable``."""
    input_tokens: int
    output_tokens: int


def rubric_version() -> str:
    """Return the hash that names this version of the rubric."""
    return content_hash(_RUBRIC.read_text(encoding="utf-8"))


def judge(answer: Answer, asker: Asker, votes: int) -> Judgement:
    """Ask ``votes`` times, and keep of each step the grade that more than half of the votes agree on.

    Args:
        answer: The only thing that is graded.
        asker: Asked one vote after another; one that it does not answer is counted, not tried again.
        votes: At least one.
    """
    messages = write_question(answer)
    schema = PerStep[Opinion].model_json_schema()
    asked = sum(count_words(message.content) for message in messages)
    read: list[PerStep[Opinion]] = []
    lost: Counter[str] = Counter()
    written = 0
    for _ in range(votes):
        try:
            reply = asker.ask(messages, schema)
        except BackendError:
            lost["failed"] += 1
            continue
        written += count_words(reply)
        if vote := read_vote(reply):
            read.append(vote)
        else:
            lost["unreadable"] += 1
    grades = {step: majority([getattr(vote, step).grade for vote in read], votes) for step in STEPS}
    return Judgement(PerStep[Grade | None].model_validate(grades), lost, asked * (votes - lost["failed"]), written)


def write_question(answer: Answer) -> tuple[Message, Message]:
    """Return the rubric, and what it is to be applied to as fenced data."""
    texts = {"question": answer.question, "reference": answer.reference, "answer": answer.text}
    return (
        Message(role="system", content=_RUBRIC.read_text(encoding="utf-8")),
        Message(role="user", content="\n".join(_fence(name, text) for name, text in texts.items())),
    )


def read_vote(reply: str) -> PerStep[Opinion] | None:
    """Return the vote that ``reply`` is, whole; None where anything else stands in it, such as a quoted answer.

    >>> opinions = ", ".join(f'"{step}": {{"why": "-", "grade": 2}}' for step in STEPS)
    >>> read_vote(f"{{{opinions}}}").cause.grade
    2
    >>> read_vote(f"The answer says {{{opinions}}}") is None
    True
    """
    text = reply.strip()
    block = _CODE_BLOCK.fullmatch(text)
    try:
        return PerStep[Opinion].model_validate_json(block[1] if block else text)
    except ValidationError:
        return None


def majority(grades: Sequence[Grade], asked: int) -> Grade | None:
    """Return the grade of more than half of the votes that were asked for, or None.

    >>> majority([2, 2], asked=3), majority([2, 1], asked=3), majority([2], asked=3)
    (2, None, None)
    """
    return next((grade for grade, count in Counter(grades).items() if 2 * count > asked), None)


def _fence(name: str, text: str) -> str:
    """Put ``text`` between marks that it cannot hold itself: they are its own hash."""
    mark = f"{name} {content_hash(text)}"
    return f"<{mark}>\n{text}\n</{mark}>"
