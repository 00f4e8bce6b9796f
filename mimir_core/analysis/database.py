"""Which statements load a database, and what they wait for -> statements about it.

Comes in: the load of each statement, as Performance Insights and alike report it. Goes out: what the heaviest one is, its
share and its waits. Surprise: being the heaviest is no fault; it becomes a suspect through the effects that it explains.
Waits: PostgreSQL documentation, "Wait Events"; Amazon RDS user guide, "Tuning with wait events".
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from mimir_core.telemetry.signals import QueryLoad, Statement

_MAIN_SHARE = 0.4
"""A statement with less than this share of the load is one of many."""
_SHOWN_WAITS = 3
_QUOTED_CHARACTERS = 140


def describe_load(loads: Iterable[QueryLoad]) -> Iterator[Statement]:
    """Yield a statement for each server that one database statement dominates."""
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
        yield Statement("tool", server, text, heaviest.origin, heaviest.query)
