"""``mimir train ...``: train on a rented machine, and take back what it learned."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

train = typer.Typer(no_args_is_help=True, help="Train on a rented machine, and take back what it learned.")


@train.command()
def export(out: Annotated[Path, typer.Argument(help="The archive to write, a tar.gz.")]) -> None:
    """Write one archive that trains on a rented GPU without this repository: data, base, settings, script, lock."""
    from mimir_core.config import read_params  # noqa: PLC0415  # `mimir --help` stays fast
    from tasks import paths  # noqa: PLC0415
    from tasks.train_archive import export_training  # noqa: PLC0415

    sys.stdout.write(json.dumps(export_training(read_params(paths.PARAMS), out), indent=2) + "\n")


@train.command("import")
def import_(
    source: Annotated[Path, typer.Argument(help="The result.tar.gz that train.py wrote, or the folder.")],
) -> None:
    """Check what came back, merge it into the base, and register it in models/imported. Refuses what does not fit."""
    from mimir_core.config import read_params  # noqa: PLC0415  # `mimir --help` stays fast
    from tasks import paths  # noqa: PLC0415
    from tasks.train_archive import import_training  # noqa: PLC0415

    sys.stdout.write(json.dumps(import_training(read_params(paths.PARAMS), source), indent=2) + "\n")
