import random

from mimir_core.config import IngestSettings
from mimir_core.knowledge.blocks import Block, BlockKind
from mimir_core.knowledge.checks import count_open_fences
from mimir_core.knowledge.chunk import Chunked, chunk_documents, count_words
from mimir_core.knowledge.ingest import Manuscript
from mimir_core.records import Document

SETTINGS = IngestSettings(folders=("docs",), max_file_mib=1, max_pages=1, min_words=1, chunk_words=40, overlap_words=6)


def heading(text: str, level: int) -> Block:
    return Block(BlockKind.HEADING, text, level)


def text(words: str) -> Block:
    return Block(BlockKind.TEXT, words)


def chunk(*blocks: Block, path: str = "a.md") -> Chunked:
    document = Document(id=f"d{path}", path=path, title="Disk full", media_type="text/markdown", text_hash=path)
    return chunk_documents([Manuscript(document, list(blocks))], SETTINGS)


def test_a_chunk_stands_under_its_headings_and_the_title_is_not_repeated() -> None:
    chunks = chunk(
        heading("Disk full", 0), heading("Checks", 1), heading("Node", 2), text("Run df."), heading("Cure", 1), text("Clean.")
    ).kept
    assert [(found.heading, found.text) for found in chunks] == [("Checks > Node", "Run df."), ("Cure", "Clean.")]


def test_code_keeps_its_line_breaks_and_is_not_torn_while_it_fits() -> None:
    code = "kubectl get pods \\\n  --all-namespaces\n\nkubectl get nodes"
    chunks = chunk(text("Look at every one of the pods " * 5), Block(BlockKind.CODE, code)).kept
    assert f"```\n{code}\n```" in chunks[-1].text


def test_no_chunk_is_too_long_no_word_is_lost_and_every_fence_is_closed() -> None:
    lots = random.Random(7)
    kinds = [kind for kind in BlockKind if kind is not BlockKind.LINKS]
    blocks, words = [], []
    for number in range(300):
        said = [f"w{number}x{count}" for count in range(lots.randint(1, 90))]
        words += said
        blocks.append(Block(lots.choice(kinds), lots.choice([" ", "\n", ". "]).join(said), lots.randint(0, 3)))
    chunks = chunk(*blocks).kept
    everything = " ".join(f"{found.heading} {found.text}" for found in chunks)
    headings = {word for block in blocks if block.kind is BlockKind.HEADING for word in block.text.replace(".", " ").split()}
    assert all(count_words(found.text) <= SETTINGS.chunk_words + 1 for found in chunks)
    assert not any(count_open_fences(found.text) for found in chunks)
    assert set(everything.replace(".", " ").split()) >= set(words) - headings


def test_a_section_that_goes_on_repeats_the_last_words() -> None:
    chunks = chunk(text(" ".join(f"word{number}" for number in range(30))), text(" ".join(f"more{n}" for n in range(30)))).kept
    assert chunks[1].text.startswith("… word24 word25 word26 word27 word28 word29\n\nmore0")


def test_the_question_goes_with_the_command_that_answers_it() -> None:
    filler = text(" ".join(f"word{number}" for number in range(34)))
    chunks = chunk(filler, Block(BlockKind.LIST_ITEM, "Who changed it?"), Block(BlockKind.CODE, "git log")).kept
    assert chunks[1].text == "… - Who changed it?\n\n```\ngit log\n```"


def test_a_word_without_end_is_cut() -> None:
    endless = "".join(f"x{number}" for number in range(1000))
    chunks = chunk(text(endless)).kept
    assert max(len(found.text) for found in chunks) < 600
    assert "".join(found.text for found in chunks) == endless


def test_the_same_words_under_the_same_title_and_heading_are_counted_not_kept() -> None:
    chunked = chunk(text("Call the owner."), heading("Cure", 1), text("Clean."), heading("Cure", 1), text("Clean."))
    assert [found.text for found in chunked.kept] == ["Call the owner.", "Clean."]
    assert dict(chunked.dropped) == {"duplicate_chunk": 1}
