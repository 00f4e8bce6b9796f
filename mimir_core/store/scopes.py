"""What a key may be for, and which scope includes which."""

from collections.abc import Iterable
from enum import StrEnum


class Scope(StrEnum):
    """What a key is for."""

    VIEWER = "viewer"
    """Reads."""
    OPERATOR = "operator"
    """Reads, opens incidents, asks for analyses and gives feedback."""
    APPROVER = "approver"
    """Reads, and decides on actions."""
    ADMIN = "admin"
    """Everything."""
    WEBHOOK = "webhook"
    """Sends alerts, and reads nothing."""


_INCLUDES = {
    Scope.OPERATOR: frozenset({Scope.VIEWER}),
    Scope.APPROVER: frozenset({Scope.VIEWER}),
    Scope.ADMIN: frozenset(Scope),
}


def covers(held: Iterable[Scope], wanted: Scope) -> bool:
    """Whether one of the scopes that are held is ``wanted``, or includes it.

    >>> covers([Scope.OPERATOR], Scope.VIEWER), covers([Scope.WEBHOOK], Scope.VIEWER)
    (True, False)
    """
    return any(wanted == own or wanted in _INCLUDES.get(own, ()) for own in held)
