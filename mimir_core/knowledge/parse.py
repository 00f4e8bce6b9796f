"""The bytes of one document -> its clean, redacted blocks.

Comes in: bytes and their media type. Goes out: :class:`Parsed`, or why there is nothing to read. Surprises: nothing in a
document is ever fetched; and what was parsed once is remembered under a hash of its bytes and of the code that parses, so
an unchanged document costs one hash.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict

from mimir_core.errors import InputError
from mimir_core.knowledge.blocks import Block, BlockKind
from mimir_core.knowledge.clean import clean_text, drop_running_lines, split_front_matter
from mimir_core.safety.redact import redact


class Reader(Protocol):
    """Finds the blocks in a text."""

    def read_blocks(self, text: str, media_type: str) -> list[Block]:
        """Return the blocks of ``text`` in reading order. Fetches nothing. Raises InputError when it cannot be parsed."""
        ...


class Pages(NamedTuple):
    """The text of a PDF."""

    texts: list[str]
    skipped: int
    """Pages beyond the limit, which were not read."""


class PdfReader(Protocol):
    """Finds the text in a PDF."""

    def read_pages(self, content: bytes, max_pages: int) -> Pages:
        """Return the text of the first ``max_pages`` pages. Raises InputError when the file is broken or locked."""
        ...


class ParseCache(Protocol):
    """Remembers by key."""

    def read(self, key: str) -> bytes | None:
        """Return what was written under ``key``, or None."""
        ...

    def write(self, key: str, content: bytes) -> None:
        """Remember ``content``."""
        ...


class Parsed(BaseModel):
    """What is in a document."""

    model_config = ConfigDict(frozen=True)

    title: str = ""
    """As its front matter says."""
    tags: tuple[str, ...] = ()
    blocks: tuple[Block, ...] = ()
    cleaned: dict[str, int] = {}
    """What was taken out, by reason."""
    masked: dict[str, int] = {}
    """Secrets, by kind."""
    unreadable: str = ""
    """The reason, where it could not be read; it has no blocks then."""


class DocumentParser:
    """Parses what it does not remember."""

    def __init__(self, reader: Reader, pdf: PdfReader, max_pages: int, cache: ParseCache, version: str) -> None:
        """Wire a parser.

        Args:
            reader: Finds the blocks in text.
            pdf: Finds the text in a PDF.
            max_pages: Pages of a PDF that are read.
            cache: Where parsed documents are remembered.
            version: Of the code that parses: another version remembers nothing of this one.
        """
        self._reader = reader
        self._pdf = pdf
        self._max_pages = max_pages
        self._cache = cache
        self._version = version
        self.parsed = 0
        """Documents that were not remembered."""

    def parse(self, content: bytes, media_type: str) -> Parsed:
        """Return what is in a document."""
        key = hashlib.sha256(f"{self._version}\0{media_type}\0{self._max_pages}\0".encode() + content).hexdigest()
        if known := self._cache.read(key):
            return Parsed.model_validate_json(known)
        self.parsed += 1
        parsed = self._parse(content, media_type)
        self._cache.write(key, parsed.model_dump_json().encode())
        return parsed

    def _parse(self, content: bytes, media_type: str) -> Parsed:
        counts = _Counts(Counter(), Counter())
        try:
            text = self._pdf_text(content, counts) if media_type == "application/pdf" else decode(content)
            if text is None:
                return Parsed(unreadable="not_text")
            text, removed = clean_text(_redact(text, counts))
            counts.cleaned["control_characters"] += removed
            front = split_front_matter(text)
            counts.cleaned["front_matter"] += front.body != text
            blocks = tuple(_clean_blocks(self._reader.read_blocks(front.body, media_type), counts))
        except InputError:
            return Parsed(unreadable="unreadable")
        return Parsed(title=front.title, tags=front.tags, blocks=blocks, cleaned=+counts.cleaned, masked=counts.masked)

    def _pdf_text(self, content: bytes, counts: "_Counts") -> str:
        pages = self._pdf.read_pages(content, self._max_pages)
        counts.cleaned["pages_over_limit"] += pages.skipped
        texts, dropped = drop_running_lines(pages.texts)
        counts.cleaned["running_lines"] += dropped
        return "\n\n".join(texts)


class _Counts(NamedTuple):
    cleaned: Counter[str]
    masked: Counter[str]


def decode(content: bytes) -> str | None:
    r"""Return the text, or None when this is no text: UTF-8, or UTF-16 with its mark.

    >>> decode("Größe".encode()), decode("Größe".encode("utf-16")), decode("Größe".encode("latin-1")), decode(b"\0\1")
    ('Größe', 'Größe', None, None)
    """
    encoding = "utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _clean_blocks(blocks: list[Block], counts: _Counts) -> Iterator[Block]:
    """Drop what only leads elsewhere, and mask the secrets that markup had torn apart."""
    for block in blocks:
        text = clean_text(_redact(block.text, counts))[0].strip("\n")
        if block.kind is BlockKind.LINKS:
            counts.cleaned["navigation"] += 1
        elif text.strip():
            yield block._replace(text=text)


def _redact(text: str, counts: _Counts) -> str:
    redaction = redact(text)
    counts.masked.update(redaction.masked)
    return redaction.text
