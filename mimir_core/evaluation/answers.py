"""Answers of all kinds -> one form that can be scored.

Comes in: what a model wrote, a finished diagnosis, or the name of a component. Goes out: :class:`Said`. Surprises: who is blamed
is taken as it was said, before any check, so that answers with and without the five steps can be compared; what the checks leave
of it stands beside it. An answer that cannot be read says nothing, and that is scored; what a kind of answer has no place for
(citations in a mere choice) is None, and is not.
"""

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import NamedTuple

from pydantic import ValidationError

from mimir_core.errors import InputError
from mimir_core.evaluation.variants import Choice, Variant
from mimir_core.reasoning.model import judge
from mimir_core.reasoning.prompt import Prompt
from mimir_core.reasoning.reply import outermost_braces, parse_steps
from mimir_core.reasoning.steps import Blamed, Steps
from mimir_core.reasoning.verify import Verified
from mimir_core.records import Diagnosis, EvidencePack, FaultKind, Verdict
from mimir_core.safety.policy import SafetyRules


class Said(NamedTuple):
    """What an answer comes down to."""

    verdict: Verdict | None
    """None: it cannot be read."""
    causes: tuple[tuple[str, FaultKind | None], ...] = ()
    """Component and kind, in order; only under the verdict ``cause_found``. A key that was not shown stands for itself."""
    weighed: tuple[str, ...] = ()
    """The components of the hypotheses, in order."""
    cited: frozenset[str] | None = None
    """Evidence ids that symptoms and hypotheses cite; None where an answer has no place for them."""
    actions: tuple[str, ...] = ()
    unsupported: float | None = None
    """The share of its statements that the checks rejected; None where nothing was stated that can be checked."""
    standing: Diagnosis | None = None
    """What the checks leave of it; None where nothing can stand."""


def read_answer(text: str, variant: Variant, prompt: Prompt, pack: EvidencePack, rules: SafetyRules) -> Said:
    """Return what a model said.

    Args:
        text: What it wrote.
        variant: How it was to answer.
        prompt: What it was asked.
        pack: The pack that the prompt shows a part of.
        rules: Which actions may be proposed.
    """
    if variant.form is Choice:
        choice = _parse_choice(text)
        return Said(choice.verdict, _blamed(choice, prompt.suspects)) if choice else Said(None)
    try:
        steps = parse_steps(text)
    except InputError:
        return Said(None, cited=frozenset())
    judged = judge(text, prompt, pack, rules)
    keys = chain(steps.symptoms, *(chain(one.supporting, one.contradicting) for one in steps.hypotheses))
    return Said(
        steps.verdict,
        _blamed(steps, prompt.suspects),
        tuple(prompt.suspects.get(one.suspect, one.suspect) for one in steps.hypotheses),
        frozenset(prompt.evidence.get(key, key) for key in keys),
        steps.actions,
        judged.rejected.total() / _count_statements(steps),
        judged.diagnosis,
    )


def say(verified: Verified) -> Said:
    """Return what a diagnosis says that was checked already."""
    diagnosis, rejected = verified.diagnosis, verified.rejected.total()
    stated = len(list(_claimed(diagnosis))) + len(diagnosis.checks) + len(diagnosis.causes) + len(diagnosis.actions) + 1
    return Said(
        diagnosis.verdict,
        tuple((cause.component, cause.fault_kind) for cause in diagnosis.causes),
        tuple(hypothesis.component for hypothesis in diagnosis.hypotheses),
        cited_by(diagnosis),
        tuple(action.name for action in diagnosis.actions),
        rejected / (rejected + stated),
        diagnosis,
    )


def name_suspect(component: str | None) -> Said:
    """Return what it says to name a component and nothing else; None names nobody whom the case knows, and so is wrong."""
    return Said(Verdict.CAUSE_FOUND, ((component or "", None),))


def cited_by(diagnosis: Diagnosis) -> frozenset[str]:
    """Return the ids of the evidence that symptoms and hypotheses cite."""
    return frozenset(_claimed(diagnosis))


def _claimed(diagnosis: Diagnosis) -> Iterator[str]:
    weighed = (chain(hypothesis.supporting, hypothesis.contradicting) for hypothesis in diagnosis.hypotheses)
    for claim in chain(diagnosis.symptoms, *weighed):
        yield from claim.evidence_ids


def _blamed(answer: Steps | Choice, suspects: Mapping[str, str]) -> tuple[tuple[str, FaultKind | None], ...]:
    causes: tuple[Blamed, ...] = answer.causes if answer.verdict is Verdict.CAUSE_FOUND else ()
    return tuple((suspects.get(cause.suspect, cause.suspect), cause.fault_kind) for cause in causes)


def _parse_choice(text: str) -> Choice | None:
    try:
        return Choice.model_validate_json(outermost_braces(text))
    except ValidationError:
        return None


def _count_statements(steps: Steps) -> int:
    """Return how many things the checks look at: the verdict, each item of a list, and of a hypothesis whom and why."""
    weighed = sum(2 + len(one.supporting) + len(one.contradicting) for one in steps.hypotheses)
    return 1 + weighed + sum(map(len, (steps.symptoms, steps.checks, steps.causes, steps.actions, steps.missing)))
