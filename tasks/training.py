"""What every training stage leaves behind: a report, a loss curve for `dvc plots`, and a run in MLflow.

Surprise: the run is shown when it is over. A tracker that is away costs the picture, never the training.
"""

import csv
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from mimir_core.config import Params, Settings
from mimir_core.errors import BackendError
from mimir_core.learning.training import TrainingLog
from tasks import paths, wiring
from tasks.files import write_report

logger = logging.getLogger(__name__)

COLUMNS = ("step", "train", "dev")
"""Of a loss curve."""


def write_curve(stage: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write reports/STAGE-loss.csv: the names of the columns alone where nothing was trained.

    A loss that was not taken is ``nan``: `dvc plots` draws an empty cell as 0.
    """
    path = paths.REPORTS / f"{stage}-loss.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: "nan" if value is None else value for name, value in row.items()} for row in rows)


def tell(stage: str, log: TrainingLog, settings: Settings, told: Mapping[str, object], params: Params) -> dict[str, Any]:
    """Write reports/STAGE.json and reports/STAGE-loss.csv, show both, and return the report.

    Args:
        stage: Which one.
        log: How it went.
        settings: Its section of the profile.
        told: What else the report says.
        params: All of params.yaml.
    """
    report = {"profile": params.profile, **log.report(), **told}
    path = paths.REPORTS / f"{stage}.json"
    write_report(path, report)
    rows = log.curve()
    write_curve(stage, rows)
    if log.resumed_at or log.skipped_checkpoints:
        resumed = (stage, log.resumed_at, log.repeated_steps, log.skipped_checkpoints)
        logger.info("%s: went on from step %s, repeated %s steps, skipped %s checkpoints", *resumed)
    if board := wiring.training_board_from(params):
        try:
            board.record(stage, {"base": params.model.base, "seed": params.model.seed, **settings.model_dump()}, rows, path)
        except BackendError as error:
            logger.warning("%s", error)
    return report
