"""``mimir loop``: every stage of dvc.yaml, timed and weighed, as a table."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tasks.loop import Measured


def loop(
    target: Annotated[str | None, typer.Argument(help="Stop after this stage; the last one when left out.")] = None,
) -> None:
    """Run the pipeline from documents to model with DVC: time, peak memory and size of the outs of each stage."""
    from tasks.loop import run_loop  # noqa: PLC0415  # `mimir --help` stays fast

    measured = run_loop(target, _say)
    print_measured(measured)
    if error := measured[-1].error:
        raise error


def print_measured(measured: "Sequence[Measured]") -> None:
    """Print one row a stage, and where the rest is."""
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table("stage", "state")
    for name in ("seconds", "peak MiB", "outs MiB"):
        table.add_column(name, justify="right")
    for row in measured:
        peak = f"{row.peak_mib:.0f}" if row.peak_mib else ""
        table.add_row(row.stage, row.state, f"{row.seconds:.1f}", peak, f"{row.outs_mib:.2f}")
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    sys.stdout.write("var/loop.json holds these figures, var/loop/STAGE.log what each stage said\n")


def _say(what: str) -> None:
    sys.stderr.write(what)
    sys.stderr.flush()
