# ruff: noqa: INP001  # a script, not a package
"""A storm of alerts -> what the store kept of it, on SQLite and on PostgreSQL.

Comes in: how many alerts, over how many groups. Goes out: a row a store: alerts kept, incidents, diagnoses asked for, seconds.
Each alert is a message of its own, twenty are on their way at a time.
"""

import asyncio
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pgserver
from sqlalchemy import func, select

from mimir_core.config import StoreSettings, read_params
from mimir_core.records import Alert, Incident
from mimir_core.store.database import open_database
from mimir_core.store.intake import receive
from mimir_core.store.tables import alerts, incidents, jobs
from tasks import paths

AT_ONCE = 20


async def storm(url: str, count: int, groups: int, settings: StoreSettings) -> tuple[list[int], float]:
    """Send the alerts; return the rows of alerts, incidents and jobs, and the seconds that it took."""
    now = datetime.now(UTC)
    async with open_database(url, settings) as database:

        async def send(number: int) -> None:
            group = f"group-{number % groups}"
            alert = Alert(name="Slow", starts_at=now, fingerprint=f"alert-{number}")
            incident = Incident(id="new", title=group, service=group, alerts=(alert,))
            await receive(database, incident, group, "storm", settings, now)

        started = time.perf_counter()
        for first in range(0, count, AT_ONCE):
            await asyncio.gather(*(send(number) for number in range(first, min(first + AT_ONCE, count))))
        seconds = time.perf_counter() - started
        async with database.reading() as connection:
            kept = [await connection.scalar(select(func.count()).select_from(table)) or 0 for table in (alerts, incidents, jobs)]
    return kept, seconds


def main(count: int, groups: int) -> None:
    """Try both stores."""
    settings = read_params(paths.PARAMS).store
    with TemporaryDirectory() as folder:
        server = pgserver.get_server(Path(folder) / "postgres")
        urls = {
            "SQLite": f"sqlite+aiosqlite:///{folder}/store.db",
            "PostgreSQL": str(server.get_uri()).replace("postgresql://", "postgresql+asyncpg://"),
        }
        sys.stdout.write(f"{count} alerts over {groups} groups, budget {settings.storm_budget}\n")
        for name, url in urls.items():
            (kept, opened, asked), seconds = asyncio.run(storm(url, count, groups, settings))
            sys.stdout.write(f"{name}: {kept} alerts, {opened} incidents, {asked} diagnoses in {seconds:.1f} s\n")
        server.cleanup()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
