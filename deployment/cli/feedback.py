"""``mimir feedback ...``: what people corrected becomes training data."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from deployment.cli.store import ask

feedback = typer.Typer(no_args_is_help=True, help="Turn what people said of diagnoses into examples.")


@feedback.command()
def export(
    out: Annotated[Path | None, typer.Option(help="The folder that receives a file a tenant; data/feedback by default.")] = None,
) -> None:
    """Write every confirmed or corrected diagnosis as an example, and count what made none."""
    from mimir_core.config import read_params  # noqa: PLC0415  # `mimir --help` stays fast
    from tasks import paths, wiring  # noqa: PLC0415
    from tasks.feedback import export_feedback  # noqa: PLC0415

    folder, params = out or paths.FEEDBACK, read_params(paths.PARAMS)
    counts = ask(lambda database: export_feedback(database, params, folder, wiring.reviews_from(params)))
    sys.stdout.write(json.dumps(counts | {"out": str(folder)}) + "\n")
