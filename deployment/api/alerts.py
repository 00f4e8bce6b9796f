"""``/api/v1/alerts/...``: what monitoring sends.

Comes in: Alertmanager's webhook, version 4, or plain objects. Goes out: 202, once every alert is on the disk. Surprises: fields
that nobody knows are let in, senders add them; what Alertmanager is answered with 4xx it does not send again, with 5xx it does
(its documentation, webhook_config).
"""

from collections.abc import Mapping
from typing import Any, Literal, Self

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from deployment.api.bodies import BoundedRoute
from deployment.api.context import ROOM, Context, Here, needs
from mimir_core.records import Record
from mimir_core.store.intake import Receipt, receive
from mimir_core.store.requests import Asker
from mimir_core.store.scopes import Scope
from mimir_core.telemetry.alerts import parse_incident

router = APIRouter(prefix="/api/v1/alerts", tags=["alerts"], route_class=BoundedRoute)
SENDER = needs(Scope.WEBHOOK)


class Accepted(Record):
    """It is on the disk."""

    incidents: tuple[str, ...]
    """Where the alerts belong."""
    new_alerts: int
    known_alerts: int
    jobs: int
    """Diagnoses that were asked for."""
    suppressed: int
    """Incidents that wait for the end of a storm."""

    @classmethod
    def of(cls, receipt: Receipt) -> Self:
        """Return the answer to a message."""
        return cls(**receipt._asdict())


class _Sent(BaseModel):
    model_config = ConfigDict(extra="allow")


class AlertmanagerAlert(_Sent):
    """One alert of a message."""

    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    annotations: dict[str, str] = {}
    startsAt: str  # noqa: N815  # Alertmanager's word
    fingerprint: str = ""


class AlertmanagerMessage(_Sent):
    """The webhook of Alertmanager, version 4."""

    version: Literal["4"]
    groupKey: str = Field(min_length=1)  # noqa: N815  # likewise
    alerts: list[AlertmanagerAlert] = Field(min_length=1)


@router.post("/alertmanager", status_code=202, dependencies=[ROOM])
async def alertmanager(message: AlertmanagerMessage, here: Here, asker: Asker = SENDER) -> Accepted:
    """Take a message of Alertmanager."""
    return await _take(message.model_dump(mode="json"), message.groupKey, here, asker)


@router.post("/generic", status_code=202, dependencies=[ROOM])
async def generic(message: dict[str, Any], here: Here, asker: Asker = SENDER) -> Accepted:
    """Take an object with a title, summary or name, or with a list of such alerts; ``groupKey`` says what belongs together."""
    group_key = message.get("groupKey", "")
    if not isinstance(group_key, str):
        raise HTTPException(422, "groupKey: expected text")
    return await _take(message, group_key, here, asker)


async def _take(message: Mapping[str, Any], group_key: str, here: Context, asker: Asker) -> Accepted:
    most = here.params.api.max_alerts
    incident = parse_incident(message, "body").model_copy(update={"tenant": asker.tenant})
    if len(incident.alerts) > most:
        raise HTTPException(422, f"alerts: {len(incident.alerts)} in one message, {most} at most")
    with here.metrics.intake_seconds.time():
        receipt = await receive(here.database, incident, group_key, asker.name, here.params.store, asker.now, here.services)
    here.note(receipt)
    return Accepted.of(receipt)
