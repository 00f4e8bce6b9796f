"""A pack -> a question, and a repair, that fit a model's context.

Comes in: a pack and the budget. Goes out: the prompt with what had to be left out, or None where not even the alert and the
strongest evidence fit. Surprise: nobody here knows the model's tokenizer, so that tokens are counted on the safe side.
"""

from collections.abc import Iterable
from typing import NamedTuple

from mimir_core.config import PromptSettings, ReasonerSettings
from mimir_core.reasoning.prompt import Prompt, focus, write_prompt
from mimir_core.records import EvidencePack, Message
from mimir_core.safety.policy import SafetyRules

_BYTES_PER_TOKEN = 2
"""At least, of telemetry in UTF-8: a WordPiece of 30,000 words took 2.7 to 3.8 for the 164 incidents of data/gold."""
_TOKENS_PER_MESSAGE = 8
"""What a chat template puts around each."""
_REPAIR_TOKENS = 300
"""Kept free for a repair."""
_COMPLAINT_CHARACTERS = 300
_LEAST_EVIDENCE = 2
"""The alert, and what speaks most."""
_REPAIR = """That answer does not hold: {complaint}.
Known evidence is e1 to e{evidence}, known suspects are c1 to c{suspects}. Answer again with the whole JSON object."""


class Question(NamedTuple):
    """What is asked about a pack."""

    prompt: Prompt
    trimmed: int
    """Pieces of evidence that the ``prompt`` section would show and the budget does not."""

    @property
    def messages(self) -> list[Message]:
        """The question as a chat."""
        return [Message(role="system", content=self.prompt.system), Message(role="user", content=self.prompt.user)]


def ask_within(pack: EvidencePack, rules: SafetyRules, prompts: PromptSettings, settings: ReasonerSettings) -> Question | None:
    """Return the question about ``pack`` with as much evidence as the budget holds, passages and the weakest left out first."""
    whole = len(focus(pack, prompts).evidence)
    for most in range(prompts.max_evidence, _LEAST_EVIDENCE - 1, -1):
        fewer = {"max_evidence": most, "max_passages": prompts.max_passages * most // prompts.max_evidence}
        shown = focus(pack, prompts.model_copy(update=fewer))
        question = Question(write_prompt(shown, pack.incident.id, rules, hints=settings.hints), whole - len(shown.evidence))
        if count_tokens(question.messages) <= settings.max_input_tokens - _REPAIR_TOKENS:
            return question
    return None


def ask_again(question: Question, answer: str, complaint: str, settings: ReasonerSettings) -> list[Message]:
    """Return the chat that asks for a repair; of the answer, as much is repeated as the budget holds."""
    words = _REPAIR.format(
        complaint=complaint[:_COMPLAINT_CHARACTERS],
        evidence=len(question.prompt.evidence),
        suspects=len(question.prompt.suspects),
    )
    asked = [*question.messages, Message(role="assistant", content="…"), Message(role="user", content=words)]
    room = _BYTES_PER_TOKEN * max(0, settings.max_input_tokens - count_tokens(asked))
    asked[-2] = Message(role="assistant", content=answer.encode(errors="replace")[:room].decode(errors="ignore").strip() or "…")
    return asked


def count_tokens(messages: Iterable[Message]) -> int:
    """Return how many tokens a chat takes at most.

    >>> count_tokens([Message(role="user", content="disk is full")])
    14
    """
    return sum(_TOKENS_PER_MESSAGE + -(-len(message.content.encode()) // _BYTES_PER_TOKEN) for message in messages)
