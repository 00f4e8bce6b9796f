"""Folders of documents -> documents in clean, redacted blocks.

Comes in: md, html, txt and pdf files. Goes out: :class:`Ingested`, in which every file that was found is either kept or
dropped under a reason. Surprise: a symbolic link is followed only to a file inside the same folder.
"""

import os
import re
import stat
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from mimir_core.config import IngestSettings
from mimir_core.errors import EmptyStageError, InputError
from mimir_core.knowledge.blocks import Block, BlockKind
from mimir_core.knowledge.parse import DocumentParser
from mimir_core.records import Document, content_hash

MEDIA_TYPES = {
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".html": "text/html",
    ".htm": "text/html",
    ".txt": "text/plain",
    ".pdf": "application/pdf",
}


class Manuscript(NamedTuple):
    """A document with its blocks."""

    document: Document
    blocks: list[Block]

    @property
    def text(self) -> str:
        """All of it, headings included."""
        return "\n".join(block.text for block in self.blocks)


@dataclass
class Ingested:
    """What came of the files: kept plus dropped is found."""

    kept: list[Manuscript] = field(default_factory=list)
    dropped: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """The paths, by reason."""
    cleaned: Counter[str] = field(default_factory=Counter)
    """What was taken out of the documents that were read, by reason."""
    masked: Counter[str] = field(default_factory=Counter)
    """Secrets, by kind."""


class _DroppedError(Exception):
    """This file is no knowledge; says why."""


def ingest_folders(root: Path, parser: DocumentParser, settings: IngestSettings) -> Ingested:
    """Read every document in the folders of ``settings``, which lie in ``root``.

    Raises:
        InputError: A folder is missing.
        EmptyStageError: Nothing was kept.
    """
    result = Ingested()
    twins: set[str] = set()
    for file in find_files(root, settings.folders):
        try:
            manuscript = _ingest_file(file, parser, settings, result)
        except _DroppedError as reason:
            result.dropped[str(reason)].append(file.name)
            continue
        if manuscript.document.text_hash in twins:
            result.dropped["duplicate"].append(file.name)
        else:
            twins.add(manuscript.document.text_hash)
            result.kept.append(manuscript)
    if not result.kept:
        counts = {reason: len(names) for reason, names in result.dropped.items()}
        raise EmptyStageError(
            f"{', '.join(settings.folders)}: no document was kept; dropped: {counts or 'none, there is no file'}"
        )
    return result


class File(NamedTuple):
    """A file or link that was found."""

    path: Path
    folder: Path
    name: str
    """Its path as the documents and reports give it."""


def find_files(root: Path, folders: tuple[str, ...]) -> Iterator[File]:
    """Yield every file and linked folder in ``folders``, in order of their paths.

    Raises:
        InputError: A folder is missing or cannot be listed.
    """

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename}: cannot be listed: {error.strerror}") from error

    for folder in folders:
        base = root / folder
        if not base.is_dir():
            raise InputError(f"params.yaml, ingest.folders: {folder} is no folder")
        for parent, subfolders, names in os.walk(base, onerror=refuse):
            subfolders.sort()
            links = [name for name in subfolders if Path(parent, name).is_symlink()]
            for name in sorted([*names, *links]):
                path = Path(parent, name)
                shown = (Path(folder) / path.relative_to(base)).as_posix()
                yield File(path, base, os.fsencode(shown).decode("utf-8", "replace"))


def _ingest_file(file: File, parser: DocumentParser, settings: IngestSettings, result: Ingested) -> Manuscript:
    """Read one file; what was cleaned and masked on the way is counted in ``result``. Raises _DroppedError."""
    content, media_type = _read_bytes(file, settings)
    parsed = parser.parse(content, media_type)
    if parsed.unreadable:
        raise _DroppedError(parsed.unreadable)
    result.cleaned.update(parsed.cleaned)
    result.masked.update(parsed.masked)
    blocks = list(parsed.blocks)
    if not any(block.kind is not BlockKind.HEADING for block in blocks):
        raise _DroppedError("no_text")
    words = " ".join(block.text for block in blocks).split()
    if len(words) < settings.min_words:
        raise _DroppedError("too_short")
    document = Document(
        id="d" + content_hash(file.name),
        path=file.name,
        title=parsed.title or _first_heading(blocks) or re.sub(r"[-_]+", " ", file.path.stem).strip(),
        media_type=media_type,
        text_hash=content_hash([word.casefold() for word in words], 64),
        tags=parsed.tags,
    )
    return Manuscript(document, blocks)


def _read_bytes(file: File, settings: IngestSettings) -> tuple[bytes, str]:
    """Return the content and media type of a file that may be read. Raises _DroppedError."""
    if any(part.startswith(".") for part in file.path.relative_to(file.folder).parts):
        raise _DroppedError("hidden")
    try:
        if file.path.is_symlink() and not file.path.resolve(strict=True).is_relative_to(file.folder.resolve()):
            raise _DroppedError("link_out_of_folder")
        status = file.path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise _DroppedError("not_a_file")
        if (media_type := MEDIA_TYPES.get(file.path.suffix.lower())) is None:
            raise _DroppedError("unknown_type")
        if status.st_size > settings.max_file_mib * 2**20:
            raise _DroppedError("too_large")
        return file.path.read_bytes(), media_type
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        raise _DroppedError("unreadable") from error


def _first_heading(blocks: list[Block]) -> str:
    headings = [block for block in blocks if block.kind is BlockKind.HEADING]
    return min(headings, key=lambda heading: heading.level).text if headings else ""
