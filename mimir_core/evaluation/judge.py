"""A model that grades the answers of models, step by step, and when its grades count.

Comes in: questions, references, answers, and who is asked. Goes out: a grade for each step of an answer, or none. Surprises: a
grade counts only if more than half of all votes that were asked for agree on it, so that a vote which failed or cannot be read
counts for nobody and what stays without a majority is ungraded, not wrong. The rubric is a file of its own (``prompts/judge.md``)
whose hash names its version. Tokens are word pieces as :func:`~mimir_core.knowledge.chunk.count_words` counts them, the same for
every judge.
"""

import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Generic, NamedTuple, Protocol, TypeVar

from pydantic import Field, ValidationError

from mimir_core.config import Settings
from mimir_core.errors import BackendError
from mimir_core.knowledge.chunk import count_words
from mimir_core.reasoning.model import Answered
from mimir_core.records import Message, content_hash

logger = logging.getLogger(__name__)

_RUBRIC = Path(__file__).with_name("prompts") / "judge.md"
_FENCED = re.compile(r"<(\w+) (\w+)>\n(.*?)\n</\1 \2>", re.DOTALL)
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
    """Anything that answers chats. To give votes of its own each time, it must sample (temperature above 0)."""

    def ask_all(self, chats: Sequence[Sequence[Message]], schema: Mapping[str, Any] | None) -> Sequence[Answered | BackendError]:
        """Return what came of each chat, in their order, held to the JSON ``schema`` where it can be."""


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
    votes: int
    """That were asked for."""
    lost: Counter[str]
    """Votes that count for nobody: ``failed`` or ``unreadable``."""
    input_tokens: int
    output_tokens: int


def rubric_version() -> str:
    """Return the hash that names this version of the rubric."""
    return content_hash(_RUBRIC.read_text(encoding="utf-8"))


def judge(answers: Sequence[Answer], asker: Asker, votes: int) -> list[Judgement]:
    """Ask ``votes`` times about each answer, and keep of each step the grade that more than half of its votes agree on.

    Args:
        answers: The only thing that is graded.
        asker: Asked once about everything; a vote that it does not give is counted, not tried again.
        votes: On one answer; at least one.
    """
    questions = [write_question(answer) for answer in answers]
    replies = asker.ask_all([question for question in questions for _ in range(votes)], PerStep[Opinion].model_json_schema())
    if failed := [reply for reply in replies if isinstance(reply, BackendError)]:
        logger.warning("judge: %s of %s votes failed; the first: %s", len(failed), len(replies), failed[0])
    return [_count(question, replies[place * votes : (place + 1) * votes]) for place, question in enumerate(questions)]


def _count(question: Sequence[Message], replies: Sequence[Answered | BackendError]) -> Judgement:
    """Return what the votes on one answer came to."""
    given = [reply.text for reply in replies if not isinstance(reply, BackendError)]
    read = [vote for vote in map(read_vote, given) if vote]
    lost = Counter({"failed": len(replies) - len(given), "unreadable": len(given) - len(read)})
    grades = {step: majority([getattr(vote, step).grade for vote in read], len(replies)) for step in STEPS}
    asked = len(given) * sum(count_words(message.content) for message in question)
    written = sum(map(count_words, given))
    return Judgement(PerStep[Grade | None].model_validate(grades), len(replies), +lost, asked, written)


def cost_of(judgements: Sequence[Judgement]) -> dict[str, Any]:
    """Return what judgements took together: votes, those that were lost by reason, tokens."""
    return {
        "votes": sum(judgement.votes for judgement in judgements),
        "lost_votes": dict(sum((judgement.lost for judgement in judgements), Counter[str]())),
        "input_tokens": sum(judgement.input_tokens for judgement in judgements),
        "output_tokens": sum(judgement.output_tokens for judgement in judgements),
    }


def write_question(answer: Answer) -> tuple[Message, Message]:
    """Return the rubric, and what it is to be applied to as fenced data."""
    texts = {"question": answer.question, "reference": answer.reference, "answer": answer.text}
    return (
        Message(role="system", content=_RUBRIC.read_text(encoding="utf-8")),
        Message(role="user", content="\n".join(_fence(name, text) for name, text in texts.items())),
    )


def read_question(question: Sequence[Message]) -> Answer:
    """Return what :func:`write_question` was given.

    >>> read_question(write_question(Answer("Incident: slow", "{}", "because")))
    Answer(question='Incident: slow', reference='{}', text='because')
    """
    found = {name: text for name, _, text in _FENCED.findall(question[-1].content)}
    return Answer(found["question"], found["reference"], found["answer"])


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
