"""pypdf: PDF -> the text of its pages, with an empty line where a paragraph seems to end."""

import io
import logging

from mimir_core.errors import InputError
from mimir_core.knowledge.parse import Pages

_FULL_LINE = 0.6
"""A line shorter than this share of the page's widest ends its paragraph."""


class PyPdfReader:
    """Reads text only: no scripts, no forms, no pictures, no addresses."""

    def read_pages(self, content: bytes, max_pages: int) -> Pages:
        """Return the text of the first ``max_pages`` pages.

        Raises:
            InputError: The file is broken, or locked with a password.
        """
        from pypdf import PdfReader  # noqa: PLC0415  # imports only when reading

        logging.getLogger("pypdf").setLevel(logging.ERROR)  # it warns of every small flaw that it works around
        try:
            pages = PdfReader(io.BytesIO(content)).pages
            texts = [mark_paragraphs(page.extract_text()) for page in pages[:max_pages]]
            return Pages(texts, max(0, len(pages) - max_pages))
        except Exception as error:  # a broken file raises almost anything: KeyError, TypeError, RecursionError, its own
            raise InputError(f"a PDF that cannot be read: {type(error).__name__}: {error}") from error


def mark_paragraphs(text: str) -> str:
    r"""Put an empty line after each line that is shorter than the others.

    >>> mark_paragraphs("Disk full\nThe node has no room and evicts its pods\none by one.\nSteps")
    'Disk full\n\nThe node has no room and evicts its pods\none by one.\n\nSteps\n'
    """
    lines = [line.rstrip() for line in text.splitlines()]
    full = _FULL_LINE * max(map(len, lines), default=0)
    return "\n".join(line if len(line) >= full else f"{line}\n" for line in lines)
