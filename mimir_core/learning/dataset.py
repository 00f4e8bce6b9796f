"""Solved incidents, incidents written by hand, and corrections -> chats to learn from, in splits that share no system.

Comes in: examples and their sources. Goes out: chats by split, what was held out, and what was dropped, by reason. Surprises: a
held-out example makes two chats, with the evidence engine's hints and without; what people corrected is for training alone, and
not even that where its system is held out; simulated reasons are worded differently in the test split, but not in the
dev split: the loss there would tell of the wording, and training would end, or go back, before anything else is learned.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from mimir_core.config import DatasetSettings, PromptSettings
from mimir_core.knowledge.chunk import count_words
from mimir_core.learning.lessons import Teacher
from mimir_core.learning.splits import Split
from mimir_core.reasoning.prompt import focus, suspects_of, write_prompt
from mimir_core.reasoning.steps import steps_of
from mimir_core.records import Chat, Example, Message, SolvedIncident, Verdict, content_hash
from mimir_core.safety.policy import SafetyRules

_HELD_OUT_VIEWS = 2
"""With hints and without."""


class Dataset(NamedTuple):
    """The chats of each split, what the test split was made of, and what made no chat."""

    chats: Mapping[Split, list[Chat]]
    held_out: list[Example]
    """The examples of the test split, whole: what an evaluation asks about, and what it knows."""
    dropped: Counter[str]


def split_systems(systems: Iterable[str], settings: DatasetSettings) -> dict[str, Split]:
    """Return the split of each system: as many of them as the shares say, which ones decides the hash of the name."""
    order = sorted(set(systems), key=lambda name: content_hash([settings.seed, name], 64))
    tests, devs = round(settings.test_share * len(order)), round(settings.dev_share * len(order))
    splits = [Split.TEST] * tests + [Split.DEV] * devs
    return dict(zip(order, [*splits, *[Split.TRAIN] * (len(order) - len(splits))], strict=True))


def build_dataset(  # noqa: PLR0913, PLR0917  # two sources, and a section of params.yaml each
    solved: Sequence[SolvedIncident],
    written: Sequence[Example],
    teacher_of: Callable[[bool], Teacher],
    prompts: PromptSettings,
    settings: DatasetSettings,
    views: int,
) -> Dataset:
    """Turn every source into chats.

    Args:
        solved: Simulated incidents with their truth; each is focused, then taught.
        written: Gold and feedback: their diagnoses are there already.
        teacher_of: Returns the teacher of the test split (True) or of the others (False).
        prompts: The ``prompt`` section of params.yaml.
        settings: The ``dataset`` section.
        views: Chats that a training example makes.
    """
    rules = teacher_of(False).rules
    chats: dict[Split, list[Chat]] = {split: [] for split in Split}
    held_out: list[Example] = []
    dropped: Counter[str] = Counter()
    splits = split_systems((item.system for item in solved), settings)
    splits |= split_systems((item.system for item in written if item.source == "gold"), settings)
    for number, example in enumerate([*_taught(solved, splits, teacher_of, prompts, dropped), *written]):
        split = splits.get(example.system, Split.TRAIN)
        if example.source == "feedback" and split is not Split.TRAIN:
            dropped["feedback: its system is held out"] += 1
            continue
        focused = example.model_copy(update={"pack": focus(example.pack, prompts)})
        seen = range(views if split is Split.TRAIN else _HELD_OUT_VIEWS)
        made = [_chat_of(focused, f"{settings.seed} {view}", rules, hints=(number + view) % 2 == 0) for view in seen]
        asked: set[str] = set()
        for chat in made:
            if chat.messages[1].content in asked:
                dropped[f"{split.value}: {example.source}, the same order of suspects again"] += 1
            elif reason := reject(chat, example.diagnosis.verdict, settings):
                dropped[f"{split.value}: {example.source}, {reason}"] += 1
            else:
                asked.add(chat.messages[1].content)
                chats[split].append(chat)
        if split is Split.TEST and asked:
            held_out.append(example)
    return Dataset(chats, held_out, dropped)


def reject(chat: Chat, verdict: Verdict, settings: DatasetSettings) -> str | None:
    """Return why ``chat`` is not worth learning, or None."""
    if verdict is Verdict.CAUSE_FOUND and not chat.causes:
        return "the prompt does not show the cause among the suspects"
    words = sum(count_words(message.content) for message in chat.messages)
    return "longer than dataset.max_words" if words > settings.max_words else None


def _chat_of(example: Example, seed: str, rules: SafetyRules, *, hints: bool) -> Chat:
    prompt = write_prompt(example.pack, f"{seed} {example.id}", rules, hints=hints)
    steps = steps_of(example.diagnosis, prompt)
    keys = {name: key for key, name in prompt.suspects.items()}
    first = next((keys[name] for name in suspects_of(example.pack)), None)
    return Chat(
        id="t" + content_hash([example.id, seed, hints]),
        source=example.source,
        provenance=example.provenance,
        system=example.system,
        hinted=hints,
        suspects=dict(prompt.suspects),
        causes=tuple(cause.suspect for cause in steps.causes),
        first=first,
        messages=(
            Message(role="system", content=prompt.system),
            Message(role="user", content=prompt.user),
            Message(role="assistant", content=steps.model_dump_json()),
        ),
    )


def _taught(
    solved: Sequence[SolvedIncident],
    splits: Mapping[str, Split],
    teacher_of: Callable[[bool], Teacher],
    prompts: PromptSettings,
    dropped: Counter[str],
) -> Iterable[Example]:
    for incident in solved:
        split = splits[incident.system]
        focused = incident.model_copy(update={"pack": focus(incident.pack, prompts)})
        diagnosis = teacher_of(split is Split.TEST).teach(focused, incident.provenance)
        if isinstance(diagnosis, str):
            dropped[f"{split.value}: simulated, {diagnosis}"] += 1
            continue
        yield Example(
            id="x" + content_hash(["simulated", incident.provenance]),
            pack=incident.pack,
            diagnosis=diagnosis,
            source="simulated",
            provenance=incident.provenance,
            system=incident.system,
        )
