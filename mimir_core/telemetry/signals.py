"""What the sources of telemetry hand to the analysis: redacted, typed, with their origin.

Comes in: nothing; these are the words that readers and analyzers share. Goes out: :class:`Signals`.
Surprise: a :class:`Statement` is anything that the system said about one component in one breath (a log line, a
container state, an event), so that one table of signs can be held against all of them.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import pandas as pd

from mimir_core.records import Incident, Outcome

StatementSource = Literal["log", "kubernetes", "tool"]
State = Literal["fine", "bad", "untold"]

_RANDOM = "[bcdfghjklmnpqrstvwxz2456789]"  # the letters that Kubernetes draws suffixes from (k8s.io/apimachinery util/rand)
_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
_POD_OF_DEPLOYMENT = re.compile(rf"-(?=[a-z0-9]*\d)(?:{_RANDOM}{{6,10}}|[0-9a-f]{{8,10}})-[a-z0-9]{{5}}$")
_POD_OF_STATEFUL_SET = re.compile(r"-\d{1,3}$")
_POD_OF_DAEMON_SET_OR_JOB = re.compile(rf"-(?!https$){_RANDOM}{{5}}$")


@dataclass(frozen=True)
class Statement:
    """One thing that the system said about one component."""

    source: StatementSource
    component: str
    text: str
    origin: str
    query: str = ""
    time: datetime | None = None
    level: str = ""
    namespace: str = ""
    state: State = "untold"
    """How things are, where the source says so: a ready pod is fine. A line or an event tells what happened: untold."""
    count: int = 1
    """How often it was said, where the source counts (Kubernetes events do)."""


@dataclass
class Signals:
    """All that was read about one incident."""

    incident: Incident
    metrics: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Index: time (UTC, sorted, unique). Columns: pairs (component, metric). Values: floats, NaN where missing."""
    metrics_origin: str = ""
    """The files or tools that the series come from."""
    statements: list[Statement] = field(default_factory=list)
    sources: dict[str, Outcome] = field(default_factory=dict)
    dropped: Counter[str] = field(default_factory=Counter)
    masked: Counter[str] = field(default_factory=Counter)
    """Secrets that redaction masked, by kind."""


def workload_of(pod: str) -> str:
    """Return the workload that a pod's name points to.

    >>> workload_of("checkout-api-6d4cf56db6-x7k2p"), workload_of("orders-db-0"), workload_of("node-exporter-x8vkq")
    ('checkout-api', 'orders-db', 'node-exporter')
    >>> workload_of("api-gateway"), workload_of("edge-https")
    ('api-gateway', 'edge-https')
    """
    for suffix in (_POD_OF_DEPLOYMENT, _POD_OF_STATEFUL_SET, _POD_OF_DAEMON_SET_OR_JOB):
        shorter = suffix.sub("", pod)
        if shorter != pod and shorter:
            return shorter
    return pod


def parse_time(value: object) -> datetime | None:
    """Return a time in UTC from ISO 8601 text, unix seconds (or ms, us, ns), or None when ``value`` is no time.

    Only times between 2000 and 2100 count as unix times, so that small numbers are not mistaken for one. Text needs a year:
    a time of day alone would mean another day on each run.

    >>> parse_time("2026-03-01T02:14:00Z").isoformat(), parse_time(1772331240).isoformat()
    ('2026-03-01T02:14:00+00:00', '2026-03-01T02:14:00+00:00')
    >>> parse_time("12") is None, parse_time("12:30:01") is None, parse_time("now") is None
    (True, True, True)
    """
    if isinstance(value, bool) or value is None:
        return None
    try:
        number = float(value) if isinstance(value, int | float | str) else float("nan")
    except OverflowError:
        return None
    except ValueError:
        text = str(value)
        stamp = pd.to_datetime(text, utc=True, errors="coerce") if _YEAR.search(text) else pd.NaT
    else:
        seconds = next((number / scale for scale in (1, 1e3, 1e6, 1e9) if 946684800 <= number / scale < 4102444800), None)
        stamp = pd.NaT if seconds is None else pd.Timestamp(seconds, unit="s", tz="UTC")
    return None if pd.isna(stamp) else stamp.floor("us").to_pydatetime()


def join_metrics(frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Put series from several places on one time axis; the first wins where two give the same series and time."""
    joined = pd.DataFrame()
    for frame in frames:
        joined = frame if joined.empty else joined.combine_first(frame)
    return joined.sort_index()
