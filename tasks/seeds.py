"""What `mimir stage seeds`, and so `dvc repro`, runs: base and chats in; one more tuned model a seed out.

Surprise: the base is the same each time, so that what differs is the order of the chats, and the weights of a fresh adapter.
"""

import logging

from mimir_core.config import Params
from mimir_core.errors import ParamsError
from tasks import paths
from tasks.files import write_report

logger = logging.getLogger(__name__)


def seeds(params: Params) -> None:
    """Write models/seeds and reports/seeds.json: the loss of each run.

    Raises:
        ParamsError: A seed is that of the tuned model itself.
    """
    if params.model.seed in params.sizes.seeds:
        raise ParamsError(f"profiles.{params.profile}.seeds: {params.model.seed} is model.seed, that of the tuned model itself")
    paths.SEEDS.mkdir(parents=True, exist_ok=True)
    told = {}
    if params.sizes.seeds:
        from tasks.finetune import read_chats, teach_base  # noqa: PLC0415  # torch takes seconds

        chats = read_chats()
    for seed in params.sizes.seeds:
        log, _ = teach_base(chats, params.sizes.finetune, seed, paths.SEEDS / str(seed))
        told[str(seed)] = log.report()
        logger.info("seeds: %s: loss %s after %s steps", seed, log.losses[-1][1], log.steps)
    write_report(paths.REPORTS / "seeds.json", {"profile": params.profile, "seeds": told})
