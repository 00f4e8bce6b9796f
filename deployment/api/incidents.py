"""``/api/v1/incidents...``: what people open, read, ask again and end."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, FiniteFloat

from deployment.api.alerts import Accepted
from deployment.api.bodies import BoundedRoute
from deployment.api.context import ROOM, Here, needs
from mimir_core.records import Incident, Record, Severity
from mimir_core.store.lifecycle import State
from mimir_core.store.requests import Asker, ask_again, create_incident, end_incident
from mimir_core.store.scopes import Scope
from mimir_core.store.views import IncidentDetail, IncidentPage, list_incidents, read_incident

router = APIRouter(prefix="/api/v1/incidents", tags=["incidents"], route_class=BoundedRoute)
READER, OPERATOR = needs(Scope.VIEWER), needs(Scope.OPERATOR)
INCIDENT_ID = "^i[0-9a-f]{24}$"
IncidentId = Annotated[str, Path(pattern=INCIDENT_ID)]


def _of_this_century(time: datetime) -> datetime:
    if not 2000 <= time.year < 2100:
        raise ValueError("is not of this century")
    return time


class NewIncident(BaseModel):
    """What a person saw."""

    model_config = ConfigDict(extra="forbid")

    title: str = Field(min_length=1, max_length=500)
    description: str = ""
    severity: Severity = Severity.WARNING
    affected_service: str | None = Field(default=None, min_length=1, max_length=500)
    opened_at: Annotated[AwareDatetime, AfterValidator(_of_this_century)] | None = None
    metrics_snapshot: dict[str, FiniteFloat] = {}


class Ending(BaseModel):
    """Why an incident is over."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(min_length=1, max_length=2000)


class Done(Record):
    """What was written."""

    id: str


@router.post("", status_code=202, dependencies=[ROOM])
async def create(
    new: NewIncident,
    here: Here,
    asker: Asker = OPERATOR,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=120)] = None,
) -> Accepted:
    """Open an incident and ask for its diagnosis."""
    incident = Incident(
        id="new",
        tenant=asker.tenant,
        title=new.title,
        description=new.description,
        severity=new.severity,
        opened_at=new.opened_at,
        service=new.affected_service,
    )
    with here.metrics.intake_seconds.time():
        receipt = await create_incident(
            here.database, incident, new.metrics_snapshot, asker, here.params.store, idempotency_key, here.services
        )
    here.note(receipt)
    return Accepted.of(receipt)


@router.get("")
async def page(
    here: Here,
    asker: Asker = READER,
    state: Annotated[list[State], Query()] = [],  # noqa: B006  # FastAPI copies it
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: str | None = None,
) -> IncidentPage:
    """List incidents, newest first."""
    return await list_incidents(here.database, asker.tenant, state, limit, cursor)


@router.get("/{incident_id}")
async def show(incident_id: IncidentId, here: Here, asker: Asker = READER) -> IncidentDetail:
    """Show an incident with its alerts, its history, its diagnosis and the evidence."""
    return await read_incident(here.database, asker.tenant, incident_id)


@router.post("/{incident_id}/analyze", status_code=202, dependencies=[ROOM])
async def analyze(incident_id: IncidentId, here: Here, asker: Asker = OPERATOR) -> Done:
    """Ask for another diagnosis."""
    await ask_again(here.database, incident_id, asker)
    here.trigger.pull()
    return Done(id=incident_id)


@router.post("/{incident_id}/resolve")
async def resolve(incident_id: IncidentId, ending: Ending, here: Here, asker: Asker = OPERATOR) -> Done:
    """Say that the trouble is over."""
    await end_incident(here.database, incident_id, State.RESOLVED, ending.reason, asker)
    return Done(id=incident_id)


@router.post("/{incident_id}/close")
async def close(incident_id: IncidentId, ending: Ending, here: Here, asker: Asker = OPERATOR) -> Done:
    """Say that nothing is left to do."""
    await end_incident(here.database, incident_id, State.CLOSED, ending.reason, asker)
    return Done(id=incident_id)
