"""sqlite3: content remembered between runs, by key."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class SqliteCache:
    """A table from key to bytes in one file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, key: str) -> bytes | None:
        """Return what was written under ``key``, or None."""
        with self._open() as table:
            row = table.execute("select content from contents where key = ?", (key,)).fetchone()
        return row[0] if row else None

    def write(self, key: str, content: bytes) -> None:
        """Remember ``content``."""
        with self._open() as table:
            table.execute("insert or replace into contents values (?, ?)", (key, content))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=60)
        try:
            with connection:
                connection.execute("create table if not exists contents (key text primary key, content blob not null)")
                yield connection
        finally:
            connection.close()
