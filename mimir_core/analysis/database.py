"""Which statements load a database, and what they wait for -> statements about it.

Comes in: the load of each statement, as Performance Insights and alike report it. Goes out: what the heaviest one is, its
share and its waits, and who takes the CPU. Surprises: being the heaviest is no fault; it becomes a suspect through the
effects that it explains. A busy CPU may be another statement's work, and then it is no effect of the heaviest one.
Waits: PostgreSQL documentation, "Wait Events"; Amazon RDS user guide, "Tuning with wait events" (time on the CPU is counted
as a wait for it).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from mimir_core.telemetry.signals import QueryLoad, Statement

_MAIN_SHARE = 0.4
"""A statement with less than this share of the load is one of many."""
_SHOWN_WAITS = 3
_QUOTED_CHARACTERS = 140


def describe_load(loads: Iterable[QueryLoad]) -> Iterator[Statement]:
    """Yield a statement for each server that one database statement dominates, and for one beside it that takes the CPU."""
    servers: dict[str, list[QueryLoad]] = defaultdict(list)
    for load in loads:
        servers[load.component].append(load)
    for server, of_server in servers.items():
        total = sum(load.load for load in of_server)
        heaviest = max(of_server, key=lambda load: load.load)
        if total <= 0 or heaviest.load < _MAIN_SHARE * total:
            continue
        waits = sorted(heaviest.waits, key=lambda name: -heaviest.waits[name])[:_SHOWN_WAITS]
        text = f"{heaviest.load / total:.0%} of the database load is: {heaviest.query_text[:_QUOTED_CHARACTERS]}"
        if waits:
            text += f"; it waits for {', '.join(waits)}"
        taker, share = _taker_of_cpu(of_server)
        if taker is heaviest:
            text += f"; it takes {share:.0%} of the CPU time"
        yield Statement("tool", server, text, heaviest.origin, heaviest.query)
        if taker and taker is not heaviest:
            text = f"{share:.0%} of the CPU time of all queries is taken by: {taker.query_text[:_QUOTED_CHARACTERS]}"
            yield Statement("tool", server, text, taker.origin, taker.query)


def _taker_of_cpu(loads: list[QueryLoad]) -> tuple[QueryLoad | None, float]:
    """Return the statement with more than half of the time on the CPU, and its share; None where that cannot be told."""
    taker, total = max(loads, key=_on_cpu), sum(map(_on_cpu, loads))
    is_told = len(loads) > 1 and all(load.waits for load in loads)
    share = _on_cpu(taker) / total if is_told and total > 0 else 0.0
    return (taker, share) if share > 1 / 2 else (None, share)


def _on_cpu(load: QueryLoad) -> float:
    return sum(time for wait, time in load.waits.items() if wait.upper().partition(":")[0] == "CPU")
