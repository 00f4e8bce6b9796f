import os
import socket
from pathlib import Path

import pytest

from mimir_core.backends.pypdf_pages import PyPdfReader
from mimir_core.config import IngestSettings
from mimir_core.errors import EmptyStageError, InputError
from mimir_core.knowledge.blocks import Block, BlockKind
from mimir_core.knowledge.ingest import Ingested, find_files, ingest_folders
from mimir_core.knowledge.parse import DocumentParser, Pages
from tasks import wiring

SETTINGS = IngestSettings(folders=("docs",), max_file_mib=0.01, max_pages=4, min_words=5, chunk_words=60, overlap_words=8)
PAGE = "# Disk full\n\nThe node has no room left, so the kubelet evicts pods.\n"


class ScriptedReader:
    """Takes every line for a paragraph and remembers what it was shown."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def read_blocks(self, text: str, media_type: str) -> list[Block]:
        self.seen.append(f"{media_type} {text}")
        return [Block(BlockKind.TEXT, line) for line in text.splitlines() if line.strip()]


class ScriptedPdf:
    def __init__(self, *pages: str) -> None:
        self.pages = pages

    def read_pages(self, content: bytes, max_pages: int) -> Pages:
        if not content.startswith(b"%PDF"):
            raise InputError("no PDF")
        return Pages(list(self.pages[:max_pages]), max(0, len(self.pages) - max_pages))


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    return folder


class Memory(dict[str, bytes]):
    def read(self, key: str) -> bytes | None:
        return self.get(key)

    def write(self, key: str, content: bytes) -> None:
        self[key] = content


def ingest(
    docs: Path, reader: ScriptedReader | None = None, pdf: ScriptedPdf | None = None, cache: Memory | None = None
) -> Ingested:
    parser = DocumentParser(
        reader or ScriptedReader(), pdf or ScriptedPdf(), SETTINGS.max_pages, Memory() if cache is None else cache, "1"
    )
    return ingest_folders(docs.parent, parser, SETTINGS)


def really_ingest(docs: Path) -> Ingested:
    parser = DocumentParser(wiring.reader(), PyPdfReader(), SETTINGS.max_pages, Memory(), "1")
    return ingest_folders(docs.parent, parser, SETTINGS)


def make_pdf(*pages: list[str]) -> bytes:
    """Write the smallest PDF that holds these lines."""
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, lines in enumerate(pages):
        shown = "".join(f"({line}) Tj 0 -14 Td " for line in lines)
        stream = f"BT /F1 12 Tf 40 700 Td {shown}ET"
        objects += [
            f"<< /Type /Page /Parent 2 0 R /Contents {5 + 2 * number} 0 R /Resources << /Font << /F1 3 0 R >> >> >>",
            f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream",
        ]
    body, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(body))
        body += f"{number} 0 obj\n{content}\nendobj\n".encode()
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    end = f"trailer << /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{len(body)}\n%%EOF"
    return body + f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}{end}".encode()


# --- which files ----------------------------------------------------------------------------------------------------


def test_every_file_is_kept_or_dropped_under_a_reason(docs: Path) -> None:
    (docs / "a.md").write_text(PAGE)
    (docs / "b.md").write_text(PAGE.upper())
    (docs / "big.md").write_text(PAGE * 200)
    (docs / "latin.txt").write_bytes("Größe der Platte auf dem Knoten".encode("latin-1"))
    (docs / "binary.txt").write_bytes(b"\x00\x01" * 40)
    (docs / "short.md").write_text("Call us.")
    (docs / "empty.md").write_text("")
    (docs / "picture.png").write_bytes(b"\x89PNG")
    (docs / "broken.pdf").write_bytes(b"nonsense")
    (docs / ".hidden.md").write_text(PAGE)
    (docs / "gone.md").symlink_to(docs / "nowhere.md")
    (docs / "circle.md").symlink_to(docs / "circle.md")
    (docs.parent / "outside.md").write_text(PAGE)
    (docs / "out.md").symlink_to(docs.parent / "outside.md")
    (docs / "up").symlink_to(docs.parent)
    os.mkfifo(docs / "pipe.md")

    result = ingest(docs)

    assert [document.path for document, _ in result.kept] == ["docs/a.md"]
    assert dict(result.dropped) == {
        "duplicate": ["docs/b.md"],
        "too_large": ["docs/big.md"],
        "not_text": ["docs/binary.txt", "docs/latin.txt"],
        "too_short": ["docs/short.md"],
        "no_text": ["docs/empty.md"],
        "unknown_type": ["docs/picture.png"],
        "unreadable": ["docs/broken.pdf", "docs/circle.md", "docs/gone.md"],
        "hidden": ["docs/.hidden.md"],
        "link_out_of_folder": ["docs/out.md", "docs/up"],
        "not_a_file": ["docs/pipe.md"],
    }
    found = list(find_files(docs.parent, ("docs",)))
    assert len(result.kept) + sum(map(len, result.dropped.values())) == len(found)


def test_a_link_to_a_file_in_the_same_folder_is_read(docs: Path) -> None:
    hidden = docs / "..2026_01_01"  # how Kubernetes mounts a ConfigMap
    hidden.mkdir()
    (hidden / "a.md").write_text(PAGE)
    (docs / "a.md").symlink_to(hidden / "a.md")
    assert [document.path for document, _ in ingest(docs).kept] == ["docs/a.md"]


def test_a_folder_that_is_not_there_is_named(docs: Path) -> None:
    docs.rmdir()
    with pytest.raises(InputError, match=r"params.yaml, ingest.folders: docs is no folder"):
        ingest(docs)


def test_an_empty_result_is_an_error_that_counts_the_drops(docs: Path) -> None:
    (docs / "short.md").write_text("Call us.")
    with pytest.raises(EmptyStageError, match=r"docs: no document was kept; dropped: \{'too_short': 1\}"):
        ingest(docs)


# --- what is taken out ----------------------------------------------------------------------------------------------


def test_a_secret_is_masked_before_the_reader_sees_the_text(docs: Path) -> None:
    (docs / "a.md").write_text(PAGE + "\nexport DB_PASSWORD=" + "hunter2-hunter2" + "\n")
    reader = ScriptedReader()
    result = ingest(docs, reader)
    assert "hunter2" not in reader.seen[0]
    assert sum(result.masked.values()) == 1


def test_a_secret_that_markup_tears_apart_is_masked_too(docs: Path) -> None:
    (docs / "a.html").write_text(f"<p>{PAGE}</p><p>pass<b>word</b>=<i>hunter2-</i>hunter2</p>")
    assert "hunter2" not in really_ingest(docs).kept[0].text


def test_front_matter_gives_title_and_tags_and_is_no_text(docs: Path) -> None:
    (docs / "a.md").write_text(f"---\ntitle: Full disk\nalerts: [NodeDiskFull]\ntags: [disk]\n---\n{PAGE}")
    document, blocks = ingest(docs).kept[0]
    assert (document.title, document.tags) == ("Full disk", ("NodeDiskFull", "disk"))
    assert not any("NodeDiskFull" in block.text for block in blocks)


def test_control_characters_and_hidden_marks_are_removed_and_counted(docs: Path) -> None:
    (docs / "a.md").write_text(PAGE.replace("room", "ro\u200bom\x07"))
    result = ingest(docs)
    assert "no room left" in result.kept[0].text
    assert result.cleaned["control_characters"] == 2


def test_running_heads_and_pages_beyond_the_limit_are_counted(docs: Path) -> None:
    (docs / "a.pdf").write_bytes(b"%PDF")
    pages = [f"Operations guide\nStep {word} is to look at the node.\n{number}" for number, word in enumerate("abcdef")]
    result = ingest(docs, pdf=ScriptedPdf(*pages))
    assert "Operations guide" not in result.kept[0].text
    assert result.cleaned["running_lines"] == 8
    assert result.cleaned["pages_over_limit"] == 2


# --- the real readers -----------------------------------------------------------------------------------------------


def test_code_inside_a_list_item_keeps_its_line_breaks() -> None:
    text = (
        "1. Look:\n\n   ```bash\n   kubectl get pods \\\n     --all-namespaces\n   ```\n\n   Then <node-name> tells.\n2. Wait.\n"
    )
    blocks = wiring.reader().read_blocks(text, "text/markdown")
    assert blocks[1] == Block(BlockKind.CODE, "kubectl get pods \\\n  --all-namespaces", 1)
    assert blocks[2].text == "Then <node-name> tells."


def test_a_table_keeps_its_rows_and_a_menu_is_only_links() -> None:
    text = "[Home](/) | [Docs](/d)\n\n| sign | means |\n|---|---|\n| 137 | killed |\n"
    menu, table = wiring.reader().read_blocks(text, "text/markdown")
    assert menu.kind is BlockKind.LINKS
    assert table.text == "sign | means\n137 | killed"


def test_a_web_page_fetches_nothing_and_loses_its_menus(docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (docs / "secret.txt").write_text("The text of another file that nobody asked for.")
    (docs / "a.html").write_text(
        f'<!DOCTYPE html [<!ENTITY x SYSTEM "file://{docs}/secret.txt">]><html><head><title>t</title>'
        '<link rel="stylesheet" href="http://127.0.0.1:9/s.css"></head><body><nav><a href="/">Home menu</a></nav>'
        "<h1>Queue stuck</h1><p>The queue &x; grows and nobody reads from it.</p>"
        '<pre>rabbitmqctl\n  list_queues</pre><img src="http://127.0.0.1:9/i.png"><footer>Copyright menu</footer></body></html>'
    )

    def refuse(*_: object) -> None:
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    page = next(kept for kept in really_ingest(docs).kept if kept.document.path == "docs/a.html")
    assert page.document.title == "Queue stuck"
    assert "rabbitmqctl\n  list_queues" in page.text
    assert "menu" not in page.text
    assert "another file" not in page.text


def test_a_pdf_is_read_page_by_page(docs: Path) -> None:
    sentence = "The node has no room left so the kubelet evicts its pods"
    (docs / "a.pdf").write_bytes(make_pdf(["Disk full", sentence, "one after the other."], [f"Page two says that {sentence}."]))
    page = really_ingest(docs).kept[0]
    assert page.document.title == "Disk full"
    assert "Page two says" in page.text


def test_a_broken_pdf_is_dropped_and_stops_nothing(docs: Path) -> None:
    (docs / "a.md").write_text(PAGE)
    (docs / "b.pdf").write_bytes(make_pdf(["Disk full"])[:300])
    (docs / "c.pdf").write_bytes(b"%PDF-1.4\n" + bytes(range(256)) * 8)
    result = really_ingest(docs)
    assert len(result.kept) == 1
    assert sorted(name for names in result.dropped.values() for name in names) == ["docs/b.pdf", "docs/c.pdf"]


# --- what was parsed before -----------------------------------------------------------------------------------------


def test_an_unchanged_document_is_not_parsed_again_and_counts_the_same(docs: Path) -> None:
    (docs / "a.md").write_text(PAGE + "password=hunter2hunter2\n")
    (docs / "b.md").write_text("The queue is stuck because nobody reads it any more.\n")
    cache, first, second = Memory(), ScriptedReader(), ScriptedReader()
    before = ingest(docs, first, cache=cache)
    (docs / "b.md").write_text("The queue is stuck because nobody reads it now.\n")
    after = ingest(docs, second, cache=cache)
    assert (len(first.seen), len(second.seen)) == (2, 1)
    assert after.kept[0] == before.kept[0]
    assert (after.masked, after.cleaned) == (before.masked, before.cleaned)


def test_nothing_is_remembered_in_the_clear(docs: Path) -> None:
    (docs / "a.md").write_text(PAGE + "password=hunter2hunter2\n")
    cache = Memory()
    assert ingest(docs, cache=cache).masked
    assert all(b"hunter2" not in content for content in cache.values())


def test_another_version_of_the_parser_parses_again(docs: Path) -> None:
    (docs / "a.md").write_text(PAGE)
    cache, reader = Memory(), ScriptedReader()
    for version in ("1", "1", "2"):
        ingest_folders(docs.parent, DocumentParser(reader, ScriptedPdf(), 1, cache, version), SETTINGS)
    assert len(reader.seen) == 2
