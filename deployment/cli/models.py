"""``mimir models ...``: the models there are, which of them answers, and back again."""

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tasks.models import Override

models = typer.Typer(no_args_is_help=True, help="List the models of the registry, promote one, roll back.")
LATEST = "latest"


@models.command(name="list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List every version, newest first; * is the champion. Where none is, the built-in reasoner answers."""
    from mimir_core.safety import escape  # noqa: PLC0415  # `mimir --help` stays fast
    from tasks import wiring  # noqa: PLC0415

    registry = wiring.model_registry()
    now, found = registry.champion(), registry.versions()
    if as_json:
        rows = [
            {"version": one.number, "champion": one.number == now, "at": one.registered_at.isoformat(), **one.tags}
            for one in found
        ]
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
        return
    for one in found:
        alias, metric = "champion" if one.number == now else "-", one.tags.get("metric", "-")
        figure = one.tags.get(f"figure.{metric}", "-")
        row = (
            f"{'*' if one.number == now else ' '} {one.number}",
            f"{alias:8}",
            f"{one.registered_at:%Y-%m-%d %H:%M} UTC",
            one.tags.get("variant", "-"),
            one.tags.get("profile", "-"),
            f"{metric} {figure}",
            one.tags.get("weights_sha256", "-")[:12],
        )
        sys.stdout.write(escape.plain("  ".join(row)) + "\n")


@models.command()
def promote(
    version: Annotated[
        str, typer.Argument(help="From `mimir models list`; latest is the model that the gate judged last.")
    ] = LATEST,
    override: Annotated[
        bool, typer.Option("--override", help="Promote what the gate refused; needs --by and --because.")
    ] = False,
    by: Annotated[
        str, typer.Option(metavar="ROLE/NAME", help="Who overrides: a role that the policy allows, and a person.")
    ] = "",
    because: Annotated[str, typer.Option(help="Why: registry and audit keep it.")] = "",
) -> None:
    """Let a model answer, if the gate said so or somebody who may overrides it."""
    from deployment.cli.store import user  # noqa: PLC0415
    from mimir_core.config import read_params  # noqa: PLC0415
    from tasks import models as task  # noqa: PLC0415
    from tasks import paths  # noqa: PLC0415

    if version != LATEST and not version.isdecimal():
        raise typer.BadParameter(f"{version!r} is neither a number nor {LATEST}", param_hint="VERSION")
    wanted = None if version == LATEST else int(version)
    who = _override(by, because) if override else None
    sys.stdout.write(f"version {task.promote(read_params(paths.PARAMS), wanted, user(), who)} is the champion\n")


@models.command()
def rollback() -> None:
    """Let the champion of before answer again; before the first one was the built-in reasoner."""
    from deployment.cli.store import user  # noqa: PLC0415
    from mimir_core.config import read_params  # noqa: PLC0415
    from tasks import models as task  # noqa: PLC0415
    from tasks import paths  # noqa: PLC0415

    number = task.rollback(read_params(paths.PARAMS), user())
    sys.stdout.write(f"version {number} is the champion again\n" if number else "the built-in reasoner answers again\n")


def _override(by: str, because: str) -> "Override":
    from mimir_core.store.scopes import Scope  # noqa: PLC0415
    from tasks.models import Override  # noqa: PLC0415

    role, _, name = by.partition("/")
    if role not in tuple(Scope) or not name.strip() or not because.strip():
        raise typer.BadParameter(f"--override needs --by ROLE/NAME with a role of {', '.join(Scope)}, and --because TEXT")
    return Override(Scope(role), name.strip(), because.strip())
