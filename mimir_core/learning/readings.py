r"""A question -> the same, and below it what a careful reader finds there: who is ranked, who is affected, what is about whom.

Comes in: a chat of the training split. Goes out: a text for the base model. Why: who answers must look up names and keys before
anything can be weighed, and an answer has few of them, so that a small model that reads answers alone does not learn to.
Surprises: nothing is said of the cause; what is found stands in an order of chance, because in the order of the question each key
would follow from the one before; of parts of a question, which come first, the lines are said again: to copy is learned first.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from random import Random

from mimir_core.records import Chat

_EVIDENCE = re.compile(r"(e\d+) (c\d+) (\w+) (.*)")
_ABOUT_NOBODY = re.compile(r"e\d+ ")
_SUSPECT = re.compile(r"(c\d+) ")
_RANKED = "Ranked: "
_SAYS_SOMETHING = re.compile(r"(?:[ce]\d+|Affected:|Ranked:) ")
_READ = "Read:"
_RANKED_KEY = re.compile(r"(?:^|, )(c\d+) ")
_INCIDENT = "Incident: "
_AFFECTED = re.compile(r"Affected: (c\d+) .*")
_MOVED = re.compile(r" (rose|fell|stayed) ")
_SUSPECTS_OF_A_PART = (2, 2, 3)
_LINE_CHARACTERS = 160
"""Of a piece of evidence in a part."""


def read_question(chat: Chat, dice: Random) -> str:
    r"""Return the question and its reading.

    >>> from mimir_core.records import Message
    >>> evidence = "Evidence:\ne1 c1 alert web: slow\ne2 c2 metric db free fell to 0\ne3 runbook Disks: clean them"
    >>> asked = f"Affected: c1 web, minor\nRanked: c2 disk 0.80 e2\nSuspects:\nc1 web\nc2 db\n{evidence}"
    >>> messages = tuple(Message(role=role, content=asked) for role in ("system", "user", "assistant"))
    >>> told = {"id": "t", "source": "gold", "provenance": "p", "system": "s", "hinted": True, "causes": (), "first": None}
    >>> chat = Chat(**told, suspects={"c1": "web", "c2": "db"}, messages=messages)
    >>> print(read_question(chat, Random(1)).removeprefix(asked))
    <BLANKLINE>
    Read:
    e2 c2 db fell
    affected c1 web
    e1 c1 web alert
    ranked c2 db
    """
    return "\n".join(_with_reading(chat.messages[1].content.splitlines(), chat.suspects, dice))


def read_part(chat: Chat, dice: Random) -> str:
    """Return what the question says of two or three of its suspects, shortened, and the same lines once more."""
    most = min(len(chat.suspects), dice.choice(_SUSPECTS_OF_A_PART))
    kept = {key: chat.suspects[key] for key in sorted(dice.sample(sorted(chat.suspects), most))}
    asked = (_part_of(line, kept) for line in chat.messages[1].content.splitlines())
    lines = [line for line in asked if line]
    again = [line for line in lines if _SAYS_SOMETHING.match(line)]
    dice.shuffle(again)
    return "\n".join([*lines, _READ, *again])


def _part_of(line: str, kept: Mapping[str, str]) -> str:
    """Return ``line`` as far as it is about those who are kept."""
    if line.startswith(_INCIDENT):
        return ""
    if line.startswith(_RANKED):
        entries = line.removeprefix(_RANKED).split(", ")
        return _RANKED + (", ".join(entry for entry in entries if entry.partition(" ")[0] in kept) or "none")
    if suspect := _SUSPECT.match(line):
        return line if suspect[1] in kept else ""
    if evidence := _EVIDENCE.fullmatch(line):
        return line[:_LINE_CHARACTERS] if evidence[2] in kept else ""
    return "" if _ABOUT_NOBODY.match(line) else line


def _with_reading(lines: list[str], suspects: Mapping[str, str], dice: Random) -> Iterable[str]:
    found = list(_found(lines, suspects))
    dice.shuffle(found)
    return [*lines, _READ, *found]


def _found(lines: Iterable[str], suspects: Mapping[str, str]) -> Iterator[str]:
    for line in lines:
        if (affected := _AFFECTED.fullmatch(line)) and affected[1] in suspects:
            yield f"affected {affected[1]} {suspects[affected[1]]}"
        elif line.startswith(_RANKED) and (ranked := _RANKED_KEY.findall(line.removeprefix(_RANKED))):
            yield f"ranked {', '.join(f'{key} {suspects[key]}' for key in ranked)}"
        elif evidence := _EVIDENCE.fullmatch(line):
            key, suspect, kind, said = evidence.groups()
            moved = _MOVED.search(said)
            yield f"{key} {suspect} {suspects[suspect]} {moved[1] if moved else kind}"
