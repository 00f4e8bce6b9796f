"""How fast a recorded incident would have been diagnosed and over: MTTD, MMTD and MTTR, as ``store/figures`` has them.

Comes in: one answered case and how long that took. Goes out: the seconds of each, or why there are none. Surprises: a recording
counts as received when it is handed over, which is when it was noticed; when it was over, only its truth can tell, whoever
diagnosed it.
"""

from collections.abc import Mapping
from datetime import datetime
from statistics import median
from typing import Any

from mimir_core.records import Diagnosis, EvidencePack, Record, Verdict

MTTD, MMTD, MTTR = "mttd", "mmtd", "mttr"


class Timed(Record):
    """One time of one case."""

    seconds: float | None = None
    why_not: str = ""


def time_case(pack: EvidencePack, diagnosis: Diagnosis, resolved_at: datetime | None, seconds: float) -> dict[str, Timed]:
    """Return the times of one case.

    Args:
        pack: Says when it was noticed, and when it began.
        diagnosis: One that names no answer ends no time.
        resolved_at: By the truth.
        seconds: From the case to its diagnosis.
    """
    opened = pack.incident.opened_at
    answered = Timed(seconds=seconds)
    if diagnosis.verdict is Verdict.UNDETERMINED:
        answered = Timed(why_not="the diagnosis names no answer")
    return {
        MTTD: answered,
        MMTD: _sum(_between("the diagnosis tells no onset before the alert", pack.onset, opened), answered),
        MTTR: _between("the truth tells no recovery after the alert", opened, resolved_at),
    }


def median_of(times: list[Timed]) -> dict[str, Any]:
    """Return the median of those that are known, how many they are, and why others are not."""
    known = [timed.seconds for timed in times if timed.seconds is not None]
    unknown = [timed.why_not for timed in times if timed.seconds is None]
    why: Mapping[str, int] = {reason: unknown.count(reason) for reason in dict.fromkeys(unknown)}
    return {"median_seconds": median(known) if known else None, "counted": len(known), "not_counted": why}


def _between(why_not: str, start: datetime | None, end: datetime | None) -> Timed:
    if start is None or end is None or end < start:
        return Timed(why_not=why_not)
    return Timed(seconds=(end - start).total_seconds())


def _sum(one: Timed, other: Timed) -> Timed:
    if one.seconds is None or other.seconds is None:
        return one if one.seconds is None else other
    return Timed(seconds=one.seconds + other.seconds)
