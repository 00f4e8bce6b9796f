"""API keys: who may ask, and what for.

Comes in: the key that a request presents. Goes out: a :class:`Key`, or None. A key is ``mim_ID_SECRET``; the store holds the
SHA-256 of the whole, and who made or revoked it stands in the audit. Surprises: nobody can be shown a key again; a plain hash is
enough because the secret is 256 random bits, not a password (OWASP Password Storage Cheat Sheet: slow hashes are for what people
choose).
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from mimir_core.errors import InputError
from mimir_core.store.database import Database
from mimir_core.store.locks import lock_tenant
from mimir_core.store.scopes import Scope
from mimir_core.store.tables import audit, keys

_FORM = re.compile(r"mim_([0-9a-f]{12})_[\w-]{43}", re.ASCII)


class Key(NamedTuple):
    """A key without its secret."""

    id: str
    tenant: str
    name: str
    scopes: frozenset[Scope]
    created_at: datetime
    revoked_at: datetime | None


async def create_key(  # noqa: PLR0913, PLR0917  # for whom, for what, and by whom
    database: Database, name: str, scopes: Collection[Scope], tenant: str, actor: str, now: datetime
) -> str:
    """Make a key and return it, which is the only time that anybody sees it.

    Raises:
        InputError: It would be for nothing.
        BackendError: The database is away.
    """
    if not scopes:
        raise InputError(f"key {name!r}: a key needs a scope: {', '.join(Scope)}")
    async with database.writing() as connection:
        return await _create(connection, name, scopes, tenant, actor, now)


async def create_first_key(database: Database, tenant: str, now: datetime) -> str | None:
    """Make an admin key where the tenant has never had a key, and return it; None where it has."""
    async with database.writing() as connection:
        await lock_tenant(connection, tenant)
        if (await connection.execute(select(keys.c.id).where(keys.c.tenant == tenant).limit(1))).first():
            return None
        return await _create(connection, "first", [Scope.ADMIN], tenant, "mimir", now)


async def find_key(database: Database, presented: str) -> Key | None:
    """Return the key that was presented; None when there is none such, or it was revoked.

    Raises:
        BackendError: The database is away.
    """
    form = _FORM.fullmatch(presented)
    if form is None:
        return None
    rows = await database.fetch(select(keys).where(keys.c.id == form[1], keys.c.revoked_at.is_(None)))
    return next((_key(row) for row in rows if hmac.compare_digest(row.hash, _hash(presented))), None)


async def list_keys(database: Database) -> Sequence[Key]:
    """Return every key there was, oldest first."""
    async with database.reading() as connection:
        return [_key(row) for row in await connection.execute(select(keys).order_by(keys.c.created_at, keys.c.id))]


async def revoke_key(database: Database, key_id: str, actor: str, now: datetime) -> None:
    """Refuse a key from now on.

    Raises:
        InputError: There is no such key, or it is revoked already.
    """
    async with database.writing() as connection:
        held = update(keys).where(keys.c.id == key_id, keys.c.revoked_at.is_(None)).values(revoked_at=now)
        row = (await connection.execute(held.returning(keys.c.tenant, keys.c.name))).one_or_none()
        if row is None:
            raise InputError(f"key {key_id!r}: there is none that is in use; `mimir keys list` shows them")
        await _note(connection, row.tenant, actor, f"revoked {key_id} {row.name}", now)


async def _create(  # noqa: PLR0913, PLR0917
    connection: AsyncConnection, name: str, scopes: Collection[Scope], tenant: str, actor: str, now: datetime
) -> str:
    identity = secrets.token_hex(6)
    presented = f"mim_{identity}_{secrets.token_urlsafe(32)}"
    row = {"id": identity, "tenant": tenant, "name": name, "hash": _hash(presented), "created_at": now}
    await connection.execute(insert(keys).values(**row, scopes=sorted(set(scopes))))
    await _note(connection, tenant, actor, f"made {identity} {name} for {', '.join(sorted(set(scopes)))}", now)
    return presented


async def _note(connection: AsyncConnection, tenant: str, actor: str, reason: str, now: datetime) -> None:
    await connection.execute(insert(audit).values(tenant=tenant, actor=actor, event="key", reason=reason, at=now))


def _hash(presented: str) -> str:
    return hashlib.sha256(presented.encode()).hexdigest()


def _key(row: Row[Any]) -> Key:
    scopes = frozenset(Scope(scope) for scope in row.scopes)
    return Key(row.id, row.tenant, row.name, scopes, row.created_at, row.revoked_at)
