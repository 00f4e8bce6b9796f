"""What must hold of all documents and chunks, or the stage stops.

Comes in: documents and chunks. Goes out: nothing, or an InputError that lists every broken rule and where. Surprise: these
rules do not repair; cleaning did that. What they find means that a source or the code that cleans it is at fault.
"""

from collections.abc import Sequence

from mimir_core.config import IngestSettings
from mimir_core.errors import InputError
from mimir_core.knowledge.chunk import count_words
from mimir_core.knowledge.ingest import Manuscript
from mimir_core.records import Chunk
from mimir_core.rules import Checker, Row, Rule

_SHOWN = 3
_SPOILT = r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffd]"
"""Control characters, and the mark that a wrong encoding leaves."""


def document_rules(settings: IngestSettings) -> list[Rule]:
    """Return what must hold of the rows of :func:`document_rows`."""
    return [
        Rule("document_ids_are_unique", "id", "unique"),
        Rule("documents_have_a_title", "title_words", "between", minimum=1),
        Rule("documents_say_enough", "words", "between", minimum=settings.min_words),
        Rule("documents_are_no_twins", "text_hash", "unique"),
        Rule("documents_are_clean_text", "text", "without", pattern=_SPOILT),
    ]


def chunk_rules(settings: IngestSettings, document_ids: Sequence[str]) -> list[Rule]:
    """Return what must hold of the rows of :func:`chunk_rows`."""
    return [
        Rule("chunk_ids_are_unique", "id", "unique"),
        # one more: the mark of a repetition
        Rule("chunks_say_something_and_fit", "words", "between", minimum=1, maximum=settings.chunk_words + 1),
        Rule("chunks_belong_to_a_document", "document_id", "one_of", values=tuple(document_ids)),
        Rule("chunks_are_clean_text", "text", "without", pattern=_SPOILT),
        Rule("code_fences_are_closed", "fences_left_open", "between", maximum=0),
    ]


def document_rows(manuscripts: Sequence[Manuscript]) -> list[Row]:
    """Return one row a document."""
    return [
        {
            "id": document.document.id,
            "path": document.document.path,
            "title_words": len(document.document.title.split()),
            "words": len(document.text.split()),
            "text_hash": document.document.text_hash,
            "text": f"{document.document.title}\n{document.text}",
        }
        for document in manuscripts
    ]


def chunk_rows(chunks: Sequence[Chunk]) -> list[Row]:
    """Return one row a chunk."""
    return [
        {
            "id": chunk.id,
            "path": f"{chunk.path}, chunk {chunk.position}",
            "document_id": chunk.document_id,
            "words": count_words(chunk.text),
            "text": f"{chunk.heading}\n{chunk.text}",
            "fences_left_open": count_open_fences(chunk.text),
        }
        for chunk in chunks
    ]


def count_open_fences(text: str) -> int:
    r"""Return 1 when the last fence of ``text`` is never closed, else 0.

    >>> count_open_fences("```\ndf -h\n```"), count_open_fences("Look:\n```\ndf -h")
    (0, 1)
    """
    fence = ""
    for line in text.split("\n"):
        if line in ("```", "````"):
            fence = "" if line == fence else fence or line
    return int(bool(fence))


def check_rows(name: str, rows: Sequence[Row], rules: Sequence[Rule], checker: Checker) -> None:
    """Stop when a rule is broken.

    Raises:
        InputError: Names every broken rule, how many rows break it, and the first of them.
    """
    broken = checker.find_broken(rows, rules)
    if broken:
        lines = [
            f"  {rule.claim}: broken by {len(at)} of {len(rows)} ({rule.column}): "
            + "; ".join(f"{rows[row]['path']} has {str(rows[row][rule.column])!r:.80}" for row in at[:_SHOWN])
            for rule, at in broken
        ]
        raise InputError("\n".join([f"the {name} break {len(broken)} of {len(rules)} rules, so nothing was written:", *lines]))
