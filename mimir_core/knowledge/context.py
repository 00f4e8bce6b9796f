"""Passages -> one text for a reader with a budget, every part under its number.

Comes in: passages, best first. Goes out: the text, and which number stands for what. Surprises: passages that follow each
other in one section are joined and count as one citation, without the words that chunking had repeated; what does not fit
is left out whole, never cut, and counted.
"""

from collections.abc import Sequence
from typing import NamedTuple

from mimir_core.knowledge.chunk import REPEATED, count_words
from mimir_core.records import Chunk, Passage


class Source(NamedTuple):
    """What a number in the text stands for."""

    number: int
    path: str
    place: str
    """Title and heading."""
    chunk_ids: tuple[str, ...]


class Context(NamedTuple):
    """A text that fits the budget."""

    text: str
    sources: tuple[Source, ...]
    words: int
    """As ``count_words`` counts: about the word pieces of a model."""
    left_out: int
    """Passages that did not fit."""


def assemble_context(passages: Sequence[Passage], max_words: int) -> Context:
    """Return the best passages that fit into ``max_words`` words, each under ``[number] title > heading (path)``."""
    parts: list[str] = []
    sources: list[Source] = []
    words = left_out = 0
    for chunks in join_neighbours([passage.chunk for passage in passages]):
        first = chunks[0]
        place = f"{first.title} > {first.heading}" if first.heading else first.title
        part = f"[{len(sources) + 1}] {place} ({first.path})\n{join_texts(chunks)}"
        size = count_words(part)
        if words + size > max_words:
            left_out += len(chunks)
            continue
        words += size
        parts.append(part)
        sources.append(Source(len(sources) + 1, first.path, place, tuple(chunk.id for chunk in chunks)))
    return Context("\n\n".join(parts), tuple(sources), words, left_out)


def join_neighbours(chunks: Sequence[Chunk]) -> list[list[Chunk]]:
    """Group the chunks that follow each other under one heading, in reading order; groups stand where their best one stood."""
    groups: list[list[Chunk]] = []
    for chunk in chunks:
        near = [group for group in groups if any(_follow(chunk, other) for other in group)]
        for group in near[1:]:  # the chunk closes the gap between two groups
            near[0].extend(group)
            groups.remove(group)
        if near:
            near[0].append(chunk)
        else:
            groups.append([chunk])
    return [sorted(group, key=lambda chunk: chunk.position) for group in groups]


def join_texts(chunks: Sequence[Chunk]) -> str:
    """Join the texts of neighbours; what one repeats of the one before is said once."""
    joined = ""
    for chunk in chunks:
        text = chunk.text
        if joined and text.startswith(REPEATED):
            tail, _, rest = text.removeprefix(REPEATED).partition("\n")
            text = rest.lstrip("\n") if joined.endswith(tail) else text
        joined = f"{joined}\n\n{text}" if joined else text
    return joined


def _follow(one: Chunk, other: Chunk) -> bool:
    same = one.document_id == other.document_id and one.heading == other.heading
    return same and abs(one.position - other.position) == 1
