"""``mimir diagnose PATH|-``: one case in, its diagnosis out."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer


class Format(StrEnum):
    """How the diagnosis is printed."""

    TEXT = "text"
    MARKDOWN = "markdown"
    HTML = "html"
    JSON = "json"


def diagnose(
    case: Annotated[str, typer.Argument(help="A case folder, an evidence file, an alert, any text file, or - for pasted text.")],
    output: Annotated[Format, typer.Option("--format", "-f", help="What to print.")] = Format.TEXT,
    reasoner: Annotated[
        Literal["builtin", "model", "auto"] | None, typer.Option(help="Who diagnoses, instead of reasoner.kind in params.yaml.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Short for --format json.")] = False,
) -> None:
    """Diagnose one case. The first two lines are the answer and why; pack, diagnosis and report are kept in var/diagnoses."""
    from mimir_core.config import read_params  # noqa: PLC0415  # `mimir --help` stays fast
    from mimir_core.reasoning.html_page import render_html  # noqa: PLC0415
    from mimir_core.reasoning.render import render_markdown, render_text  # noqa: PLC0415
    from mimir_core.telemetry.files import read_pasted  # noqa: PLC0415
    from tasks import paths  # noqa: PLC0415
    from tasks.diagnose import diagnose_case, diagnose_signals  # noqa: PLC0415

    params = read_params(paths.PARAMS)
    if reasoner:
        params = params.model_copy(update={"reasoner": params.reasoner.model_copy(update={"kind": reasoner})})
    if case == "-":
        pasted = sys.stdin.read()
        done = diagnose_signals("pasted", lambda: read_pasted(pasted), params, paths.DIAGNOSES)
    else:
        done = diagnose_case(Path(case), params, paths.DIAGNOSES)
    match Format.JSON if as_json else output:
        case Format.JSON:
            sys.stdout.write(done.diagnosis.model_dump_json(indent=2) + "\n")
        case Format.MARKDOWN:
            sys.stdout.write(render_markdown(done.diagnosis, done.pack, done.run))
        case Format.HTML:
            sys.stdout.write(render_html(done.diagnosis, done.pack, done.run))
        case Format.TEXT:
            sys.stdout.write(render_text(done.diagnosis, done.pack, done.run))
