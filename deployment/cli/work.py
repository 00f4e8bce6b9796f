"""``mimir work``: one worker, until nothing is due."""

import sys


def work() -> None:
    """Diagnose what is due in the store, the most urgent first, until nothing is. The `serve` flow does so each minute."""
    from mimir_core.config import read_params  # noqa: PLC0415  # `mimir --help` stays fast
    from tasks import paths, wiring  # noqa: PLC0415
    from tasks.work import this_worker  # noqa: PLC0415
    from tasks.work import work as run  # noqa: PLC0415

    params = read_params(paths.PARAMS)
    batch = wiring.batch_from(params)
    done = run(wiring.store_url(), this_worker(params, batch))
    if batch:
        batch.end(done)
    sys.stdout.write(f"{done} diagnosed\n")
