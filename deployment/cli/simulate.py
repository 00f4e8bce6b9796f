"""``mimir simulate``: a seed in, case folders with known truth out."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer


def simulate(
    out: Annotated[Path, typer.Option("--out", help="The folder that receives one folder a case.")],
    count: Annotated[int, typer.Option("--n", min=1, help="How many cases.")] = 20,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Same seed, same bytes.")] = 0,
) -> None:
    """Draw incidents with known truth: alert, metrics, traces, logs, cluster state and changes of invented systems."""
    from mimir_core.config import read_params  # noqa: PLC0415  # `mimir --help` stays fast
    from tasks import paths  # noqa: PLC0415
    from tasks.case_folders import write_cases  # noqa: PLC0415

    summary = write_cases(out, count, seed, read_params(paths.PARAMS).simulate, _say)
    sys.stdout.write(json.dumps(summary) + "\n")


def _say(what: str) -> None:
    sys.stderr.write(f"{what}\n")
