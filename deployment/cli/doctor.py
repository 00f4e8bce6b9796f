"""``mimir doctor``: what this machine has and lacks."""

import json
import sys
from typing import Annotated

import typer


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Check the machine. Ends with 0 when only optional parts are missing, with 1 otherwise."""
    from rich.console import Console  # noqa: PLC0415  # `mimir --help` stays fast
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from deployment.doctor import examine  # noqa: PLC0415

    findings = list(examine())
    broken = [finding.part for finding in findings if finding.problem and not finding.optional]
    if as_json:
        sys.stdout.write(json.dumps([finding._asdict() for finding in findings], indent=2) + "\n")
    else:
        table = Table("part", "state", "detail")
        for part, problem, detail, optional in findings:
            state = f"{problem} (optional)" if problem and optional else problem or "ok"
            table.add_row(part, Text(state, style="red" if part in broken else ""), Text(detail))
        Console(width=None if sys.stdout.isatty() else 120).print(table)
        sys.stdout.write(f"\nFix first: {', '.join(broken)}\n" if broken else "\nReady.\n")
    if broken:
        raise typer.Exit(1)
