"""sqlite3: content and vectors remembered between runs, each in a file of its own."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

_BATCH = 500
_CONTENTS = "contents (key text primary key, content blob not null)"
_VECTORS = "vectors (key text primary key, vector blob not null)"


class SqliteCache:
    """A table from key to bytes."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, key: str) -> bytes | None:
        """Return what was written under ``key``, or None."""
        with _open(self._path, _CONTENTS) as table:
            row = table.execute("select content from contents where key = ?", (key,)).fetchone()
        return row[0] if row else None

    def write(self, key: str, content: bytes) -> None:
        """Remember ``content``."""
        with _open(self._path, _CONTENTS) as table:
            table.execute("insert or replace into contents values (?, ?)", (key, content))


class SqliteVectors:
    """A table from key to float32 bytes."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, keys: Sequence[str]) -> dict[str, np.ndarray]:
        """Return the vectors of those keys that are known."""
        found: dict[str, np.ndarray] = {}
        with _open(self._path, _VECTORS) as table:
            for start in range(0, len(keys), _BATCH):
                some = keys[start : start + _BATCH]
                marks = ",".join("?" * len(some))
                rows = table.execute(f"select key, vector from vectors where key in ({marks})", some)  # noqa: S608  # marks only
                found |= {key: np.frombuffer(vector, dtype=np.float32) for key, vector in rows}
        return found

    def write(self, vectors: Mapping[str, np.ndarray]) -> None:
        """Remember vectors."""
        with _open(self._path, _VECTORS) as table:
            rows = ((key, vector.astype(np.float32).tobytes()) for key, vector in vectors.items())
            table.executemany("insert or replace into vectors values (?, ?)", rows)


@contextmanager
def _open(path: Path, table: str) -> Iterator[sqlite3.Connection]:
    """Open the file with its table, made where it is missing; what is written is committed at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=60)
    try:
        with connection:
            connection.execute(f"create table if not exists {table}")
            yield connection
    finally:
        connection.close()
