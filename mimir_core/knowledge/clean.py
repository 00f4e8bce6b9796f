"""What is taken off a text before it is knowledge: control characters, front matter, running heads.

Comes in: text as it was decoded. Goes out: the text without them, and how much went.
"""

import re
import unicodedata
from collections import Counter
from typing import Any, NamedTuple

import yaml

_INVISIBLE = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
"""Control characters, and the marks that hide text or turn its direction."""
_FRONT_MATTER = re.compile(r"\A\s*---[ \t]*\n(?P<yaml>[ \t]*[\w-]+[ \t]*:.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_TAG_KEYS = ("alert", "alerts", "component", "components", "keywords", "service", "services", "tags")
_RUNNING_PAGES = 3
"""A line must stand on at least so many pages to be a running head."""


class FrontMatter(NamedTuple):
    """What a Markdown file says about itself, and the rest of it."""

    body: str
    title: str = ""
    tags: tuple[str, ...] = ()


def clean_text(text: str) -> tuple[str, int]:
    r"""Return ``text`` in NFC with plain line breaks and spaces, and the number of characters that were removed.

    >>> clean_text("disk\x07 full\r\non node\u00a0a")
    ('disk full\non node a', 1)
    """
    text = re.sub(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]", "\n", text).replace("\u00a0", " ")
    text, removed = _INVISIBLE.subn("", text)
    return unicodedata.normalize("NFC", text), removed


def split_front_matter(text: str) -> FrontMatter:
    r"""Take the YAML front matter off ``text``. Front matter that is no YAML is taken off too and says nothing.

    >>> split_front_matter("---\ntitle: Disk full\nservices: [cart]\n---\n# Disk\n")
    FrontMatter(body='# Disk\n', title='Disk full', tags=('cart',))
    >>> split_front_matter("---\nA line between two rules.\n---\n").title
    ''
    """
    found = _FRONT_MATTER.match(text)
    if not found:
        return FrontMatter(text)
    body = text[found.end() :]
    try:
        said = yaml.safe_load(found["yaml"])
    except (yaml.YAMLError, ValueError, RecursionError):  # ValueError: a date that no calendar has
        return FrontMatter(body)
    if not isinstance(said, dict):
        return FrontMatter(text)
    title = said.get("title")
    return FrontMatter(body, " ".join(title.split()) if isinstance(title, str) else "", _tags(said))


def drop_running_lines(pages: list[str]) -> tuple[list[str], int]:
    r"""Drop first and last lines that stand on most pages, page numbers aside, and return how many were dropped.

    >>> drop_running_lines(["Guide\none\n1", "Guide\ntwo\n2", "Guide\nthree\n3"])
    (['one', 'two', 'three'], 6)
    """
    split = [page.strip().splitlines() for page in pages]
    seen = Counter(line for lines in split for line in {_numberless(lines[at]) for at in (0, -1) if lines})
    running = {line for line, count in seen.items() if count >= _RUNNING_PAGES and count > len(pages) / 2}
    dropped = 0
    for lines in split:
        for at in (0, -1):
            if lines and _numberless(lines[at]) in running:
                del lines[at]
                dropped += 1
    return ["\n".join(lines) for lines in split], dropped


def _numberless(line: str) -> str:
    return re.sub(r"\d+", "#", line.strip())


def _tags(said: dict[Any, Any]) -> tuple[str, ...]:
    values = [said.get(key) for key in _TAG_KEYS]
    words = [word for value in values for word in (value if isinstance(value, list) else [value])]
    return tuple(dict.fromkeys(" ".join(str(word).split()) for word in words if isinstance(word, str | int)))
