"""Text from strangers, made harmless for one kind of output each.

Comes in: text from telemetry, documents or a model. Goes out: the same text, which an output shows and never obeys.
"""

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|<>~$&])")
_BLOCK_START = re.compile(r"^(\d{1,9}(?=\.)|(?=[-=]))([-=.])")
"""A list or an underline, where a text stands first on its line."""
_SCHEME = re.compile(r"\b([a-z][a-z0-9+.-]*):(?=//)", re.IGNORECASE)
CITATION = re.compile(r"\[(\d{1,3})\]")
"""How the number of a citation stands in a sentence."""
_WWW = re.compile(r"\bwww\.", re.IGNORECASE)


def plain(text: str) -> str:
    r"""Show control and text-direction characters instead of sending them; keep tabs and line breaks.

    >>> plain("red \x1b[31malert\x07")
    'red \\x1b[31malert\\x07'
    """
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def line(text: str) -> str:
    r"""Return ``text`` on one line.

    >>> line("a\n  b")
    'a b'
    """
    return " ".join(plain(text).split())


def markdown(text: str) -> str:
    r"""Escape what Markdown would read as markup, autolinks included.

    >>> markdown("[x](javascript:alert(1)) | http://a.b")
    '\\[x\\]\\(javascript:alert\\(1\\)\\) \\| http:\u200b//a.b'
    >>> markdown("1. one"), markdown("- one"), markdown("1.5 s")
    ('1\\. one', '\\- one', '1\\.5 s')
    """
    escaped = _BLOCK_START.sub(r"\1\\\2", _MARKDOWN.sub(r"\\\1", line(text)))
    return _WWW.sub("www\u200b.", _SCHEME.sub("\\1:\u200b", escaped))


def code(text: str) -> str:
    """Return ``text`` as a Markdown code span that it cannot leave; blank text stays blank.

    >>> code("a `b` c"), code("df -h"), code(" ")
    ('`` a `b` c ``', '`df -h`', '')
    """
    shown = line(text)
    if not shown:
        return ""
    fence = _fence(shown, 1)
    return f"{fence} {shown} {fence}" if "`" in shown else f"{fence}{shown}{fence}"


def code_block(text: str, language: str = "text") -> str:
    r"""Return ``text`` as a Markdown block of code that it cannot leave.

    >>> code_block("a\n```\nb")
    '````text\na\n```\nb\n````'
    """
    fence = _fence(text, 3)
    return f"{fence}{language}\n{plain(text)}\n{fence}"


def _fence(text: str, shortest: int) -> str:
    """Return more backticks than ``text`` holds in a row."""
    return "`" * max(shortest, max((len(run) for run in re.findall(r"`+", text)), default=0) + 1)
