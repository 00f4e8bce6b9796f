"""``mimir nightly``: the `diagnose` flow over a folder, and the night as a table."""

import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from flows.diagnose import Night


def nightly(
    folder: Annotated[Path | None, typer.Argument(help="A folder of cases; data/incidents when left out.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Diagnose every case of a folder with Prefect and sum the night up."""
    import os  # noqa: PLC0415

    # Prefect reads its settings when it is imported; its own chatter is for -v and for the UI.
    if not logging.getLogger().isEnabledFor(logging.DEBUG):
        os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")
    from flows.diagnose import diagnose  # noqa: PLC0415
    from tasks import paths  # noqa: PLC0415

    night = diagnose(str(folder.resolve() if folder else paths.INCIDENTS))
