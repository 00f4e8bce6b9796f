"""``mimir api``: the HTTP API over the store, until Ctrl-C."""

import os
import sys
from typing import Annotated

import typer


def api(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port.")] = 8080,
) -> None:
    """Serve the API: alerts and incidents come in, diagnoses are read. The store is MIMIR_STORE_URL, or a file in var/."""
    import uvloop  # noqa: PLC0415  # `mimir --help` stays fast

    uvloop.run(_serve(host, port))


async def _serve(host: str, port: int) -> None:
    import uvicorn  # noqa: PLC0415  # `mimir --help` stays fast

    from deployment.api.app import create_app  # noqa: PLC0415
    from deployment.api.protocol import BoundedProtocol  # noqa: PLC0415
    from deployment.api.trigger import connect  # noqa: PLC0415
    from deployment.first_key import show_first_key  # noqa: PLC0415
    from mimir_core.config import read_params  # noqa: PLC0415
    from mimir_core.errors import BackendError  # noqa: PLC0415
    from mimir_core.store.database import open_database  # noqa: PLC0415
    from tasks import paths, wiring  # noqa: PLC0415

    params = read_params(paths.PARAMS)
    async with open_database(wiring.store_url(), params.store) as database:
        app = create_app(database, params, wiring.services(), connect(os.environ))
        config = uvicorn.Config(app, host, port, log_config=None, access_log=False, ws="none", http=BoundedProtocol)
        try:
            listening = config.bind_socket()
        except SystemExit:  # uvicorn's way of saying that somebody else has the port
            raise BackendError(f"{host}:{port}: nobody can listen there now") from None
        listening.listen()  # who reads the next lines may call at once
        await show_first_key(database)
        sys.stdout.write(f"API          http://{host}:{listening.getsockname()[1]}\nstop with    Ctrl-C\n")
        sys.stdout.flush()
        await uvicorn.Server(config).serve(sockets=[listening])
