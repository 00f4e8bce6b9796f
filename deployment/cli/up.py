"""``mimir up``: Prefect's server, a worker and the schedules on this machine, until Ctrl-C."""

import os
import signal
import sys
from types import FrameType
from typing import Annotated

import typer


def up(
    port: Annotated[int, typer.Option(help="The port to prefer; another free one is taken when it is in use.")] = 4200,
) -> None:
    """Start Prefect's server, a worker and the schedules on 127.0.0.1. Ctrl-C stops them all."""
    from deployment.environment import PREFECT_HOME  # noqa: PLC0415  # `mimir --help` stays fast
    from deployment.up import running, watch  # noqa: PLC0415
    from tasks import paths  # noqa: PLC0415

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, stop)
    own = os.environ.get("PREFECT_SERVER_API_AUTH_STRING")
    password = "PREFECT_SERVER_API_AUTH_STRING" if own else f"the line in {(PREFECT_HOME / 'auth').relative_to(paths.ROOT)}"
    sys.stderr.write("starting Prefect's server, a worker and the schedules: 15 to 30 seconds\n")
    try:
        with running(port) as server:
            sys.stdout.write(f"Prefect UI   {server.url}\nlog in with  {password}\nstop with    Ctrl-C\n")
            sys.stdout.flush()
            watch(server)
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
