"""Who finds the cause in a bench run: a model, or the built-in reasoner; what was said is kept.

Comes in: a pack. Goes out: the diagnosis, and the talk that led to it. Surprise: a model that repeats its caller's key is not
believed to mean it; the key is masked before anybody reads the answer.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

from mimir_core.analysis.signs import SignTable
from mimir_core.config import DiagnoseSettings
from mimir_core.errors import BackendError
from mimir_core.reasoning.diagnose import diagnose
from mimir_core.reasoning.model import Answered, Endpoint, ModelReasoner, Reasoned
from mimir_core.records import EvidencePack, Message
from mimir_core.safety.policy import SafetyRules

_SHORTEST_KEY = 8
"""Shorter ones (``none``, ``EMPTY``) protect nothing, and may stand in any answer by chance."""


class Turn(NamedTuple):
    """One question to a model, and what came of it."""

    messages: Sequence[Message]
    text: str
    seconds: float
    failed: str | None = None
    """Why there is no answer."""


class Spoken(NamedTuple):
    """A diagnosis, and the talk that led to it."""

    reasoned: Reasoned
    turns: tuple[Turn, ...] = ()


class Reasoner(Protocol):
    """Whoever finds the cause."""

    def reason(self, pack: EvidencePack) -> Spoken:
        """Return the diagnosis of ``pack``; no failure gets out."""
        ...


@dataclass(frozen=True)
class BuiltinReasoner:
    """Needs no model."""

    table: SignTable
    rules: SafetyRules
    settings: DiagnoseSettings

    def reason(self, pack: EvidencePack) -> Spoken:
        """Return the diagnosis of ``pack``."""
        return Spoken(Reasoned(*diagnose(pack, self.table, self.rules, self.settings)))


@dataclass(frozen=True)
class ProviderReasoner:
    """Asks a model as everywhere, and writes down what was said."""

    reasoner: ModelReasoner
    key: str | None = field(default=None, repr=False)
    """Its caller's; None where it wants none."""

    def reason(self, pack: EvidencePack) -> Spoken:
        """Return the diagnosis of ``pack``: the model's, or the built-in one marked ``degraded``."""
        recorder = _Recorder(self.reasoner.endpoint, self.key)
        reasoned = replace(self.reasoner, endpoint=recorder).diagnose(pack)
        return Spoken(reasoned, tuple(recorder.turns))


@dataclass
class _Recorder:
    """An endpoint that remembers one talk."""

    endpoint: Endpoint
    key: str | None
    turns: list[Turn] = field(default_factory=list)

    def ask(self, messages: Sequence[Message], schema: Mapping[str, Any] | None) -> Answered:
        began = time.monotonic()
        try:
            answered = self.endpoint.ask(messages, schema)
        except BackendError as error:
            self.turns.append(Turn(messages, "", time.monotonic() - began, str(error)))
            raise
        if self.key and len(self.key) >= _SHORTEST_KEY:
            answered = answered._replace(text=answered.text.replace(self.key, "***"))
        self.turns.append(Turn(messages, answered.text, time.monotonic() - began))
        return answered
