"""How fast incidents are told apart, diagnosed and over: MTTD, MMTD and MTTR, from the audit.

Comes in: the store. Goes out: :class:`Figures`. Surprise: each figure counts only the incidents that have both of its times, in
order (where the clock was set back between them, nobody knows how long it was), so that every one says how many those are.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from statistics import median
from typing import Any, NamedTuple

from sqlalchemy import Subquery, func, select

from mimir_core.store.database import Database
from mimir_core.store.lifecycle import OVER, State
from mimir_core.store.tables import audit, diagnoses, incidents, runs

_LATEST = 1000


class Figure(NamedTuple):
    """The median of some times."""

    median_seconds: float | None
    """None where nothing was timed."""
    counted: int


class Figures(NamedTuple):
    """Of all incidents of a tenant."""

    incidents: dict[str, int]
    """How many, by state."""
    time_to_diagnosis: Figure
    """MTTD: from when an incident was received to its first diagnosis that names an answer."""
    model_time_to_detection: Figure
    """MMTD: from the earliest related signal, as the diagnosis tells it, to that diagnosis."""
    time_to_resolution: Figure
    """MTTR: from when it was received to when it resolved for good, of what is over."""


async def read_figures(database: Database, tenant: str) -> Figures:
    """Return the figures of a tenant.

    Raises:
        BackendError: The database is away.
    """
    diagnosed = _moments(func.min(audit.c.at), State.DIAGNOSED, tenant)
    resolved = _moments(func.max(audit.c.at), State.RESOLVED, tenant)
    query = (
        select(
            incidents.c.state,
            incidents.c.received_at,
            incidents.c.detected_at,
            diagnosed.c.at,
            resolved.c.at.label("resolved_at"),
        )
        .outerjoin(diagnosed, diagnosed.c.incident_id == incidents.c.id)
        .outerjoin(resolved, resolved.c.incident_id == incidents.c.id)
        .where(incidents.c.tenant == tenant)
    )
    async with database.reading() as connection:
        rows = (await connection.execute(query)).all()
    states = [row.state for row in rows]
    return Figures(
        {state.value: states.count(state) for state in State if state in states},
        _figure((row.received_at, row.at) for row in rows),
        _figure((row.detected_at, row.at) for row in rows),
        _figure((row.received_at, row.resolved_at) for row in rows if row.state in OVER),
    )


class Totals(NamedTuple):
    """What a dashboard shows, over all tenants."""

    states: dict[str, int]
    """Incidents by state."""
    verdicts: dict[str, int]
    """The latest diagnoses by verdict."""
    degraded: int
    """How many of them another reasoner than the configured one wrote."""
    seconds: tuple[float, ...]
    """How long each of them took, sorted."""


async def read_totals(database: Database) -> Totals:
    """Return what a dashboard shows; of diagnoses the latest thousand.

    Raises:
        BackendError: The database is away.
    """
    verdict, degraded = (diagnoses.c.diagnosis[name].as_string() for name in ("verdict", "degraded"))
    latest = (
        select(verdict, degraded, runs.c.run["latency_ms"].as_float())
        .join(runs, runs.c.diagnosis_id == diagnoses.c.id)
        .order_by(diagnoses.c.at.desc())
        .limit(_LATEST)
    )
    async with database.reading() as connection:
        states = (await connection.execute(select(incidents.c.state, func.count()).group_by(incidents.c.state))).all()
        rows = (await connection.execute(latest)).all()
    return Totals(
        {row[0]: row[1] for row in states},
        dict(Counter(row[0] for row in rows)),
        sum(row[1] is not None for row in rows),
        tuple(sorted(row[2] / 1000 for row in rows)),
    )


def _moments(moment: Any, state: State, tenant: str) -> Subquery:
    reached = select(audit.c.incident_id, moment.label("at")).where(audit.c.tenant == tenant, audit.c.after == state.value)
    return reached.group_by(audit.c.incident_id).subquery()


def _figure(spans: Iterable[tuple[datetime | None, datetime | None]]) -> Figure:
    seconds = [(end - start).total_seconds() for start, end in spans if start and end and start <= end]
    return Figure(median(seconds) if seconds else None, len(seconds))
