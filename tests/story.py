"""The life of incidents, told step by step: every step says how many seconds after noon it happens."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Table, select

from mimir_core.config import StoreSettings
from mimir_core.records import Alert, Diagnosis, EvidencePack, Incident, Run, Severity, Verdict
from mimir_core.store.claims import Claim, claim, finish
from mimir_core.store.database import Database
from mimir_core.store.intake import Receipt, receive
from mimir_core.store.services import NONE_KNOWN, Services
from mimir_core.store.tables import incidents, jobs

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@dataclass(frozen=True)
class Story:
    """A store, and what happens to it."""

    database: Database
    settings: StoreSettings
    services: Services = NONE_KNOWN

    async def send(  # noqa: PLR0913
        self,
        service: str,
        name: str = "Slow",
        after: float = 0.0,
        *,
        starts: float = 0.0,
        status: Literal["firing", "resolved"] = "firing",
        group: str = "",
        tenant: str = "default",
        severity: Severity = Severity.WARNING,
    ) -> Receipt:
        """Let an alert of a service come; its group is the service, where it has no other."""
        print_ = f"{service}-{name}"
        alert = Alert(name=name, status=status, severity=severity, starts_at=at(starts), fingerprint=print_)
        incident = Incident(id="i", tenant=tenant, title=service, service=service, severity=severity, alerts=(alert,))
        return await receive(self.database, incident, group, "alertmanager", self.settings, at(after), self.services)

    async def claim(self, after: float = 1.0, worker: str = "w1") -> Claim | None:
        """Let a worker ask for work."""
        return await claim(self.database, worker, self.settings, at(after))

    async def hold(self, after: float = 1.0, worker: str = "w1") -> Claim:
        """Let a worker get work."""
        held = await self.claim(after, worker)
        assert held is not None
        return held

    async def finish(self, held: Claim, after: float = 2.0, verdict: Verdict = Verdict.CAUSE_FOUND) -> None:
        """Let a worker end."""
        pack = EvidencePack(incident=Incident(id=held.incident_id, title="x"))
        diagnosis = Diagnosis(incident_id=held.incident_id, verdict=verdict, headline="cart: cpu", reason="because")
        ran = {"id": "r", "incident_id": held.incident_id, "diagnosis_hash": "x", "reasoner": "builtin", "latency_ms": 1.0}
        await finish(self.database, held, pack, diagnosis, Run(**ran, started_at=NOON), self.settings, at(after))

    async def rows(self, table: Table) -> Sequence[Any]:
        """Return a table, in the order in which it was written."""
        order = next(table.c[name] for name in ("number", "received_at", "created_at", "at") if name in table.c)
        async with self.database.reading() as connection:
            return (await connection.execute(select(table).order_by(order))).all()

    async def states(self) -> list[str]:
        """Return where each incident stands."""
        return [row.state for row in await self.rows(incidents)]

    async def open_jobs(self) -> list[Any]:
        """Return what is asked of workers."""
        return [row for row in await self.rows(jobs) if row.is_open]
