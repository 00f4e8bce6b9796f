"""Answers that were written and graded by hand -> what judges are calibrated on.

Comes in: ``data/gold/judge/SYSTEM.yaml``, answers to the incidents of ``data/gold/SYSTEM.yaml`` (docs/formats.md says what is in
it). Goes out: each answer as a model would have given it to the prompt of its incident, with two gradings. Surprise: answers are
written with the names of facts and components and so outlive a prompt that numbers them otherwise; the reader puts in the keys.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from mimir_core.analysis.signs import SignTable
from mimir_core.config import PromptSettings, Settings
from mimir_core.errors import InputError
from mimir_core.evaluation.judge import Answer, Grade, PerStep
from mimir_core.evaluation.judge_calibration import HandGraded
from mimir_core.learning.gold import examples_of, read_by_hand, read_gold_system
from mimir_core.reasoning.prompt import focus, write_prompt
from mimir_core.reasoning.steps import Blamed, Steps, Weighed, steps_of
from mimir_core.safety.policy import SafetyRules


class JudgedAnswer(Settings):
    """One answer to one incident, with its grades."""

    id: str
    incident: str
    wrong: str = ""
    """What is wrong on purpose; empty where nothing is. No judge sees it."""
    first: PerStep[Grade]
    second: PerStep[Grade]
    """Given without sight of the first."""
    answer: Steps
    """With the names of facts and components where a model writes keys."""

    @model_validator(mode="after")
    def _is_careful(self) -> Self:
        lowest = min(self.first.model_dump().values())
        if self.wrong and lowest == 2:
            raise ValueError("is said to be wrong, and its first grades say that all is right")
        if not self.wrong and lowest == 0:
            raise ValueError("a first grade is 0, and nothing is said to be wrong")
        return self


class JudgedSystem(Settings):
    """The answers to the incidents of one system."""

    answers: tuple[JudgedAnswer, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _ids_differ(self) -> Self:
        ids = [answer.id for answer in self.answers]
        if twice := {name for name in ids if ids.count(name) > 1}:
            raise ValueError(f"the id {', '.join(sorted(twice))} is there twice")
        return self


def read_judged(folder: Path, gold: Path, table: SignTable, rules: SafetyRules, prompts: PromptSettings) -> list[HandGraded]:
    """Read all of ``folder``, in the order of file names.

    Args:
        folder: The answers.
        gold: The incidents, under the same file names.
        table: Which line is which sign.
        rules: Which actions there are.
        prompts: What of an incident is shown, to the judge as to the model.

    Raises:
        InputError: A file is not what docs/formats.md says, or an answer names what it was not shown; says file and answer.
    """
    files = sorted(folder.glob("*.yaml"))
    return [item for file in files for item in _read_system(file, gold / file.name, table, rules, prompts)]


def _read_system(file: Path, gold: Path, table: SignTable, rules: SafetyRules, prompts: PromptSettings) -> Iterator[HandGraded]:
    written = read_gold_system(gold)
    examples = examples_of(written, gold, table, rules)
    incidents = {incident.id: (incident, example) for incident, example in zip(written.incidents, examples, strict=True)}
    for item in read_by_hand(file, JudgedSystem).answers:
        where = f"{file}: answer {item.id}"
        if item.incident not in incidents:
            raise InputError(f"{where}: {item.incident} is no incident of {gold}")
        if unknown := sorted(set(item.answer.actions) - set(rules.actions)):
            raise InputError(f"{where}: actions: {', '.join(unknown)}: not on the allow-list of safety_rules.yaml")
        incident, example = incidents[item.incident]
        prompt = write_prompt(focus(example.pack, prompts), f"judge {example.id}", rules, hints=False)
        reference = steps_of(example.diagnosis, prompt)
        if len(reference.causes) < len(example.diagnosis.causes):
            raise InputError(f"{where}: the prompt of {item.incident} does not show its cause among the suspects")
        shown = {evidence_id: key for key, evidence_id in prompt.evidence.items()}
        facts = {name: shown[fact.id] for name, fact in incident.to_evidence(table).items() if fact.id in shown}
        text = _in_keys(item.answer, facts, {name: key for key, name in prompt.suspects.items()}, where)
        answer = Answer(prompt.user, reference.model_dump_json(), text.model_dump_json())
        yield HandGraded(answer, item.first, item.second)


def _in_keys(written: Steps, facts: Mapping[str, str], suspects: Mapping[str, str], where: str) -> Steps:
    """Return ``written`` with the keys of its prompt in place of names."""

    def keys(names: Iterable[str], known: Mapping[str, str]) -> tuple[str, ...]:
        names = tuple(names)
        if unknown := sorted(set(names) - set(known)):
            raise InputError(f"{where}: {', '.join(unknown)}: not among what its prompt shows ({', '.join(known)})")
        return tuple(known[name] for name in names)

    def weighed(hypothesis: Weighed) -> Weighed:
        return Weighed(
            suspect=keys([hypothesis.suspect], suspects)[0],
            fault_kind=hypothesis.fault_kind,
            because=hypothesis.because,
            supporting=keys(hypothesis.supporting, facts),
            contradicting=keys(hypothesis.contradicting, facts),
        )

    blamed = keys((cause.suspect for cause in written.causes), suspects)
    return Steps(
        symptoms=keys(written.symptoms, facts),
        hypotheses=tuple(weighed(hypothesis) for hypothesis in written.hypotheses),
        checks=written.checks,
        verdict=written.verdict,
        causes=tuple(Blamed(suspect=key, fault_kind=cause.fault_kind) for key, cause in zip(blamed, written.causes, strict=True)),
        actions=written.actions,
        missing=written.missing,
    )
