"""Held-out cases and what was answered -> how well each variant answered.

Comes in: examples with their truth, generations, what the trivial choices name, and the built-in reasoner. Goes out: a
:class:`Measured` for each variant, and why others have none. Surprises: nobody is asked here but the built-in reasoner, and
a judge where there is one; every variant has scores for every case, None where nobody asked.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from mimir_core.config import PromptSettings
from mimir_core.errors import InputError
from mimir_core.evaluation.answers import Said, name_suspect, read_answer, say
from mimir_core.evaluation.figures import Measured, measure
from mimir_core.evaluation.generations import Answers, Generation, sort_generations
from mimir_core.evaluation.grading import Grader
from mimir_core.evaluation.judge import Answer
from mimir_core.evaluation.scores import FORM, UNKNOWN, Scores, score_answer, stated_confidence
from mimir_core.evaluation.variants import BUILTIN, VARIANTS, Altered, Variant, alter, variant_of, write_question
from mimir_core.reasoning.prompt import Prompt
from mimir_core.reasoning.steps import Steps, steps_of
from mimir_core.reasoning.verify import Verified
from mimir_core.records import EvidencePack, Example, content_hash
from mimir_core.safety.policy import SafetyRules

_SCORED = -1
"""The last of unguided and guided: the guided answer where there is one, as where Mimir runs."""
_NOBODY_WROTE = "data/generations.jsonl has no answer of it"


class Evaluated(NamedTuple):
    """What the evaluation knows."""

    variants: dict[str, Measured]
    ablations: dict[str, Measured]
    absent: dict[str, str]
    """Variants without figures, and why."""


def evaluate(  # noqa: PLR0913, PLR0917  # four files, and what reads them
    examples: Sequence[Example],
    altered: Sequence[Altered],
    generations: Iterable[Generation],
    named: Mapping[str, Mapping[str, str | None]],
    builtin: Callable[[EvidencePack], Verified],
    rules: SafetyRules,
    prompts: PromptSettings,
    grader: Grader | None = None,
) -> Evaluated:
    """Score everybody.

    Args:
        examples: The held-out cases.
        altered: The same as ablations of the index show them.
        generations: What the served models wrote about them, guided and unguided.
        named: Of each trivial choice the component that it names, by case; None for nobody.
        builtin: Diagnoses a whole pack.
        rules: Which actions may be proposed.
        prompts: The ``prompt`` section of params.yaml, as it was when the models were asked.
        grader: Grades the five steps of the variants, not of ablations; None where no judge is asked.
    """
    verified = [builtin(one.pack) for one in examples]
    judged = grader.grade(_written_as_steps(examples, verified, rules, prompts)) if grader else {}
    evaluated = Evaluated({BUILTIN: _measure_said(examples, [say(one) for one in verified], rules, judged)}, {}, {})
    answered = sort_generations(generations, {example.id for example in examples})
    for name in dict.fromkeys([*VARIANTS, *sorted(answered)]):
        answers = answered.get(name, Answers())
        if not (answers.guided or answers.unguided):
            evaluated.absent[name] = "; ".join([_NOBODY_WROTE, *_refusals(answers)])
            continue
        asked = alter(examples, name, altered)
        try:
            measured = _measure_model(asked, variant_of(name), answers, rules, prompts, grader if name in VARIANTS else None)
        except InputError as error:
            evaluated.absent[name] = str(error)
        else:
            (evaluated.variants if name in VARIANTS else evaluated.ablations)[name] = measured
    for name, components in named.items():
        said = [name_suspect(components[example.id]) for example in examples]
        evaluated.variants[name] = _measure_said(examples, said, rules, {})
    return evaluated


def hash_cases(examples: Iterable[Example]) -> str:
    """Return what names these cases: equal hashes, equal questions and truths."""
    return content_hash([example.model_dump(mode="json") for example in examples], 64)


def _measure_said(
    examples: Sequence[Example], said: Sequence[Said], rules: SafetyRules, judged: Mapping[str, Scores]
) -> Measured:
    """Measure what no model wrote: it cannot be misread, and a finished diagnosis has the form that models are asked for."""
    scores: dict[str, Scores] = {}
    for example, one in zip(examples, said, strict=True):
        form = None if one.standing is None else 1.0
        content = score_answer(one, example.diagnosis, rules)
        scores[example.id] = {**UNKNOWN, **content, **dict.fromkeys(FORM, form), **judged.get(example.id, {})}
    return measure(scores, _confidences(examples, said), (), {})


def _measure_model(  # noqa: PLR0913, PLR0917  # who answered what, and what reads it
    examples: Sequence[Example],
    variant: Variant,
    answers: Answers,
    rules: SafetyRules,
    prompts: PromptSettings,
    grader: Grader | None,
) -> Measured:
    """Measure a served model; an answer that failed cannot be read, and is wrong."""
    scores: dict[str, Scores] = {}
    gradable: dict[str, Answer | None] = {}
    asked: list[Example] = []
    scored: list[Generation] = []
    said: list[Said] = []
    for example in examples:
        written = [answers.unguided.get(example.id), answers.guided.get(example.id)]
        if not any(written):
            scores[example.id] = UNKNOWN
            continue
        prompt = write_question(example, variant, rules, prompts)
        read = [None if one is None else read_answer(one.answer, variant, prompt, example.pack, rules) for one in written]
        asked.append(example)
        scored.append([one for one in written if one][_SCORED])
        said.append([one for one in read if one][_SCORED])
        valid = [None if one is None else float(one.verdict is not None) for one in read]
        content = score_answer(said[-1], example.diagnosis, rules)
        scores[example.id] = {**UNKNOWN, **content, **dict(zip(FORM, valid, strict=True))}
        if variant.form is Steps and (reference := _reference(example, prompt)):
            gradable[example.id] = Answer(prompt.user, reference, scored[-1].text) if said[-1].verdict else None
    if grader:
        scores |= {case: {**scores[case], **judged} for case, judged in grader.grade(gradable).items()}
    counts = {
        "guided": len(answers.guided),
        "unguided": len(answers.unguided),
        "missing": len(examples) - len(asked),
        "failed": sum(one.failed is not None for one in scored),
        "unread": sum(one.verdict is None for one in said),
        "refused": answers.refused.total(),
    }
    return measure(scores, _confidences(asked, said), scored, counts)


def _written_as_steps(
    examples: Sequence[Example], verified: Sequence[Verified], rules: SafetyRules, prompts: PromptSettings
) -> dict[str, Answer | None]:
    """Return finished diagnoses as a model would have answered the question of ``tuned``: what that does not show is left out."""
    written: dict[str, Answer | None] = {}
    for example, one in zip(examples, verified, strict=True):
        prompt = write_question(example, VARIANTS["tuned"], rules, prompts)
        if reference := _reference(example, prompt):
            written[example.id] = Answer(prompt.user, reference, steps_of(one.diagnosis, prompt).model_dump_json())
    return written


def _reference(example: Example, prompt: Prompt) -> str | None:
    """Return what somebody who knew would have answered; None where the prompt does not show what is at fault."""
    steps = steps_of(example.diagnosis, prompt)
    return steps.model_dump_json() if len(steps.causes) == len(example.diagnosis.causes) else None


def _confidences(examples: Sequence[Example], said: Sequence[Said]) -> list[tuple[float, bool]]:
    pairs = (stated_confidence(one, example.diagnosis) for example, one in zip(examples, said, strict=True))
    return [pair for pair in pairs if pair]


def _refusals(answers: Answers) -> list[str]:
    return [f"{count} lines: {reason}" for reason, count in sorted(answers.refused.items())]
