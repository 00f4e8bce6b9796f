"""The `mimir` command: mounts the others, and maps errors to exit codes in one place.

Comes in: the command line. Goes out: the result on stdout, the log on stderr, and an exit code (mimir_core/errors.py).
"""

import logging
import os
import sys
from enum import StrEnum
from typing import Annotated, Literal, NoReturn

import typer

from deployment.cli.api import api
from deployment.cli.bench import bench
from deployment.cli.detect import detect
from deployment.cli.diagnose import diagnose
from deployment.cli.doctor import doctor
from deployment.cli.feedback import feedback
from deployment.cli.incidents import incidents
from deployment.cli.keys import keys
from deployment.cli.knowledge import knowledge, search
from deployment.cli.loop import loop
from deployment.cli.models import models
from deployment.cli.monitor import monitor
from deployment.cli.nightly import nightly
from deployment.cli.serve import serve
from deployment.cli.simulate import simulate
from deployment.cli.train import train
from deployment.cli.up import up
from deployment.cli.work import work
from mimir_core.errors import MimirError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


class Stage(StrEnum):
    """The stages of dvc.yaml; each is a function of that name in the module of that name in tasks/."""

    INGEST = "ingest"
    INDEX = "index"
    SIMULATE = "simulate"
    DATASET = "dataset"
    BASE = "base"
    FINETUNE = "finetune"
    SEEDS = "seeds"
    QUANTIZE = "quantize"
    DEPLOY = "deploy"
    EVALUATE = "evaluate"
    GATE = "gate"


@app.callback()
def main(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log everything, and show where an error comes from.")] = False,
) -> None:
    """Diagnose incidents; every claim cites its evidence."""
    from deployment.logs import set_up  # noqa: PLC0415  # `mimir --help` stays fast

    form: Literal["text", "json"] = "json" if os.environ.get("MIMIR_LOG_FORMAT") == "json" else "text"
    set_up("DEBUG" if verbose else os.environ.get("MIMIR_LOG_LEVEL", "INFO"), form)


@app.command()
def stage(name: Annotated[Stage, typer.Argument(help="The stage, as in dvc.yaml.")]) -> None:
    """Run one stage of dvc.yaml; `dvc repro` calls this."""
    from importlib import import_module  # noqa: PLC0415

    from mimir_core.config import read_params  # noqa: PLC0415
    from tasks import paths  # noqa: PLC0415
    from tasks.status import recorded  # noqa: PLC0415

    with recorded(name.value, paths.STATUS):
        getattr(import_module(f"tasks.{name.value}"), name.value)(read_params(paths.PARAMS))


@app.command()
def version() -> None:
    """Print the version."""
    from importlib import metadata  # noqa: PLC0415

    sys.stdout.write(f"mimir {metadata.version('mimir')}\n")


app.command()(diagnose)
app.command()(detect)
app.command()(nightly)
app.command()(simulate)
app.command()(loop)
app.command()(search)
app.add_typer(knowledge, name="knowledge")
app.add_typer(bench, name="bench")
app.add_typer(incidents, name="incidents")
app.add_typer(feedback, name="feedback")
app.add_typer(keys, name="keys")
app.add_typer(train, name="train")
app.add_typer(models, name="models")
app.add_typer(serve, name="serve")
app.command()(api)
app.command()(work)
app.command()(monitor)
app.command()(up)
app.command()(doctor)


def run() -> NoReturn:
    """Run the command line and end the process with the exit code of what happened."""
    from deployment.environment import prepare  # noqa: PLC0415
    from mimir_core.safety import escape  # noqa: PLC0415

    prepare()
    try:
        app()
    except MimirError as error:
        if logging.getLogger().isEnabledFor(logging.DEBUG):
            logging.getLogger("mimir").exception("failed")
        notes = "".join(f"\n  {note}" for note in getattr(error, "__notes__", ()))
        sys.stderr.write(escape.plain(f"mimir: {error}{notes}\n"))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)
