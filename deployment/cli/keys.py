"""``mimir keys ...``: who may use the API."""

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer

from deployment.cli.store import ask
from mimir_core.store.scopes import Scope

keys = typer.Typer(no_args_is_help=True, help="Make, list and revoke API keys.")


@keys.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose it is: the audit names it.")],
    scope: Annotated[list[Scope], typer.Option(help="What it is for; may be given more than once.")],
    tenant: Annotated[str, typer.Option(help="Whose incidents it sees.")] = "default",
) -> None:
    """Make a key and print it: the only time that it is shown."""
    from mimir_core.store.keys import create_key  # noqa: PLC0415  # `mimir --help` stays fast

    sys.stdout.write(f"{ask(lambda database: create_key(database, name, scope, tenant, datetime.now(UTC)))}\n")


@keys.command(name="list")
def list_() -> None:
    """List every key there was, without its secret."""
    from mimir_core.safety import escape  # noqa: PLC0415
    from mimir_core.store.keys import list_keys  # noqa: PLC0415

    for key in ask(list_keys):
        state = f"revoked {key.revoked_at:%Y-%m-%d %H:%M}" if key.revoked_at else "in use"
        row = (key.id, f"{key.created_at:%Y-%m-%d %H:%M}", state, key.tenant, ",".join(sorted(key.scopes)), key.name)
        sys.stdout.write("  ".join(map(escape.line, row)) + "\n")


@keys.command()
def revoke(key_id: Annotated[str, typer.Argument(metavar="ID", help="From `mimir keys list`.")]) -> None:
    """Refuse a key from now on."""
    from mimir_core.store.keys import revoke_key  # noqa: PLC0415

    ask(lambda database: revoke_key(database, key_id, datetime.now(UTC)))
    sys.stdout.write(f"{key_id} is revoked\n")
