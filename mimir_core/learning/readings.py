"""A question -> the same, and below it what a careful reader finds there: which evidence is about which suspect.

Comes in: a chat of the training split. Goes out: a text for the base model. Why: who answers must look up keys before anything
can be weighed, and an answer has few of them, so that a small model that reads answers alone does not learn to. Surprise: nothing
is said of the cause; only what the question itself says is put in order.
"""

import re
from collections.abc import Mapping, Sequence

from mimir_core.records import Chat

_EVIDENCE = re.compile(r"(?P<key>e\d+) (?P<kind>\w+) (?P<said>.*)")
_RANKED = re.compile(r"^Ranked: (c\d+)", re.MULTILINE)
_AFFECTED = re.compile(r"^Affected: (.+), \w+$", re.MULTILINE)
_MOVED = re.compile(r" (rose|fell|stayed) ")


def read_question(chat: Chat) -> str:
    r"""Return the question, then who is ranked first and who is affected, as far as it is said, and each suspect's evidence.

    >>> from mimir_core.records import Message
    >>> evidence = "Evidence:\ne1 alert web: slow\ne2 metric db free fell to 0"
    >>> asked = f"Affected: web, minor\nRanked: c2 disk 0.80 e2\nSuspects:\nc1 web\nc2 db\n{evidence}"
    >>> messages = tuple(Message(role=role, content=asked) for role in ("system", "user", "assistant"))
    >>> told = {"id": "t", "source": "gold", "provenance": "p", "system": "s", "hinted": True, "causes": (), "first": None}
    >>> chat = Chat(**told, suspects={"c1": "web", "c2": "db"}, messages=messages)
    >>> print(read_question(chat).removeprefix(asked))
    <BLANKLINE>
    Read:
    first c2
    affected c1
    c1 web: e1 alert
    c2 db: e2 fell
    """
    asked = chat.messages[1].content
    first, affected = _RANKED.search(asked), _AFFECTED.search(asked)
    keys = {name: key for key, name in chat.suspects.items()}
    found = [f"first {first[1]}"] if first else []
    found += [f"affected {keys[affected[1]]}"] if affected and affected[1] in keys else []
    about = _by_suspect(asked.splitlines(), chat.suspects)
    return "\n".join([asked, "Read:", *found, *(f"{key} {name}: {', '.join(about[key])}" for key, name in chat.suspects.items())])


def _by_suspect(lines: Sequence[str], suspects: Mapping[str, str]) -> dict[str, list[str]]:
    """Return for each suspect the keys of its evidence, each with how it moved, or what it is."""
    about: dict[str, list[str]] = {key: [] for key in suspects}
    longest_first = sorted(suspects.items(), key=lambda item: -len(item[1]))
    for found in filter(None, map(_EVIDENCE.fullmatch, lines)):
        said = found["said"]
        if owner := next((key for key, name in longest_first if said.startswith((f"{name} ", f"{name}:"))), None):
            moved = _MOVED.search(said)
            about[owner].append(f"{found['key']} {moved[1] if moved else found['kind']}")
    return about
