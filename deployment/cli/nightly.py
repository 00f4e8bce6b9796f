"""``mimir nightly``: the `diagnose` flow over a folder, and the night as a table."""

import json
import logging
import os
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
    """Diagnose every case of a folder, with Prefect, and say where to look first."""
    if not logging.getLogger().isEnabledFor(logging.DEBUG):
        # Prefect reads its settings when it is imported; what it says about itself is for -v and for its UI.
        os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")
    from tasks import paths  # noqa: PLC0415  # `mimir --help` stays fast
    from tasks.diagnose import find_cases  # noqa: PLC0415

    cases = folder.resolve() if folder else paths.INCIDENTS
    find_cases(cases)  # say so before a server is started for nothing
    if "PREFECT_API_URL" not in os.environ:
        sys.stderr.write("starting a temporary Prefect server: up to half a minute (none is needed while `mimir up` runs)\n")
    from deployment.environment import PREFECT_HOME  # noqa: PLC0415

    PREFECT_HOME.mkdir(parents=True, exist_ok=True)
    from flows.diagnose import diagnose  # noqa: PLC0415

    night: Night = diagnose(str(cases))
    if as_json:
        diagnoses = {done.name: done.diagnosis.model_dump(mode="json") for done in night.diagnosed}
        sys.stdout.write(json.dumps({"diagnoses": diagnoses, "failed": night.failed}, indent=2) + "\n")
    else:
        print_night(night)


def print_night(night: "Night") -> None:
    """Print one row a case, the worst incident's answer and what to do next. Text from the cases is never markup."""
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from flows.diagnose import worst  # noqa: PLC0415
    from mimir_core.safety import escape  # noqa: PLC0415
    from tasks import paths  # noqa: PLC0415

    table = Table("case", "severity", "verdict", "answer", "sure")
    for done in night.diagnosed:
        diagnosis = done.diagnosis
        row = (done.name, done.pack.incident.severity.value, diagnosis.verdict.value, diagnosis.headline)
        table.add_row(*(Text(escape.line(cell)) for cell in row), f"{diagnosis.confidence:.0%}" if diagnosis.causes else "")
    for name, error in night.failed.items():
        table.add_row(Text(escape.line(name)), "", "failed", Text(escape.line(error)), "")
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(table)

    first = worst(night.diagnosed)
    page = night.page.relative_to(paths.ROOT) if night.page.is_relative_to(paths.ROOT) else night.page
    command = "mimir" if os.environ.get("VIRTUAL_ENV") else ".venv/bin/mimir"
    sys.stdout.write(
        f"\nLook first at {escape.line(first.name)}:\n"
        f"  {escape.line(first.diagnosis.headline)}\n"
        f"  {escape.line(first.diagnosis.reason)}\n"
        f"\nAll reports: {page}\n"
        f"Next: {command} diagnose MY_FOLDER\n"
        f"      kubectl describe pod X | {command} diagnose -\n"
    )
