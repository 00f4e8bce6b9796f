"""The life of an incident: its states, which may follow which, and how urgent it is.

Comes in: a state and the one that is wanted, or what is known of an incident. Goes out: the answer of one table. Surprises: an
alert that resolves while somebody works on its incident does not take the work away, the incident resolves after it; what is
parked or suppressed can come back, nothing is ever deleted.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from mimir_core.errors import MimirError
from mimir_core.records import Severity


class State(StrEnum):
    """Where an incident stands."""

    RECEIVED = "received"
    """Written down; waits for a worker."""
    SUPPRESSED = "suppressed"
    """Written down, but beyond the budget of a storm: waits for the storm to end."""
    DIAGNOSING = "diagnosing"
    DIAGNOSED = "diagnosed"
    ESCALATED = "escalated"
    """The diagnosis is undetermined, or an action failed: a person is needed."""
    AWAITING_APPROVAL = "awaiting_approval"
    REJECTED = "rejected"
    """A person declined the actions."""
    EXECUTING = "executing"
    VERIFYING = "verifying"
    FAILED = "failed"
    """An action did not do what it was for."""
    RESOLVED = "resolved"
    CLOSED = "closed"
    REOPENED = "reopened"
    """It fires again; waits for a worker."""
    PARKED = "parked"
    """Diagnosing it failed too often: waits for a person."""


_S = State
MAY_FOLLOW: Mapping[State, frozenset[State]] = {
    _S.RECEIVED: frozenset({_S.DIAGNOSING, _S.SUPPRESSED, _S.RESOLVED, _S.PARKED}),
    _S.SUPPRESSED: frozenset({_S.RECEIVED, _S.RESOLVED, _S.CLOSED}),
    _S.DIAGNOSING: frozenset({_S.DIAGNOSED, _S.ESCALATED, _S.RECEIVED, _S.REOPENED, _S.PARKED}),
    _S.DIAGNOSED: frozenset({_S.RECEIVED, _S.ESCALATED, _S.AWAITING_APPROVAL, _S.RESOLVED, _S.CLOSED}),
    _S.ESCALATED: frozenset({_S.RECEIVED, _S.AWAITING_APPROVAL, _S.RESOLVED, _S.CLOSED}),
    _S.AWAITING_APPROVAL: frozenset({_S.EXECUTING, _S.REJECTED, _S.ESCALATED, _S.RESOLVED}),
    _S.REJECTED: frozenset({_S.RECEIVED, _S.AWAITING_APPROVAL, _S.RESOLVED, _S.CLOSED}),
    _S.EXECUTING: frozenset({_S.VERIFYING, _S.FAILED}),
    _S.VERIFYING: frozenset({_S.RESOLVED, _S.FAILED}),
    _S.FAILED: frozenset({_S.RECEIVED, _S.AWAITING_APPROVAL, _S.ESCALATED, _S.RESOLVED, _S.CLOSED}),
    _S.RESOLVED: frozenset({_S.CLOSED, _S.REOPENED}),
    _S.CLOSED: frozenset({_S.REOPENED}),
    _S.REOPENED: frozenset({_S.DIAGNOSING, _S.SUPPRESSED, _S.RESOLVED, _S.PARKED}),
    _S.PARKED: frozenset({_S.RECEIVED, _S.RESOLVED, _S.CLOSED}),
}
"""The whole table: to be in none of these sets is to be refused."""

BUSY = (State.DIAGNOSING, State.EXECUTING, State.VERIFYING)
"""Somebody works on it: a resolved alert waits until they are done."""
OVER = (State.RESOLVED, State.CLOSED)
ANALYZABLE = (State.DIAGNOSED, State.ESCALATED, State.FAILED, State.REJECTED, State.PARKED)
"""Nobody works on it, and nobody is about to."""

_SEVERITY_HOURS = {Severity.CRITICAL: 12, Severity.ERROR: 8, Severity.WARNING: 4, Severity.INFO: 0}
LOWEST_TIER = 4


class TransitionError(MimirError):
    """An incident cannot go from one state to another."""

    http_status = 409


def check_transition(current: State, wanted: State) -> None:
    """Refuse what the table does not allow.

    Raises:
        TransitionError: It names both states and what may follow.

    >>> check_transition(State.RECEIVED, State.DIAGNOSING)
    """
    if wanted not in MAY_FOLLOW[current]:
        allowed = ", ".join(sorted(MAY_FOLLOW[current]))
        raise TransitionError(f"an incident that is {current} cannot become {wanted}; it may become {allowed}")


def urgent_since(severity: Severity, tier: int, received_at: datetime) -> datetime:
    """Return the time by which an incident is queued: the earlier, the sooner it is looked at.

    Waiting counts like urgency, so that nothing waits for ever: a level of severity is worth four hours, a tier one hour.

    Args:
        severity: Of its worst alert.
        tier: Of the affected service, 1 (users see it at once) to 4.
        received_at: When it was received.

    >>> noon = datetime(2026, 3, 1, 12)
    >>> urgent_since(Severity.CRITICAL, 1, noon) < urgent_since(Severity.WARNING, 1, noon)
    True
    >>> urgent_since(Severity.WARNING, 4, noon) < urgent_since(Severity.CRITICAL, 4, noon + timedelta(hours=9))
    True
    """
    return received_at - timedelta(hours=_SEVERITY_HOURS[severity] + LOWEST_TIER - tier)
