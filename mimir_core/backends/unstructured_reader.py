"""unstructured: text -> blocks.

Surprises: it is kept from fetching its language model (its guesses about sentences are not used), from reporting its use,
and from opening addresses: it is handed text only.
"""

import os
import re
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from mimir_core.errors import InputError
from mimir_core.knowledge.blocks import Block, BlockKind

if TYPE_CHECKING:
    from unstructured.documents.elements import Element

_KINDS = {
    "Title": BlockKind.HEADING,
    "ListItem": BlockKind.LIST_ITEM,
    "CodeSnippet": BlockKind.CODE,
    "Table": BlockKind.TABLE,
}
_HEADING_WORDS = 8


class UnstructuredReader:
    """Reads Markdown, HTML and plain text; the text of PDF pages is plain text."""

    def __init__(self, prepare: dict[str, Callable[[str], str]], read_rows: Callable[[str], str]) -> None:
        """``prepare`` by media type: what is done to the text first; ``read_rows``: an HTML table as lines."""
        self._prepare = prepare
        self._read_rows = read_rows

    def read_blocks(self, text: str, media_type: str) -> list[Block]:
        """Return the blocks of ``text`` in reading order.

        Raises:
            InputError: It cannot be parsed.
        """
        is_marked_up = media_type in self._prepare
        try:
            prepared = self._prepare[media_type](text) if is_marked_up else text
            if not prepared.strip():
                return []
            return [self._block(element, is_marked_up) for element in _partitioners()[media_type](text=prepared, languages=[""])]
        except (ValueError, AssertionError, RecursionError) as error:
            raise InputError(f"{media_type} that cannot be parsed: {error}") from error

    def _block(self, element: "Element", is_marked_up: bool) -> Block:
        said = element.metadata
        kind = _KINDS.get(type(element).__name__, BlockKind.TEXT)
        text = element.text
        if kind is BlockKind.HEADING and not is_marked_up and not is_heading(text):
            kind = BlockKind.TEXT
        if kind is BlockKind.TABLE and said.text_as_html:
            text = self._read_rows(said.text_as_html)
        if kind in (BlockKind.TEXT, BlockKind.LIST_ITEM) and said.link_texts and is_only_links(text, said.link_texts):
            kind = BlockKind.LINKS
        level = 1 if said.category_depth is None else said.category_depth
        return Block(kind, text if kind in (BlockKind.CODE, BlockKind.TABLE) else " ".join(text.split()), level)


def is_heading(line: str) -> bool:
    """Whether a line of plain text reads like a heading: short, a capital first, no sentence, no command, no setting.

    >>> [is_heading(line) for line in ("When the disk is full", "The disk is full.", "kubectl get pods", "State: y")]
    [True, False, False, False]
    """
    return len(line.split()) <= _HEADING_WORDS and bool(re.fullmatch(r"[A-Z0-9][^=:|{}<>$\\/]*[^\W_]\)?\??", line))


def is_only_links(text: str, links: list[str]) -> bool:
    """Whether nothing is left of ``text`` without its links.

    >>> is_only_links("Home | Docs", ["Home", "Docs"]), is_only_links("Read the Docs first", ["Docs"])
    (True, False)
    """
    for link in sorted(links, key=len, reverse=True):
        text = text.replace(" ".join(link.split()), "", 1)
    return not re.search(r"\w", text)


@cache
def _partitioners() -> dict[str, Callable[..., "list[Element]"]]:
    """Import it (seconds) with its notice, its usage report and its download of a language model off."""
    os.environ |= {"UNSTRUCTURED_DISABLE_NOTICE": "1", "DO_NOT_TRACK": "1", "SCARF_NO_ANALYTICS": "1"}
    import spacy  # noqa: PLC0415
    from unstructured.nlp import tokenize  # noqa: PLC0415
    from unstructured.partition.html import partition_html  # noqa: PLC0415
    from unstructured.partition.md import partition_md  # noqa: PLC0415
    from unstructured.partition.text import partition_text  # noqa: PLC0415

    def sentences_by_rule() -> Any:
        language = spacy.blank("en")
        language.add_pipe("sentencizer")
        return language

    tokenize._load_spacy_model = sentences_by_rule  # noqa: SLF001  # it has no setting for this
    return {
        "text/markdown": partition_md,
        "text/html": partition_html,
        "text/plain": partition_text,
        "application/pdf": partition_text,
    }
