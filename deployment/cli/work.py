"""``mimir work``: one worker, until nothing is due."""

import os
import socket
import sys


def work() -> None:
    """Diagnose what is due in the store, the most urgent first, until nothing is. The `serve` flow does so each minute."""
    from mimir_core.config import read_params  # noqa: PLC0415  # `mimir --help` stays fast
    from tasks import paths, wiring  # noqa: PLC0415
    from tasks.work import Worker  # noqa: PLC0415
    from tasks.work import work as run  # noqa: PLC0415

    params = read_params(paths.PARAMS)
    name = f"{socket.gethostname()}:{os.getpid()}"
    batch = wiring.batch_from(params)
    worker = Worker(name, params, paths.CASES, paths.DIAGNOSES, batch, wiring.series_from(params))
    done = run(wiring.store_url(), worker)
    if batch:
        batch.end(done)
    sys.stdout.write(f"{done} diagnosed\n")
