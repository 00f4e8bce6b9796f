"""``mimir keys ...``: who may use the API."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from deployment.cli.store import ask, user
from mimir_core.store.scopes import Scope

if TYPE_CHECKING:
    from mimir_core.store.database import Database

keys = typer.Typer(no_args_is_help=True, help="Make, list and revoke API keys.")


@keys.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose it is: the audit names it.")],
    scope: Annotated[list[Scope], typer.Option(help="What it is for; may be given more than once.")],
    tenant: Annotated[str, typer.Option(help="Whose incidents it sees.")] = "default",
) -> None:
    """Make a key and print it: the only time that it is shown."""
    from mimir_core.store.keys import create_key  # noqa: PLC0415  # `mimir --help` stays fast

    async def make(database: "Database") -> str:
        return await create_key(database, name, scope, tenant, user(), await database.now())

    sys.stdout.write(f"{ask(make)}\n")


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

    async def refuse(database: "Database") -> None:
        await revoke_key(database, key_id, user(), await database.now())

    ask(refuse)
    sys.stdout.write(f"{key_id} is revoked\n")
