"""What must hold of a data set, or the stage stops.

Comes in: chats by split. Goes out: rows and rules for a checker. Surprises: "the same" is judged by words, not by ids: incidents
written by hand by their 5-grams of words (Jaccard index; Broder, "On the resemblance and containment of documents", 1997),
systems by the names of their components, reasons by their sentences.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

from pydantic import ValidationError

from mimir_core.config import DatasetSettings
from mimir_core.knowledge.chunk import count_words
from mimir_core.learning.splits import Split
from mimir_core.reasoning.steps import Steps
from mimir_core.records import Chat
from mimir_core.rules import Row, Rule

_KEY = re.compile(r"^(e\d+) ", re.MULTILINE)
_GRAM = 5
_FEW_NAMES = 4
"""Two systems may share a name or two; below so many suspects that is already half of them."""


def chat_rules(settings: DatasetSettings) -> list[Rule]:
    """Return what must hold of the rows of :func:`chat_rows`."""
    shared = round(100 * settings.max_shared_names)
    return [
        Rule("chat_ids_are_unique", "id", "unique"),
        Rule("questions_and_answers_are_no_twins", "text", "unique"),
        Rule("answers_are_the_five_steps", "is_steps", "between", minimum=1),
        Rule("citations_exist", "unknown_keys", "between", maximum=0),
        Rule("chats_fit", "words", "between", minimum=1, maximum=settings.max_words),
        Rule("a_system_is_in_one_split", "splits_of_system", "between", maximum=1),
        Rule("an_incident_is_in_one_split", "splits_of_provenance", "between", maximum=1),
        Rule("no_held_out_system_is_a_training_one_renamed", "shared_names_percent", "between", maximum=shared),
        Rule("no_held_out_reason_was_read_in_training", "reasons_read", "between", maximum=0),
    ]


def chat_rows(chats: Mapping[Split, Sequence[Chat]]) -> list[Row]:
    """Return one row a chat."""
    splits_of: dict[tuple[str, str], set[Split]] = defaultdict(set)
    for split, members in chats.items():
        for chat in members:
            splits_of["system", chat.system].add(split)
            splits_of["provenance", chat.provenance].add(split)
    training = chats[Split.TRAIN]
    names: dict[str, set[str]] = defaultdict(set)
    for chat in training:
        names[chat.system].update(chat.suspects.values())
    read = {reason for chat in training for reason in _reasons(chat)}
    return [
        {
            "id": chat.id,
            "path": f"{split.value}: {chat.provenance}",
            "text": "\n".join(message.content for message in chat.messages),
            "is_steps": int(_steps(chat) is not None),
            "unknown_keys": count_unknown_keys(chat),
            "words": sum(count_words(message.content) for message in chat.messages),
            "splits_of_system": len(splits_of["system", chat.system]),
            "splits_of_provenance": len(splits_of["provenance", chat.provenance]),
            "shared_names_percent": 0 if split is Split.TRAIN else _shared_names(chat, names.values()),
            "reasons_read": 0 if split is Split.TRAIN else sum(reason in read for reason in _reasons(chat)),
        }
        for split, members in chats.items()
        for chat in members
    ]


def count_unknown_keys(chat: Chat) -> int:
    """Count the keys in the answer of ``chat`` that its question does not explain."""
    if (steps := _steps(chat)) is None:
        return 0
    known = {*_KEY.findall(chat.messages[1].content), *chat.suspects}
    cited = [*steps.symptoms]
    for weighed in steps.hypotheses:
        cited += [weighed.suspect, *weighed.supporting, *weighed.contradicting]
    return sum(key not in known for key in [*cited, *(cause.suspect for cause in steps.causes)])


def find_alike(texts: Mapping[str, str], limit: float) -> list[tuple[float, str, str]]:
    """Return the pairs of names whose texts are more alike than ``limit``, most alike first.

    >>> find_alike({"a": "one two three four five six", "b": "one two three four five seven", "c": "x"}, 0.3)
    [(0.3333333333333333, 'a', 'b')]
    """
    grams = {name: _grams(text) for name, text in texts.items()}
    scores = ((_jaccard(grams[one], grams[other]), one, other) for one, other in combinations(grams, 2))
    return sorted((found for found in scores if found[0] > limit), reverse=True)


def _grams(text: str) -> set[tuple[str, ...]]:
    words = text.lower().split()
    return {tuple(words[start : start + _GRAM]) for start in range(len(words) - _GRAM + 1)}


def _jaccard(one: set[tuple[str, ...]], other: set[tuple[str, ...]]) -> float:
    return len(one & other) / len(one | other) if one and other else 0.0


def _shared_names(chat: Chat, systems: Iterable[set[str]]) -> int:
    """Return which percentage of the suspects one training system knows, at most."""
    mine = set(chat.suspects.values())
    return 0 if len(mine) < _FEW_NAMES else max((round(100 * len(mine & names) / len(mine)) for names in systems), default=0)


def _reasons(chat: Chat) -> list[str]:
    steps = _steps(chat)
    return [weighed.because for weighed in steps.hypotheses] if steps else []


def _steps(chat: Chat) -> Steps | None:
    try:
        return Steps.model_validate_json(chat.messages[-1].content)
    except ValidationError:
        return None
