"""What people ask of the store: a new incident, another analysis, an end, a word on a diagnosis.

Comes in: the request, by whom, and when. Goes out: what was written, in one transaction each. Surprise: a request that comes
twice with one idempotency key is done once and answered twice (IETF draft "The Idempotency-Key HTTP Header Field").
"""

import secrets
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Literal, NamedTuple, Self

from pydantic import Field, model_validator
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from mimir_core.config import StoreSettings
from mimir_core.errors import InputError, MimirError
from mimir_core.records import Alert, FaultKind, Incident, Record, content_hash
from mimir_core.store.database import Database
from mimir_core.store.history import move
from mimir_core.store.intake import Receipt, receive_within
from mimir_core.store.jobs import close_job, open_job
from mimir_core.store.lifecycle import ANALYZABLE, State, TransitionError
from mimir_core.store.locks import lock_incident, lock_tenant
from mimir_core.store.services import NONE_KNOWN, Services
from mimir_core.store.tables import audit, feedback, incidents, receipts
from mimir_core.store.views import find_incident, latest_diagnosis


class NoDiagnosisError(MimirError):
    """There is nothing yet to give feedback on."""

    http_status = 409


class CorrectedCause(Record):
    """What broke, where, as a person says."""

    component: str = Field(min_length=1, max_length=500)
    fault_kind: FaultKind


class Opinion(Record):
    """What a person says about the latest diagnosis of an incident."""

    verdict: Literal["correct", "wrong", "corrected"]
    cause: CorrectedCause | None = None
    actions: tuple[str, ...] = Field(default=(), max_length=100)
    """What should have been proposed, in order."""
    comment: str = ""

    @model_validator(mode="after")
    def _corrects_if_it_says_so(self) -> Self:
        corrects = self.cause is not None or bool(self.actions)
        if corrects != (self.verdict == "corrected"):
            raise ValueError("a verdict of 'corrected' names a cause or actions, and no other does")
        return self


class Asker(NamedTuple):
    """Who asks, and when."""

    tenant: str
    name: str
    now: datetime


async def create_incident(  # noqa: PLR0913, PLR0917  # what, by whom, and how to treat it
    database: Database,
    incident: Incident,
    snapshot: Mapping[str, float],
    asker: Asker,
    settings: StoreSettings,
    idempotency_key: str | None,
    services: Services = NONE_KNOWN,
) -> Receipt:
    """Open an incident, which stands alone whatever else is open: it joins none, and none joins it.

    Args:
        database: The store.
        incident: Of the asker's tenant; without alerts, it is itself what fires.
        snapshot: Figures to keep with it.
        asker: Who asks.
        settings: The ``store`` section.
        idempotency_key: The same key and the same incident open one, and get one answer.
        services: Says how near to users the affected one is.

    Raises:
        InputError: The key was used for something else.
        BackendError: Nothing was stored.
    """

    async def open_it(connection: AsyncConnection) -> dict[str, Any]:
        alert = Alert(
            name=incident.title,
            severity=incident.severity,
            starts_at=incident.opened_at or asker.now,
            annotations={"description": incident.description} if incident.description else {},
            fingerprint=secrets.token_hex(8),
        )
        alone = incident.model_copy(update={"alerts": (alert,)})
        receipt = await receive_within(connection, alone, None, asker.name, settings, asker.now, services)
        mine = incidents.c.id == receipt.incidents[0]
        await connection.execute(update(incidents).where(mine).values(snapshot=dict(snapshot)))
        return receipt._asdict()

    async with database.writing() as connection:
        if idempotency_key is None:
            return Receipt(**await open_it(connection))
        asked = content_hash([incident.model_dump(mode="json"), dict(snapshot)], 64)
        answer = await _once(connection, asker, idempotency_key, asked, open_it)
        return Receipt(**{**answer, "incidents": tuple(answer["incidents"])})


async def ask_again(database: Database, incident_id: str, asker: Asker) -> None:
    """Ask for another diagnosis of an incident.

    Raises:
        UnknownIncidentError: The tenant has none of this id.
        TransitionError: Somebody works on it, or it is over.
        BackendError: Nothing was written.
    """
    async with database.writing() as connection:
        await find_incident(connection, select(incidents.c.id), asker.tenant, incident_id)
        row = await lock_incident(connection, incident_id)
        if State(row.state) not in ANALYZABLE:
            allowed = ", ".join(ANALYZABLE)
            raise TransitionError(f"an incident that is {row.state} is not analyzed again; one that is {allowed} is")
        await move(connection, incident_id, State.RECEIVED, asker.name, "asked for another diagnosis", asker.now)
        await open_job(connection, row, asker.now, asker.now)


async def end_incident(database: Database, incident_id: str, wanted: State, reason: str, asker: Asker) -> None:
    """Say that an incident is over.

    Alerts that still fire stay as they are. When they are sent again nothing happens; a new one of their groups within the
    cooldown reopens the incident.

    Args:
        database: The store.
        incident_id: Of the asker's tenant.
        wanted: Resolved or closed.
        reason: For the audit.
        asker: Who says so.

    Raises:
        UnknownIncidentError: The tenant has none of this id.
        TransitionError: It cannot end from where it stands: somebody works on it, say.
        BackendError: Nothing was written.
    """
    async with database.writing() as connection:
        await find_incident(connection, select(incidents.c.id), asker.tenant, incident_id)
        await lock_incident(connection, incident_id)
        await move(connection, incident_id, wanted, asker.name, reason, asker.now)
        await close_job(connection, incident_id, asker.now)


async def give_feedback(database: Database, incident_id: str, opinion: Opinion, asker: Asker) -> str:
    """Write down what a person says about the latest diagnosis; return the id of the row.

    Raises:
        UnknownIncidentError: The tenant has none of this id.
        NoDiagnosisError: It has no diagnosis.
        BackendError: Nothing was written.
    """
    identity = "f" + secrets.token_hex(12)
    common = {"tenant": asker.tenant, "incident_id": incident_id, "actor": asker.name, "at": asker.now}
    async with database.writing() as connection:
        await find_incident(connection, select(incidents.c.id), asker.tenant, incident_id)
        latest = (await connection.execute(latest_diagnosis(incident_id))).one_or_none()
        if latest is None:
            raise NoDiagnosisError(f"incident {incident_id} has no diagnosis yet")
        said = {"id": identity, "diagnosis_id": latest.id, "feedback": opinion.model_dump(mode="json")}
        await connection.execute(insert(feedback).values(**said, **common))
        await connection.execute(insert(audit).values(event="feedback", reason=opinion.verdict, **common))
    return identity


async def _once(
    connection: AsyncConnection,
    asker: Asker,
    idempotency_key: str,
    asked: str,
    work: Callable[[AsyncConnection], Awaitable[dict[str, Any]]],
) -> dict[str, Any]:
    """Do ``work`` unless it was done for this key, and return its answer, a JSON document."""
    idempotency_key = content_hash([idempotency_key], 64)  # it may be a secret
    await lock_tenant(connection, asker.tenant)
    known = select(receipts).where(receipts.c.tenant == asker.tenant, receipts.c.idempotency_key == idempotency_key)
    row = (await connection.execute(known)).one_or_none()
    if row is None:
        answer = await work(connection)
        kept = {"idempotency_key": idempotency_key, "request_hash": asked, "answer": answer, "at": asker.now}
        await connection.execute(insert(receipts).values(tenant=asker.tenant, **kept))
        return answer
    if row.request_hash != asked:
        raise InputError("Idempotency-Key: was used for another request")
    return dict(row.answer)
