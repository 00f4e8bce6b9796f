"""Times in the store, held against a clock that may have been set since they were written.

Comes in: a column and the time now. Goes out: a condition. Surprise: who waits for a lock brings a time from before the wait, so
that a row may be a little newer than now; a row that is much newer was written before the clock was set back.
"""

from datetime import datetime, timedelta

from sqlalchemy import Column, ColumnElement, or_


def is_near(column: Column[datetime], now: datetime, seconds: float) -> ColumnElement[bool]:
    """Say whether a time is less than ``seconds`` away, on either side."""
    span = timedelta(seconds=seconds)
    return column.between(now - span, now + span)


def is_past(column: Column[datetime], now: datetime, longest_seconds: float) -> ColumnElement[bool]:
    """Say whether a time has come, or lies so far ahead that no wait of ``longest_seconds`` explains it."""
    return or_(column <= now, column > now + timedelta(seconds=longest_seconds))
