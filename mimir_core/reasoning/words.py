"""What a model says in its own words -> why it may not be shown, or nothing.

Comes in: a sentence or a command, and the evidence that it is about. Goes out: a reason to reject it, or None. Surprise: a
sentence cannot be recomputed as a claim can; what is checked is that it is one plain line, sends nobody elsewhere, and names no
number that the evidence does not. Nothing is executed; a command that would change something is rejected because people copy.
"""

import re
from collections.abc import Iterable

from mimir_core.reasoning.verify import numbers_agree, numbers_in, numbers_of
from mimir_core.records import Evidence
from mimir_core.safety import escape

_SENTENCE_CHARACTERS = 500
_COMMAND_CHARACTERS = 240
_MARKUP = re.compile(r"<[a-z!/]|\]\(|\[\[|```|\b[a-z][a-z0-9+.-]*://|\bwww\.|\b(?:javascript|data):", re.IGNORECASE)
_CHANGES = re.compile(
    r"(?<![\w./-])(?:delete|drop|truncate|insert|update|alter|grant|rm|rmdir|shred|mkfs|dd|kill|pkill|killall|reboot|shutdown|halt"
    r"|restart|stop|scale|patch|apply|edit|replace|create|drain|cordon|taint|evict|undo|rollback|install|uninstall|upgrade|purge"
    r"|flushall|flushdb|chmod|chown|sudo|tee|mv|push|put|modify|terminate|reset)(?![\w./])"
    r"|--(?:delete|force|prune|push)\b|-X\s*(?:POST|PUT|PATCH|DELETE)\b|\|\s*(?:ba|z|da|k)?sh\b|`|\$\(|>\s*/(?!dev/null)",
    re.IGNORECASE,
)
"""What changes something, as far as its name tells. Not complete, and it need not be: a person reads what this lets through."""


def reject_sentence(text: str) -> str | None:
    """Return why ``text`` may not be shown, or None.

    >>> reject_sentence("its pool is full"), reject_sentence("see <b>this</b>")
    (None, 'a sentence holds markup or a link')
    """
    if not text.strip() or len(text) > _SENTENCE_CHARACTERS:
        return "a sentence is empty or too long"
    if escape.plain(text) != text or "\n" in text:
        return "a sentence is no single line of plain text"
    return "a sentence holds markup or a link" if _MARKUP.search(text) else None


def reject_reason(text: str, cited: Iterable[Evidence]) -> str | None:
    """Return why ``text`` is no reason that rests on ``cited``, or None."""
    if reason := reject_sentence(text):
        return reason
    known = [number for item in cited for number in numbers_of(item)]
    unknown = [number for number in numbers_in(text) if not any(numbers_agree(number, other) for other in known)]
    return "a reason names a number that nothing cited does" if unknown else None


def reject_command(text: str) -> str | None:
    """Return why ``text`` is no command to look at something with, or None.

    >>> reject_command("kubectl describe pod web-0"), reject_command("kubectl delete pod web-0")
    (None, 'a check would change something')
    """
    if not text.strip() or len(text) > _COMMAND_CHARACTERS or escape.line(text) != text.strip():
        return "a command is empty, too long or no single line"
    return "a check would change something" if _CHANGES.search(text) else None
