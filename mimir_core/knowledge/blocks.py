"""A document as its reader hands it over: blocks in reading order."""

from enum import StrEnum
from typing import NamedTuple


class BlockKind(StrEnum):
    """What a block is. Only code and tables keep their line breaks."""

    HEADING = "heading"
    TEXT = "text"
    LIST_ITEM = "list_item"
    CODE = "code"
    TABLE = "table"
    LINKS = "links"
    """Nothing but links: a menu, a table of contents."""


class Block(NamedTuple):
    """One heading, paragraph, list item, piece of code or table."""

    kind: BlockKind
    text: str
    level: int = 0
    """Depth of a heading; 0 is the top."""
