# ruff: noqa: INP001  # a script, not a package
"""What strangers and the careless send, and what Mimir answers: `benchmarks/hostile.py`.

Comes in: the attempts of `hostile_attempts.py`, sent to the app over a store of each kind, and those of `hostile_sockets.py`,
sent to `mimir api`. Goes out: a row a kind, and each attempt that went wrong; then the exit status is 1. Wrong is: a status that
is not expected; a refusal that is no problem document, or that wrote a row; a secret in the store, in an answer or in the log.
"""

import asyncio
import json
import logging
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import pgserver
from fastapi import FastAPI
from hostile_attempts import INCIDENTS, Attempt, attempts
from hostile_sockets import try_sockets
from rich.console import Console
from rich.table import Table
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import create_async_engine

from deployment.api.app import create_app
from mimir_core.config import Params, read_params
from mimir_core.store.database import Database, open_database
from mimir_core.store.keys import create_key, revoke_key
from mimir_core.store.scopes import Scope
from mimir_core.store.tables import metadata
from tasks import paths

NOWHERE = "postgresql+asyncpg://nobody@127.0.0.1:1/internal"


class Tried(NamedTuple):
    """What became of an attempt."""

    kind: str
    name: str
    status: str
    is_refused: bool
    wrong: str
    """What went wrong; empty where nothing did."""


class _Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    text: str
    error: str
    """What the app let rise, besides answering 500."""


async def try_all(database: Database, params: Params) -> list[Tried]:
    """Make every attempt that needs no socket against the app over an empty store."""
    keys = await _keys(database)
    first = Attempt("", "", "POST", INCIDENTS, (), b'{"title": "x"}', {"Content-Type": "application/json"})
    async with _servers(database, params) as apps:
        with _log() as lines:
            [incident] = json.loads((await _ask(apps["open"], first, keys)).text)["incidents"]
            await _ask(apps["limited"], first, keys)
            everything = list(attempts(apps["open"].openapi(), params.api, incident))
            rows, tried = await _count(database), []
            for sent in everything:
                before, answer = rows, await _ask(apps[sent.app], sent, keys)
                rows = await _count(database)
                tried.append(_judge(sent, answer, keys, wrote=rows != before))
    for place, said in {"store": await _dump(database), "log": "\n".join(lines)}.items():
        for number, sent in enumerate(everything):
            if sent.secret and sent.secret in said:
                tried[number] = tried[number]._replace(wrong=f"{tried[number].wrong} the secret is in the {place}")
        if any(key in said for key in keys.values()):
            tried.append(Tried("keys", "all of them", "", is_refused=False, wrong=f"a key is in the {place}"))
    return tried


def _judge(sent: Attempt, answer: _Answer, keys: Mapping[str, str], *, wrote: bool) -> Tried:
    refused = answer.status >= 400
    wrong = [f"expected {sent.expected}: {answer.text:.200}"] if answer.status not in sent.expected else []
    if refused and answer.headers.get("content-type") != "application/problem+json":
        wrong.append(f"is {answer.headers.get('content-type')}")
    if refused and wrote:
        wrong.append("a row was written")
    said = f"{answer.text} {answer.headers}"
    if (sent.secret and sent.secret in said) or any(key in said for key in keys.values()) or "set-cookie" in answer.headers:
        wrong.append("the answer repeats what it must not")
    if sent.app != "open" and "retry-after" not in answer.headers:
        wrong.append("no Retry-After")
    if sent.app == "away" and "internal" in said:
        wrong.append("the address of the store is told")
    return Tried(sent.kind, sent.name, f"{answer.status} {answer.error}".strip(), refused, "; ".join(wrong))


async def _ask(app: FastAPI, sent: Attempt, keys: Mapping[str, str]) -> _Answer:
    """Ask as a server would that lets everything through; httpx would refuse to send much of it."""
    admin, (path, _, query) = keys["admin"], sent.path.partition("?")
    headers = {"Host": "mimir"} | ({"Authorization": f"Bearer {keys[sent.key]}"} if sent.key else {}) | dict(sent.headers)
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": sent.method, "scheme": "http",
        "server": ("mimir", 80), "client": ("127.0.0.1", 1), "root_path": "",
        "path": unquote(path), "raw_path": path.encode(), "query_string": query.replace("{admin}", admin).encode(),
        "headers": [(name.lower().encode(), told.replace("{admin}", admin).encode("latin-1")) for name, told in headers.items()],
    }  # fmt: skip
    heard: list[Any] = []

    async def body() -> AsyncIterator[dict[str, Any]]:
        if isinstance(sent.content, bytes):
            yield {"type": "http.request", "body": sent.content}
        else:
            async for chunk in sent.content():
                yield {"type": "http.request", "body": chunk, "more_body": True}
            yield {"type": "http.request"}
        yield {"type": "http.disconnect"}

    async def hear(message: Any) -> None:
        heard.append(message)

    error = ""
    try:
        await app(scope, body().__anext__, hear)
    except Exception as risen:  # noqa: BLE001  # that is what is looked for
        error = "".join(traceback.format_exception_only(risen)).strip()[-300:]
    start = heard[0] if heard else {"status": 599, "headers": []}
    told = {name.decode().lower(): value.decode("latin-1") for name, value in start["headers"]}
    return _Answer(start["status"], told, b"".join(one.get("body", b"") for one in heard[1:]).decode(errors="replace"), error)


@asynccontextmanager
async def _servers(database: Database, params: Params) -> AsyncIterator[dict[str, FastAPI]]:
    """Yield the apps: `full` is full once there is an incident, `limited` after one request."""
    free = {"rate_per_second": 1e9, "burst": 10**9, "max_queue": 10**9}
    limits = {"open": {}, "full": {"max_queue": 1}, "limited": {"rate_per_second": 1e-6, "burst": 1}, "away": {}}
    away = Database(create_async_engine(NOWHERE))
    yield {
        name: create_app(
            away if name == "away" else database, params.model_copy(update={"api": params.api.model_copy(update=free | limit)})
        )
        for name, limit in limits.items()
    }
    await away.engine.dispose()


async def _keys(database: Database) -> dict[str, str]:
    now = datetime.now(UTC)
    found = {str(scope): await create_key(database, scope, [scope], "default", "hostile", now) for scope in Scope}
    found["other"] = await create_key(database, "other", [Scope.ADMIN], "other", "hostile", now)
    found["revoked"] = await create_key(database, "revoked", [Scope.ADMIN], "default", "hostile", now)
    await revoke_key(database, found["revoked"].split("_")[1], "hostile", now)
    return found | {"forged": found["admin"][:-1] + ("A" if found["admin"][-1] != "A" else "B")}


async def _count(database: Database) -> int:
    """Return how many rows there are."""
    counts = [select(func.count()).select_from(table).scalar_subquery() for table in metadata.sorted_tables]
    async with database.reading() as connection:
        return sum((await connection.execute(select(*counts))).one())


async def _dump(database: Database) -> str:
    written = []
    async with database.reading() as connection:
        for table in metadata.sorted_tables:
            written += [str(tuple(row)) for row in await connection.execute(select(table))]
    return "\n".join(written)


@contextmanager
def _log() -> Iterator[list[str]]:
    """Yield the lines that are logged meanwhile."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    handler.emit = lambda record: lines.append(handler.format(record))  # type: ignore[method-assign]
    root, ours = logging.getLogger(), logging.getLogger("deployment")
    level = ours.level
    root.addHandler(handler)
    ours.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        root.removeHandler(handler)
        ours.setLevel(level)


def show(tried: Iterable[Tried], console: Console) -> None:
    """Print a row a kind, then what went wrong."""
    rows: dict[str, Counter[str]] = {}
    for one in tried:
        what = "wrong" if one.wrong else "refused as expected" if one.is_refused else "accepted harmlessly"
        rows.setdefault(one.kind, Counter())[what] += 1
    columns = ("refused as expected", "accepted harmlessly", "wrong")
    table = Table("kind", "tried", *columns)
    for kind, counts in rows.items():
        table.add_row(kind, str(counts.total()), *(str(counts[name]) for name in columns))
    everything = sum(rows.values(), Counter())
    table.add_row("all", str(everything.total()), *(str(everything[name]) for name in columns))
    console.print(table)


def main() -> int:
    """Try everything on both stores and over sockets."""
    params = read_params(paths.PARAMS)
    tried: list[Tried] = []

    async def on(url: str) -> list[Tried]:
        async with open_database(url, params.store) as database:
            return await try_all(database, params)

    with tempfile.TemporaryDirectory() as place:
        server = pgserver.get_server(Path(place) / "postgres")
        postgresql = str(server.get_uri()).replace("postgresql://", "postgresql+asyncpg://")
        for name, url in (("SQLite", f"sqlite+aiosqlite:///{place}/store.db"), ("PostgreSQL", postgresql)):
            tried += [one._replace(name=f"{name}: {one.name}") for one in asyncio.run(on(url))]
        server.cleanup()
        tried += [Tried(*one) for one in try_sockets(Path(place))]
    console = Console(width=None if sys.stdout.isatty() else 110)
    show(tried, console)
    wrong = [one for one in tried if one.wrong]
    for one in wrong:
        console.print(f"[{one.kind}] {one.name}: {one.status}: {one.wrong}", markup=False, highlight=False)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
