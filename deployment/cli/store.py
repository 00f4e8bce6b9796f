"""What the commands that ask the store have in common."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from getpass import getuser
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from mimir_core.store.database import Database

Answer = TypeVar("Answer")


def ask(question: "Callable[[Database], Awaitable[Answer]]") -> Answer:
    """Open the store, ask it one question, and return the answer.

    Raises:
        ParamsError: MIMIR_STORE_URL is of no known kind.
        BackendError: The store does not answer.
    """
    from mimir_core.config import read_params  # noqa: PLC0415  # `mimir --help` stays fast
    from mimir_core.store.database import open_database  # noqa: PLC0415
    from tasks import paths, wiring  # noqa: PLC0415

    async def run() -> Answer:
        async with open_database(wiring.store_url(), read_params(paths.PARAMS).store) as database:
            return await question(database)

    return asyncio.run(run())


def user() -> str:
    """Return who runs the command, for the audit: a container's user may have a number only."""
    try:
        return getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"
