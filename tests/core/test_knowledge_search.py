import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from mimir_core.backends.lance import LanceIndex
from mimir_core.backends.minilm import SentenceEmbedder
from mimir_core.backends.sqlite_tables import SqliteVectors
from mimir_core.config import IndexSettings, read_params
from mimir_core.errors import InputError
from mimir_core.knowledge.index import Vectors, embed_chunks, embedded_text, version_of
from mimir_core.knowledge.question import Question
from mimir_core.knowledge.retrieve import Searcher
from mimir_core.records import Chunk
from tasks import paths

SETTINGS = read_params(paths.PARAMS).retrieve.model_copy(update={"candidates": 20})
WORDS = ("disk", "memory", "probe", "image", "dns", "certificate", "queue", "node")


def silent(done: int, of: int) -> None:
    """Nobody looks."""


class LetterEmbedder:
    """Counts the words it knows: two texts are near when they share some."""

    def __init__(self, model: str = "letters") -> None:
        self.model = model
        self.embedded: list[str] = []

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.embedded += texts
        counts = np.array([[text.lower().count(word) + 0.01 for word in WORDS] for text in texts], dtype=np.float32)
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)


class DyingEmbedder(LetterEmbedder):
    """Dies after its first batch."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        if self.embedded:
            raise KeyboardInterrupt
        return super().embed(texts)


def chunk(number: int, text: str, **fields: object) -> Chunk:
    kind = {"id": f"c{number}", "document_id": "d", "path": "a.md", "title": "Runbook", "heading": "", "position": number}
    return Chunk.model_validate({**kind, "text": text, **fields})


CHUNKS = [
    chunk(0, "The disk of the node is full."),
    chunk(1, "The pod was OOMKilled: memory."),
    chunk(2, "The certificate ran out.", tags=("KubeCertificateExpired",)),
    chunk(3, "The image cannot be pulled."),
]


def publish(index: LanceIndex, chunks: list[Chunk]) -> str:
    embedder = LetterEmbedder()
    tag = version_of(chunks, embedder.model)
    index.publish(tag, chunks, embedder.embed([embedded_text(found) for found in chunks]), embedder.model)
    return tag


# --- embedding ------------------------------------------------------------------------------------------------------


def test_only_texts_that_the_cache_does_not_know_are_embedded(tmp_path: Path) -> None:
    first, second, cache = LetterEmbedder(), LetterEmbedder(), SqliteVectors(tmp_path / "vectors.sqlite")
    before = embed_chunks(CHUNKS, first, cache, silent)
    after = embed_chunks([chunk(9, "A new queue."), *CHUNKS[::-1]], second, cache, silent)
    assert (before.embedded, after.embedded) == (4, 1)
    assert second.embedded == ["Runbook\nA new queue."]
    assert np.array_equal(after.vectors[1:], before.vectors[::-1])


def test_another_model_shares_no_vectors(tmp_path: Path) -> None:
    cache = SqliteVectors(tmp_path / "vectors.sqlite")
    embed_chunks(CHUNKS, LetterEmbedder("a"), cache, silent)
    assert embed_chunks(CHUNKS, LetterEmbedder("b"), cache, silent).embedded == 4


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    many, cache = [chunk(number, f"disk {number}") for number in range(1000)], SqliteVectors(tmp_path / "vectors.sqlite")
    with pytest.raises(KeyboardInterrupt):
        embed_chunks(many, DyingEmbedder(), cache, silent)
    assert embed_chunks(many, LetterEmbedder(), cache, silent).embedded == 1000 - 512


# --- publishing -----------------------------------------------------------------------------------------------------


def test_publishing_the_same_content_twice_adds_nothing(tmp_path: Path) -> None:
    index = LanceIndex(tmp_path)
    publish(index, CHUNKS)
    files = sorted(tmp_path.rglob("*"))
    publish(index, CHUNKS)
    assert sorted(tmp_path.rglob("*")) == files
    assert len(index.versions()) == 1


def test_roll_back_makes_the_old_index_the_searched_one_in_every_process(tmp_path: Path) -> None:
    index, elsewhere = LanceIndex(tmp_path), LanceIndex(tmp_path)
    old, searcher = publish(index, CHUNKS), Searcher(elsewhere, LetterEmbedder(), SETTINGS)
    new = publish(index, [chunk(7, "The queue is stuck.")])
    assert [found.chunk.id for found in searcher.search(Question("disk"), 1)] == ["c7"]
    index.rollback(old)
    assert [found.chunk.id for found in searcher.search(Question("disk"), 1)] == ["c0"]
    assert [(version.tag, version.chunks, version.is_current) for version in index.versions()] == [
        (old, 4, True),
        (new, 1, False),
    ]


def test_roll_back_to_what_was_never_published_names_what_was(tmp_path: Path) -> None:
    index = LanceIndex(tmp_path)
    with pytest.raises(InputError, match="published are: none"):
        index.rollback("k0")
    tag = publish(index, CHUNKS)
    for wrong in ("k0", "current"):
        with pytest.raises(InputError, match=f"{wrong}: no such index version; published are: {tag}"):
            index.rollback(wrong)


def test_a_search_sees_one_index_whole_while_others_are_published(tmp_path: Path) -> None:
    writer, searcher = LanceIndex(tmp_path), Searcher(LanceIndex(tmp_path), LetterEmbedder(), SETTINGS)
    sets = [[chunk(number, f"disk edition{edition} {number}") for number in range(10)] for edition in range(6)]
    tags = {publish(writer, sets[0]): "edition0"}
    stop, seen = threading.Event(), []

    def search() -> None:
        while not stop.is_set():
            seen.append([(found.index_version, found.chunk.text) for found in searcher.search(Question("disk edition"), 10)])

    readers = [threading.Thread(target=search) for _ in range(2)]
    for reader in readers:
        reader.start()
    for edition, chunks in enumerate(sets[1:], start=1):
        tags[publish(writer, chunks)] = f"edition{edition}"
    stop.set()
    for reader in readers:
        reader.join()
    assert seen
    assert all(len(found) == 10 for found in seen)
    assert all(tags[tag] in text for found in seen for tag, text in found)


def test_the_time_of_publishing_is_told_in_utc(tmp_path: Path) -> None:
    index = LanceIndex(tmp_path)
    publish(index, CHUNKS)
    assert abs(index.versions()[0].published_at - datetime.now(UTC)) < timedelta(minutes=1)


# --- searching ------------------------------------------------------------------------------------------------------


def test_before_anything_is_published_nothing_is_found_and_there_is_no_version(tmp_path: Path) -> None:
    searcher = Searcher(LanceIndex(tmp_path), LetterEmbedder(), SETTINGS)
    assert (searcher.version, searcher.search(Question("disk"), 3)) == (None, [])


@pytest.mark.parametrize(
    ("query", "best"),
    [("disk of the node", "c0"), ("oom", "c1"), ("OOMKilled", "c1"), ("KubeCertificateExpired", "c2"), ('"image" AND (', "c3")],
)
def test_words_meanings_tags_and_parts_of_names_are_found(tmp_path: Path, query: str, best: str) -> None:
    index = LanceIndex(tmp_path)
    publish(index, CHUNKS)
    found = Searcher(index, LetterEmbedder(), SETTINGS).search(Question(query), 3)
    assert found[0].chunk.id == best
    assert [passage.rank for passage in found] == [1, 2, 3]


def test_the_score_is_the_cosine_whichever_search_found_it(tmp_path: Path) -> None:
    index, embedder = LanceIndex(tmp_path), LetterEmbedder()
    publish(index, CHUNKS)
    for passage in Searcher(index, embedder, SETTINGS).search(Question("disk"), 3):
        query, text = embedder.embed(["disk", embedded_text(passage.chunk)])
        assert passage.score == pytest.approx(float(query @ text), abs=1e-4)


def test_an_index_of_another_model_is_refused(tmp_path: Path) -> None:
    index = LanceIndex(tmp_path)
    publish(index, CHUNKS)
    with pytest.raises(InputError, match=r"was made with letters, params\.yaml says others"):
        Searcher(index, LetterEmbedder("others"), SETTINGS).search(Question("disk"), 1)


# --- the real model -------------------------------------------------------------------------------------------------


def test_a_text_has_the_same_vector_in_every_company() -> None:
    embedder = SentenceEmbedder(IndexSettings(model="sentence-transformers/all-MiniLM-L6-v2", batch_size=3))
    texts = ["The disk is full.", "The pod was killed for memory. " * 20, "dns", "A certificate ran out.", "x"]
    together = embedder.embed(texts)
    alone = np.stack([embedder.embed([text])[0] for text in texts])
    assert together.dtype == np.float32
    assert together.tobytes() == alone.tobytes()
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    assert embedder.model.endswith("@53aa51172d14")


def test_weights_that_are_not_the_original_are_not_loaded(tmp_path: Path) -> None:
    folder = tmp_path / "all-MiniLM-L6-v2"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"something else")
    with pytest.raises(InputError, match="has SHA-256"):
        SentenceEmbedder(IndexSettings(model=str(folder), batch_size=1)).embed(["disk"])
