"""sqlite3: vectors remembered between runs."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

_BATCH = 500


class SqliteVectors:
    """A table from key to float32 bytes in one file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, keys: Sequence[str]) -> dict[str, np.ndarray]:
        """Return the vectors of those keys that are known."""
        found: dict[str, np.ndarray] = {}
        with self._open() as table:
            for start in range(0, len(keys), _BATCH):
                some = keys[start : start + _BATCH]
                marks = ",".join("?" * len(some))
                rows = table.execute(f"select key, vector from vectors where key in ({marks})", some)  # noqa: S608  # marks only
                found |= {key: np.frombuffer(vector, dtype=np.float32) for key, vector in rows}
        return found

    def write(self, vectors: Mapping[str, np.ndarray]) -> None:
        """Remember vectors."""
        with self._open() as table:
            rows = ((key, vector.astype(np.float32).tobytes()) for key, vector in vectors.items())
            table.executemany("insert or replace into vectors values (?, ?)", rows)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=60)
        try:
            with connection:
                connection.execute("create table if not exists vectors (key text primary key, vector blob not null)")
                yield connection
        finally:
            connection.close()
