"""The tables of the store. Every row belongs to a tenant; times are UTC; documents are JSON, as the records write them.

Surprises: an alert is unique by tenant, fingerprint and start, so that one that is sent twice is stored once; a job is claimed by
a token, and whoever writes without the token that is in the row writes nothing. The schema changes by ``migrations`` alone.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)


class _Time(TypeDecorator[datetime]):
    """A time with a zone; SQLite keeps none, so that it is written as UTC and read as UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002  # the signature is SQLAlchemy's
        """Refuse a time without a zone: nobody knows when it was."""
        if value is not None and value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002  # the signature is SQLAlchemy's
        """Return it with its zone."""
        return value if value is None or value.tzinfo else value.replace(tzinfo=UTC)


_Document = JSON().with_variant(JSONB(), "postgresql")


def _id() -> Column[str]:
    return Column("id", String(64), primary_key=True)


def _number() -> Column[int]:
    return Column("number", Integer, primary_key=True, autoincrement=True)


def _tenant() -> Column[str]:
    return Column("tenant", String(80), nullable=False)


def _incident(*, nullable: bool = False) -> Column[str]:
    return Column("incident_id", String(64), ForeignKey("incidents.id"), nullable=nullable)


def _when(name: str = "at", *, nullable: bool = False) -> Column[datetime]:
    return Column(name, _Time, nullable=nullable)


incidents = Table(
    "incidents",
    metadata,
    _id(),
    _tenant(),
    Column("state", String(20), nullable=False),
    Column("title", Text, nullable=False),
    Column("description", Text, nullable=False, default=""),
    Column("severity", String(10), nullable=False),
    Column("service", Text),
    Column("tier", Integer, nullable=False),
    Column("snapshot", _Document),
    _when("opened_at", nullable=True),
    _when("received_at"),
    _when("detected_at", nullable=True),
    _when("calm_at", nullable=True),
    _when("changed_at"),
    Index("ix_incidents_state", "tenant", "state"),
    Index("ix_incidents_list", "tenant", "received_at"),
)
"""``detected_at``: the earliest related signal, by the diagnosis. ``calm_at``: when all its alerts had resolved."""

alerts = Table(
    "alerts",
    metadata,
    _number(),
    _tenant(),
    _incident(),
    Column("group_key", String(64)),
    Column("fingerprint", String(64), nullable=False),
    _when("starts_at"),
    _when("ends_at", nullable=True),
    Column("status", String(10), nullable=False),
    Column("alert", _Document, nullable=False),
    _when("received_at"),
    UniqueConstraint("tenant", "fingerprint", "starts_at"),
    Index("ix_alerts_group", "tenant", "group_key", "number"),
    Index("ix_alerts_incident", "incident_id", "status"),
)
"""``group_key``: hash of what its sender groups by; none where a person opened the incident, which then stands alone."""

jobs = Table(
    "jobs",
    metadata,
    _id(),
    _tenant(),
    _incident(),
    Column("is_open", Boolean, nullable=False),
    Column("tries", Integer, nullable=False, default=0),
    Column("token", String(64)),
    Column("worker", Text),
    _when("urgent_since"),
    _when("due_at"),
    _when("lease_until", nullable=True),
    Column("error", Text),
    _when("created_at"),
    _when("ended_at", nullable=True),
    Index("ix_jobs_queue", "is_open", "urgent_since"),
    Index("ix_jobs_recent", "tenant", "created_at"),
)
"""One open job an incident at most: see the partial index below."""
Index(
    "uq_jobs_open",
    jobs.c.incident_id,
    unique=True,
    sqlite_where=jobs.c.is_open,
    postgresql_where=jobs.c.is_open,
)

packs = Table("packs", metadata, _id(), _tenant(), _incident(), Column("pack", _Document, nullable=False), _when())

diagnoses = Table(
    "diagnoses",
    metadata,
    _id(),
    _tenant(),
    _incident(),
    Column("job_id", String(64), ForeignKey("jobs.id"), nullable=False, unique=True),
    Column("pack_id", String(64), ForeignKey("packs.id"), nullable=False),
    Column("diagnosis", _Document, nullable=False),
    _when(),
    Index("ix_diagnoses_incident", "incident_id", "at"),
    Index("ix_diagnoses_latest", "at"),
)
"""A job ends with one diagnosis at most, whoever repeats it: job, pack, diagnosis and run share their id."""

runs = Table(
    "runs",
    metadata,
    _id(),
    _tenant(),
    _incident(),
    Column("diagnosis_id", String(64), ForeignKey("diagnoses.id"), nullable=False, unique=True),
    Column("run", _Document, nullable=False),
    Column("mlflow_run_id", String(64)),
    _when(),
)

actions = Table(
    "actions",
    metadata,
    _id(),
    _tenant(),
    _incident(),
    Column("diagnosis_id", String(64), ForeignKey("diagnoses.id"), nullable=False),
    Column("action", _Document, nullable=False),
    Column("state", String(20), nullable=False),
    _when(),
)

feedback = Table(
    "feedback",
    metadata,
    _id(),
    _tenant(),
    _incident(),
    Column("diagnosis_id", String(64), ForeignKey("diagnoses.id"), nullable=False),
    Column("actor", Text, nullable=False),
    Column("feedback", _Document, nullable=False),
    Column("is_shown", Boolean, nullable=False, default=False),
    _when(),
)

audit = Table(
    "audit",
    metadata,
    _number(),
    _tenant(),
    _incident(nullable=True),
    Column("actor", Text, nullable=False),
    Column("event", String(64), nullable=False),
    Column("before", String(20)),
    Column("after", String(20)),
    Column("reason", Text, nullable=False, default=""),
    _when(),
    Index("ix_audit_incident", "incident_id", "number"),
)
"""Rows are added, never changed. What is about a key is about no incident."""

keys = Table(
    "keys",
    metadata,
    _id(),
    _tenant(),
    Column("name", Text, nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
    Column("scopes", _Document, nullable=False),
    _when("created_at"),
    _when("revoked_at", nullable=True),
)

receipts = Table(
    "receipts",
    metadata,
    Column("tenant", String(80), primary_key=True),
    Column("idempotency_key", String(120), primary_key=True),
    Column("request_hash", String(64), nullable=False),
    Column("answer", _Document, nullable=False),
    _when(),
)
"""What was answered to a request with an idempotency key: who asks again gets the same answer."""
