"""LanceDB: the published indexes, their versions and their search.

Surprise: there is one table, and each publication is one of its versions under the tag of its content hash. The tag
``current`` says which one is searched: moving it is one atomic write, so publishing and rolling back swap whole indexes.
"""

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from mimir_core.errors import InputError
from mimir_core.knowledge.index import SearchedText, Vectors
from mimir_core.knowledge.retrieve import Hit, IndexVersion
from mimir_core.records import Chunk

if TYPE_CHECKING:
    from lancedb.db import DBConnection
    from lancedb.table import Table

_TABLE = "chunks"
_CURRENT = "current"


class LanceEdition:
    """One version of the table, opened."""

    def __init__(self, table: "Table", version: IndexVersion) -> None:
        self._table = table
        self.version = version

    def nearest(self, vector: np.ndarray, limit: int) -> list[Hit]:
        """Return the chunks nearest to ``vector``, best first, with their cosine."""
        query: Any = self._table.search(vector, query_type="vector", vector_column_name="vector")
        return [_hit(row, 1 - row["_distance"]) for row in query.distance_type("cosine").limit(limit).to_list()]

    def matching(self, words: str, field: str, limit: int) -> list[Hit]:
        """Return the chunks that hold any of the words in ``field``, best first, with their BM25 score."""
        from lancedb.query import MatchQuery  # noqa: PLC0415

        query = MatchQuery(words, field)  # type: ignore[call-arg]  # it has defaults that mypy does not see
        return [_hit(row, row["_score"]) for row in self._table.search(query).limit(limit).to_list()]


class LanceIndex:
    """The publications in one folder; safe to share between threads and processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = Lock()
        self._opened: LanceEdition | None = None
        self._newest: Table | None = None

    def publish(self, tag: str, chunks: Sequence[Chunk], vectors: Vectors, model: str) -> bool:
        """Make these chunks the current index; return whether they were new. A tag that is there is only made current."""
        import pyarrow as pa  # type: ignore[import-untyped]  # noqa: PLC0415
        from lancedb.index import FTS  # noqa: PLC0415

        with self._alone():
            table = self._table()
            is_new = table is None or tag not in _tags(table)
            if table is None or is_new:
                texts = [SearchedText.of(chunk)._asdict() for chunk in chunks]
                rows = pa.table(
                    {
                        "chunk": [chunk.model_dump_json() for chunk in chunks],
                        **{field: [text[field] for text in texts] for field in SearchedText._fields},
                        "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel(), pa.float32()), vectors.shape[1]),
                    }
                ).replace_schema_metadata({"model": model})
                table = self._database().create_table(_TABLE, rows, mode="overwrite")  # a new version; the old ones stay
                for field in SearchedText._fields:
                    table.create_index(field, config=FTS(stem=True, remove_stop_words=True, ascii_folding=True))
                table.tags.create(tag, table.version)
            self._make_current(table, tag)
        return is_new

    def rollback(self, tag: str) -> None:
        """Make an earlier publication current again.

        Raises:
            InputError: There is no such publication.
        """
        with self._alone():
            table = self._table()
            known = set(_tags(table)) - {_CURRENT} if table else set()
            if table is None or tag not in known:
                raise InputError(f"{tag}: no such index version; published are: {', '.join(sorted(known)) or 'none'}")
            self._make_current(table, tag)

    def versions(self) -> list[IndexVersion]:
        """Return every publication, oldest first."""
        table = self._table()
        if table is None:
            return []
        tags = _tags(table)
        current = tags.pop(_CURRENT, None)
        return [_describe(table, tag, number, current) for tag, number in sorted(tags.items(), key=lambda item: item[1])]

    def current(self) -> LanceEdition | None:
        """Return the current edition, opened anew only when another one became current; None when nothing is published."""
        with self._lock:
            self._newest = self._newest or self._table()
            tags = _tags(self._newest) if self._newest else {}
            if _CURRENT not in tags:
                return None
            number = tags.pop(_CURRENT)
            tag = next(name for name, tagged in tags.items() if tagged == number)
            if self._opened is None or self._opened.version.tag != tag:
                table = self._database().open_table(_TABLE)
                self._opened = LanceEdition(table, _describe(table, tag, number, number))
            return self._opened

    def _database(self) -> "DBConnection":
        import lancedb  # noqa: PLC0415  # takes seconds, only when searching or publishing

        return lancedb.connect(self._folder)

    def _table(self) -> "Table | None":
        """Open the table at its newest version; None when there is none."""
        if not (self._folder / f"{_TABLE}.lance").is_dir():
            return None
        return self._database().open_table(_TABLE)

    def _make_current(self, table: "Table", tag: str) -> None:
        tags = _tags(table)
        if _CURRENT in tags:
            table.tags.update(_CURRENT, tags[tag])
        else:
            table.tags.create(_CURRENT, tags[tag])

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other publishers out; searching goes on."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "publish.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _tags(table: "Table") -> dict[str, int]:
    return {tag: int(said["version"]) for tag, said in table.tags.list().items()}


def _describe(table: "Table", tag: str, number: int, current: int | None) -> IndexVersion:
    """Check ``table`` out at version ``number`` and tell what it is."""
    table.checkout(number)
    published_at: datetime = next(known["timestamp"] for known in table.list_versions() if known["version"] == number)
    model = (table.schema.metadata or {}).get(b"model", b"").decode()
    return IndexVersion(tag, published_at.astimezone(UTC), table.count_rows(), model, number == current)  # it gives local time


def _hit(row: dict[str, Any], score: float) -> Hit:
    return Hit(Chunk.model_validate_json(row["chunk"]), np.asarray(row["vector"], dtype=np.float32), score)
