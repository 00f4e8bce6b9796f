"""``mimir incidents ...``: what is in the store, without a server."""

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from deployment.cli.store import ask, user
from mimir_core.store.lifecycle import State

if TYPE_CHECKING:
    from mimir_core.store.database import Database
    from mimir_core.store.views import IncidentDetail

incidents = typer.Typer(no_args_is_help=True, help="List, show and end incidents; how fast they were diagnosed and resolved.")
Tenant = Annotated[str, typer.Option(help="Whose incidents.")]
Identity = Annotated[str, typer.Argument(metavar="ID", help="From `mimir incidents list`.")]
Reason = Annotated[str, typer.Option(help="Why: the audit keeps it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@incidents.command(name="list")
def list_(
    state: Annotated[list[State] | None, typer.Option(help="Only these; may be given more than once.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    tenant: Tenant = "default",
    as_json: AsJson = False,
) -> None:
    """List incidents, newest first."""
    from mimir_core.safety import escape  # noqa: PLC0415  # `mimir --help` stays fast
    from mimir_core.store.views import list_incidents  # noqa: PLC0415

    page = ask(lambda database: list_incidents(database, tenant, state or (), limit))
    if as_json:
        sys.stdout.write(page.model_dump_json(indent=2) + "\n")
        return
    for one in page.incidents:
        row = (one.id, f"{one.received_at:%Y-%m-%d %H:%M}", one.state, one.severity, one.service or "-", one.title)
        sys.stdout.write("  ".join(map(escape.line, row)) + "\n")
    if page.next:
        sys.stderr.write(f"there are more than {limit}: --limit shows them\n")


@incidents.command()
def show(
    incident_id: Identity,
    tenant: Tenant = "default",
    as_json: AsJson = False,
) -> None:
    """Show an incident: its alerts, its history and its diagnosis."""
    from mimir_core.safety import escape  # noqa: PLC0415
    from mimir_core.store.views import read_incident  # noqa: PLC0415

    found = ask(lambda database: read_incident(database, tenant, incident_id))
    sys.stdout.write(found.model_dump_json(indent=2) + "\n" if as_json else escape.plain(_render(found)))


@incidents.command()
def resolve(incident_id: Identity, reason: Reason, tenant: Tenant = "default") -> None:
    """Say that the trouble is over."""
    _end(incident_id, State.RESOLVED, reason, tenant)


@incidents.command()
def close(incident_id: Identity, reason: Reason, tenant: Tenant = "default") -> None:
    """Say that nothing is left to do."""
    _end(incident_id, State.CLOSED, reason, tenant)


@incidents.command()
def metrics(tenant: Tenant = "default", as_json: AsJson = False) -> None:
    """Say how many incidents there are, and how fast they were diagnosed and resolved: medians."""
    from mimir_core.store.figures import read_figures  # noqa: PLC0415

    found = ask(lambda database: read_figures(database, tenant))
    figures = {
        "MTTD": ("received to diagnosed", found.time_to_diagnosis),
        "MMTD": ("first signal to diagnosed", found.model_time_to_detection),
        "MTTR": ("received to resolved", found.time_to_resolution),
    }
    if as_json:
        timed = {name: figure._asdict() for name, (_, figure) in figures.items()}
        sys.stdout.write(json.dumps({"incidents": found.incidents, **timed}, indent=2) + "\n")
        return
    for state, count in found.incidents.items():
        sys.stdout.write(f"{state:18} {count}\n")
    for name, (meaning, figure) in figures.items():
        median = "-" if figure.median_seconds is None else f"{figure.median_seconds:.1f} s"
        sys.stdout.write(f"{name}  {meaning:26} {median:>12}  of {figure.counted}\n")


def _end(incident_id: str, wanted: State, reason: str, tenant: str) -> None:
    from mimir_core.safety.redact import redact  # noqa: PLC0415
    from mimir_core.store.requests import Asker, end_incident  # noqa: PLC0415

    async def end(database: "Database") -> None:
        asker = Asker(tenant, user(), await database.now())
        await end_incident(database, incident_id, wanted, redact(reason).text, asker)

    ask(end)
    sys.stdout.write(f"{incident_id} is {wanted}\n")


def _render(found: "IncidentDetail") -> str:
    lines = [f"{found.id}  {found.state}  {found.severity}  {found.service or '-'}", found.title, found.description, "", "Alerts"]
    lines += [f"  {one.received_at:%Y-%m-%d %H:%M:%S}  {one.status:8}  {one.alert.name}" for one in found.alerts]
    lines += ["", "History"]
    for one in found.timeline:
        lines.append(f"  {one.at:%Y-%m-%d %H:%M:%S}  {one.actor}: {one.after or one.event}: {one.reason}")
    if found.diagnosis:
        lines += ["", "Diagnosis", f"  {found.diagnosis.headline}", f"  {found.diagnosis.reason}"]
    return "\n".join(lines) + "\n"
