"""Documents -> chunks that each stand under one heading and fit the embedding model.

Comes in: a manuscript. Goes out: chunks in reading order. Surprises: code stands in fences and keeps its line breaks, a
list item keeps its dash, and a chunk that continues a section opens with the last words of the one before, after "… ".
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

from mimir_core.config import IngestSettings
from mimir_core.knowledge.blocks import Block, BlockKind
from mimir_core.knowledge.ingest import Manuscript
from mimir_core.records import Chunk, content_hash

_WORD = re.compile(r"\w{1,12}|[^\w\s]")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=\S)")
REPEATED = "… "
"""Opens a chunk that begins with the last words of the one before."""
_FENCE_WORDS = 8
"""What the two lines around code count; four signs each where the code itself holds three."""


class Chunked(NamedTuple):
    """Chunks, and what was not made into one."""

    kept: list[Chunk]
    dropped: Counter[str]


def count_words(text: str) -> int:
    """Count words and signs, a long word once for every 12 characters: about what the embedding model counts.

    >>> count_words("kubectl get pods -n shop"), count_words("a" * 30)
    (6, 3)
    """
    return sum(1 for _ in _WORD.finditer(text))


def chunk_documents(manuscripts: Iterable[Manuscript], settings: IngestSettings) -> Chunked:
    """Cut every manuscript into chunks and drop those that say the same under the same title and heading."""
    chunked = Chunked([], Counter())
    seen: set[str] = set()
    for document, blocks in manuscripts:
        position = 0
        for heading, section in split_sections(blocks, document.title):
            for text in pack(section, settings):
                said = content_hash([document.title, heading, text], 64)
                if said in seen:
                    chunked.dropped["duplicate_chunk"] += 1
                    continue
                seen.add(said)
                chunked.kept.append(
                    Chunk(
                        id="c" + content_hash([document.id, heading, text]),
                        document_id=document.id,
                        path=document.path,
                        title=document.title,
                        heading=heading,
                        text=text,
                        position=position,
                        tags=document.tags,
                    )
                )
                position += 1
    return chunked


def split_sections(blocks: Iterable[Block], title: str) -> Iterator[tuple[str, list[Block]]]:
    """Yield the blocks between two headings with the path of headings above them, the title aside.

    >>> head, text = BlockKind.HEADING, BlockKind.TEXT
    >>> page = [Block(head, "Disk full"), Block(head, "Checks", 1), Block(head, "Node", 2), Block(text, "Run df.")]
    >>> list(split_sections(page, "Disk full"))[0][0]
    'Checks > Node'
    """
    path: list[Block] = []
    for is_heading, group in groupby(blocks, key=lambda block: block.kind is BlockKind.HEADING):
        if not is_heading:
            yield " > ".join(heading.text for heading in path if heading.text.casefold() != title.casefold()), list(group)
            continue
        for heading in group:
            path = [*(above for above in path if above.level < heading.level), heading]


def pack(blocks: Iterable[Block], settings: IngestSettings) -> Iterator[str]:
    """Join the blocks of one section into texts of at most ``chunk_words`` words."""
    text, words, last = "", 0, None
    for piece in (piece for block in blocks for piece in _pieces(block, settings.chunk_words)):
        size = count_words(piece.text)
        if last and words + size > settings.chunk_words:
            yield text
            text = _tail(last, settings.overlap_words)
            words = count_words(text)
            if words + size > settings.chunk_words:
                text, words = "", 0
            last = None
        glue = "\n" if last and last.kind is piece.kind and piece.kind in (BlockKind.LIST_ITEM, BlockKind.TABLE) else "\n\n"
        text = f"{text}{glue}{piece.text}" if text else piece.text
        words, last = words + size, piece
    if text:
        yield text


def _pieces(block: Block, limit: int) -> Iterator[Block]:
    """Yield the block whole where it fits, else in the largest pieces that do: lines of code, sentences of text."""
    match block.kind:
        case BlockKind.CODE:
            lines = (piece for line in block.text.split("\n") for piece in _cut(line, limit - _FENCE_WORDS))
            for code in _fill(lines, "\n", limit - _FENCE_WORDS):
                if code.strip():
                    fence = "````" if "```" in code else "```"
                    yield Block(block.kind, f"{fence}\n{code}\n{fence}")
        case BlockKind.TABLE:
            for rows in _fill((piece for row in block.text.split("\n") for piece in _cut(row, limit)), "\n", limit):
                yield Block(block.kind, rows)
        case _:
            text = f"- {block.text}" if block.kind is BlockKind.LIST_ITEM else block.text
            sentences = (piece for sentence in _SENTENCE_END.split(text) for piece in _cut(sentence, limit))
            for piece in _fill(sentences, " ", limit):
                yield Block(block.kind, piece)


def _fill(parts: Iterable[str], glue: str, limit: int) -> Iterator[str]:
    """Join as many parts as fit ``limit`` words."""
    held: list[str] = []
    words = 0
    for part in parts:
        size = count_words(part)
        if held and words + size > limit:
            yield glue.join(held)
            held, words = [], 0
        held.append(part)
        words += size
    if held:
        yield glue.join(held)


def _cut(text: str, limit: int) -> Iterator[str]:
    """Cut a text that is too long for one chunk after every ``limit`` words."""
    starts = [match.start() for match in _WORD.finditer(text)][limit::limit]
    for start, end in zip([0, *starts], [*starts, len(text)], strict=True):
        yield text[start:end]


def _tail(piece: Block, words: int) -> str:
    """Return the last words of a piece of prose, from a space on, after the mark of a repetition; "" for code and tables."""
    if piece.kind in (BlockKind.CODE, BlockKind.TABLE) or not words:
        return ""
    starts = [match.start() for match in _WORD.finditer(piece.text)]
    tail = piece.text if len(starts) <= words else piece.text[starts[-words] - 1 :].partition(" ")[2]
    return f"{REPEATED}{tail}" if tail else ""
