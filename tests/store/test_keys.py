"""Who made a key, and who revoked it, is written down; the secret is not."""

import pytest
from story import NOON, at

from mimir_core.store.database import Database
from mimir_core.store.keys import create_first_key, create_key, revoke_key
from mimir_core.store.scopes import Scope
from mimir_core.store.tables import audit

pytestmark = pytest.mark.anyio


async def test_making_and_revoking_a_key_are_in_the_audit_without_its_secret(database: Database) -> None:
    first = await create_first_key(database, "default", NOON)
    assert first
    made = await create_key(database, "ci", [Scope.WEBHOOK, Scope.VIEWER], "other", "kim", at(1))
    await revoke_key(database, made.split("_")[1], "lee", at(2))
    async with database.reading() as connection:
        rows = (await connection.execute(audit.select().order_by(audit.c.number))).all()
    one, two = first.split("_")[1], made.split("_")[1]
    assert [(row.tenant, row.actor, row.reason, row.at) for row in rows] == [
        ("default", "mimir", f"made {one} first for admin", NOON),
        ("other", "kim", f"made {two} ci for viewer, webhook", at(1)),
        ("other", "lee", f"revoked {two} ci", at(2)),
    ]
    assert {(row.event, row.incident_id, row.before, row.after) for row in rows} == {("key", None, None, None)}
    assert not [row for row in rows for key in (first, made) if key.split("_", 2)[2] in row.reason]
