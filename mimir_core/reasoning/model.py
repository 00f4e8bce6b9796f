"""A model reasons over a pack; what it says is checked, and a pack never goes unanswered.

Comes in: a pack, and an endpoint that answers chats. Goes out: the diagnosis, who wrote it and what that took. Surprises: an
answer that does not hold in every part is sent back once, with the reasons; then what holds of the last answer that can stand is
kept. Where none can, or the endpoint does not answer, the built-in reasoner's diagnosis stands and says so (``degraded``).
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from mimir_core.analysis.signs import SignTable
from mimir_core.config import Params
from mimir_core.errors import BackendError, InputError
from mimir_core.reasoning.conclude import conclude
from mimir_core.reasoning.diagnose import diagnose
from mimir_core.reasoning.prompt import Prompt, prompt_version
from mimir_core.reasoning.question import Question, ask_again, ask_within
from mimir_core.reasoning.reply import diagnosis_of, parse_steps
from mimir_core.reasoning.schema import schema_for
from mimir_core.reasoning.steps import Steps
from mimir_core.reasoning.verify import verify
from mimir_core.records import Diagnosis, EvidencePack, Message
from mimir_core.safety.policy import SafetyRules

logger = logging.getLogger(__name__)

_TRIES = 2
"""The question, and one repair."""


class Answered(NamedTuple):
    """What a model wrote."""

    text: str
    input_tokens: int
    output_tokens: int


class Endpoint(Protocol):
    """A model that answers chats."""

    def ask(self, messages: Sequence[Message], schema: Mapping[str, Any] | None) -> Answered:
        """Return the answer to a chat.

        Args:
            messages: The chat so far; its last message is the question.
            schema: The JSON schema that the answer is to be held to; None lets the model write what it likes.

        Raises:
            BackendError: There is no answer in time.
        """
        ...


class Reasoned(NamedTuple):
    """A finished diagnosis, who wrote it and what that took."""

    diagnosis: Diagnosis
    rejected: Counter[str]
    """What was dropped, by reason, of all tries."""
    reasoner: str = "builtin"
    model: str | None = None
    """Which one was asked, whoever's diagnosis stands."""
    prompt_hash: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0


class Judged(NamedTuple):
    """What is left of an answer."""

    diagnosis: Diagnosis | None
    """None where nothing can stand."""
    rejected: Counter[str]
    complaint: str
    """What the model is told about it; empty where all of it holds."""


@dataclass
class _Talk:
    """How it went so far."""

    diagnosis: Diagnosis | None = None
    """Of the last answer that can stand."""
    failure: str = ""
    """Why the last answer cannot."""
    rejected: Counter[str] = field(default_factory=Counter)
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True)
class ModelReasoner:
    """Asks one endpoint. Wired once, used for every pack; holds no state of a pack."""

    endpoint: Endpoint
    table: SignTable
    rules: SafetyRules
    params: Params
    """It needs ``reasoner``, ``prompt`` and ``diagnose``."""

    def diagnose(self, pack: EvidencePack) -> Reasoned:
        """Return the diagnosis of ``pack``; no failure of the model or of its endpoint gets out."""
        settings = self.params.reasoner
        question = ask_within(pack, self.rules, self.params.prompt, settings)
        if question:
            talk = self._converse(question, pack)
            logger.info(
                "%s: %d pieces of evidence trimmed, rejected: %s", pack.incident.id, question.trimmed, dict(talk.rejected)
            )
        else:
            talk = _Talk(failure="the question does not fit into reasoner.max_input_tokens")
        diagnosis = talk.diagnosis
        if diagnosis is None:
            logger.warning("%s: the built-in reasoner's diagnosis stands: %s", pack.incident.id, talk.failure)
            fallback = diagnose(pack, self.table, self.rules, self.params.diagnose)
            diagnosis = fallback.diagnosis.model_copy(update={"degraded": f"no answer of the model can stand: {talk.failure}"})
            talk.rejected.update(fallback.rejected)
        return Reasoned(
            diagnosis,
            talk.rejected,
            reasoner="model" if talk.diagnosis else "builtin",
            model=settings.model,
            prompt_hash=prompt_version(self.rules),
            input_tokens=talk.input_tokens,
            output_tokens=talk.output_tokens,
        )

    def _converse(self, question: Question, pack: EvidencePack) -> _Talk:
        """Ask, and once more where the answer does not hold."""
        settings, talk = self.params.reasoner, _Talk()
        schema = schema_for(Steps, question.prompt, sorted(self.rules.actions)) if settings.guided else None
        messages = question.messages
        for _ in range(_TRIES):
            try:
                answered = self.endpoint.ask(messages, schema)
            except BackendError as error:
                talk.failure = str(error)
                break
            judged = judge(answered.text, question.prompt, pack, self.rules)
            talk.diagnosis = judged.diagnosis or talk.diagnosis
            talk.failure = "; ".join(judged.rejected)
            talk.rejected.update(judged.rejected)
            talk.input_tokens += answered.input_tokens
            talk.output_tokens += answered.output_tokens
            if not judged.complaint:
                break
            messages = ask_again(question, answered.text, judged.complaint, settings)
        return talk


def judge(text: str, prompt: Prompt, pack: EvidencePack, rules: SafetyRules) -> Judged:
    """Return what is left of an answer when each part of it is checked; it can stand where its verdict does.

    Args:
        text: What the model wrote.
        prompt: What it was asked.
        pack: The pack that the prompt shows a part of.
        rules: Which actions may be proposed.
    """
    try:
        steps = parse_steps(text)
    except InputError as error:
        return Judged(None, Counter({"an answer is not the five steps as JSON": 1}), str(error))
    draft, rejected = diagnosis_of(steps, prompt, pack, rules)
    verified = verify(draft, pack)
    rejected.update(verified.rejected)
    stands = verified.diagnosis.verdict is steps.verdict
    return Judged(conclude(verified.diagnosis, pack) if stands else None, rejected, "; ".join(rejected))
