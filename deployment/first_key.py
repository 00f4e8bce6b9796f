"""The first admin key of a new store, shown once."""

import sys
from datetime import UTC, datetime

from mimir_core.store.database import Database
from mimir_core.store.keys import create_first_key

_TENANT = "default"


async def show_first_key(database: Database) -> None:
    """Make an admin key where there has never been a key, and print it."""
    if first := await create_first_key(database, _TENANT, datetime.now(UTC)):
        sys.stdout.write(f"admin key    {first}\n             shown this once; `mimir keys create` makes others\n")
