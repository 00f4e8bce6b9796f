"""Anything that stands for a time -> a time in UTC, or None.

Comes in: text, a number, a time or nothing. Goes out: a time with a zone. Surprise: only what names a year, or is a unix time
of this century, counts; a number or a time of day alone would mean another moment on each run.
"""

import re
from datetime import UTC, datetime
from typing import Any

import pandas as pd
from pandas._libs import NaTType

_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")


def parse_time(value: Any) -> datetime | None:
    """Return a time in UTC from ISO 8601 text, unix seconds (or ms, us, ns) or a time, or None when ``value`` is none of them.

    Only times between 2000 and 2100 count as unix times, so that small numbers are not mistaken for one. Text needs a year:
    a time of day alone would mean another day on each run. What names no zone is in UTC.

    >>> parse_time("2026-03-01T02:14:00Z").isoformat(), parse_time(1772331240).isoformat()
    ('2026-03-01T02:14:00+00:00', '2026-03-01T02:14:00+00:00')
    >>> parse_time("12") is None, parse_time("12:30:01") is None, parse_time("now") is None
    (True, True, True)
    """
    if isinstance(value, bool):
        return None
    try:
        stamp = _in_utc(value) if isinstance(value, datetime) else _parse_unix(float(value))
    except (TypeError, OverflowError):
        return None
    except ValueError:
        stamp = _parse_text(str(value).strip())
    return None if pd.isna(stamp) else stamp.to_pydatetime(warn=False)


def _parse_unix(number: float) -> pd.Timestamp | NaTType:
    seconds = (number / scale for scale in (1, 1e3, 1e6, 1e9))
    return pd.Timestamp(next((s for s in seconds if 946684800 <= s < 4102444800), float("nan")), unit="s", tz="UTC")


def _parse_text(text: str) -> pd.Timestamp | NaTType:
    """ISO 8601 by the standard library, which is a hundred times as fast; all else as pandas reads it."""
    if not _YEAR.search(text):
        return pd.NaT
    try:
        return _in_utc(datetime.fromisoformat(text))
    except ValueError:
        return pd.to_datetime(text, utc=True, errors="coerce")


def _in_utc(time: datetime) -> pd.Timestamp | NaTType:
    return pd.Timestamp(time if time.tzinfo else time.replace(tzinfo=UTC)).tz_convert("UTC")
