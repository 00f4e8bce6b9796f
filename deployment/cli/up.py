"""``mimir up``: Prefect's server, a worker, the schedules and the API on this machine, until Ctrl-C."""

import asyncio
import os
import signal
import sys
from types import FrameType
from typing import Annotated

import typer


def up(
    port: Annotated[int, typer.Option(help="Prefect's port; another free one is taken when it is in use.")] = 4200,
    api_port: Annotated[int, typer.Option(help="The API's, likewise.")] = 8080,
) -> None:
    """Start Prefect's server, a worker, the schedules and the API on 127.0.0.1. Ctrl-C stops them all."""
    from deployment.environment import PREFECT_HOME  # noqa: PLC0415  # `mimir --help` stays fast
    from deployment.up import running, watch  # noqa: PLC0415
    from tasks import paths  # noqa: PLC0415

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, stop)
    own = os.environ.get("PREFECT_SERVER_API_AUTH_STRING")
    password = "PREFECT_SERVER_API_AUTH_STRING" if own else f"the line in {(PREFECT_HOME / 'auth').relative_to(paths.ROOT)}"
    sys.stderr.write("starting Prefect's server, a worker, the schedules and the API: 15 to 30 seconds\n")
    try:
        asyncio.run(_show_first_key())  # before the API does: what that prints goes into its log
        with running(port, api_port) as server:
            sys.stdout.write(
                f"Prefect UI   {server.url}\nlog in with  {password}\nAPI          {server.api}\nstop with    Ctrl-C\n"
            )
            sys.stdout.flush()
            watch(server)
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")


async def _show_first_key() -> None:
    from deployment.first_key import show_first_key  # noqa: PLC0415
    from mimir_core.config import read_params  # noqa: PLC0415
    from mimir_core.store.database import open_database  # noqa: PLC0415
    from tasks import paths, wiring  # noqa: PLC0415

    async with open_database(wiring.store_url(), read_params(paths.PARAMS).store) as database:
        await show_first_key(database)
