"""Spans of sampled requests: a server span a visit, and a client span around it where the system's library writes those.

Comes in: visits. Goes out: a table with ``trace_id, span_id, parent_id, component, operation, start_us, duration_us, error``;
``span_id`` counts within a trace, ``parent_id`` is -1 at the root. What a client span lasts longer than the server span in it
is the network. Surprise: calls to a hidden component leave no span at all; partners and many stores write none of their own, so
only the client span tells of them. The handling of a message may outlast the span that sent it.
"""

import pandas as pd

from mimir_core.simulate.names import STORES, Role
from mimir_core.simulate.requests import Visit
from mimir_core.simulate.topology import System

COLUMNS = ["trace_id", "span_id", "parent_id", "component", "operation", "start_us", "duration_us", "error"]
MESSAGE_VERB = "process "
"""How a span that handles a message is named, as OpenTelemetry's conventions for messaging have it: verb first."""
_Row = tuple[str, int, int, str, str, int, int, bool]


def to_spans(system: System, requests: list[tuple[str, Visit]], hidden: frozenset[int], most: int) -> pd.DataFrame:
    """Return the spans of as many whole requests as ``most`` spans hold.

    Args:
        system: Whose requests these are.
        requests: Trace id and root visit of each request, in the order of time.
        hidden: Components that are told about by nobody, not even by their callers.
        most: Further requests are left out evenly.
    """
    trees = [_rows_of(system, trace_id, visit, hidden) for trace_id, visit in requests]
    total = sum(len(tree) for tree in trees)
    every = max(1, -(-total // most))
    return pd.DataFrame([row for tree in trees[::every] for row in tree], columns=COLUMNS)


def _rows_of(system: System, trace_id: str, root: Visit, hidden: frozenset[int]) -> list[_Row]:
    rows: list[_Row] = []

    def add(visit: Visit, parent: int, verb: str = "") -> None:
        number, name = len(rows), system.components[visit.component].name
        if _writes_spans(system, visit.component):
            rows.append((trace_id, number, parent, name, verb + visit.operation, visit.start_us, visit.duration_us, visit.failed))
        else:
            number = parent
        for call in visit.calls:
            callee = system.edges[call.edge].callee
            if callee in hidden:
                continue
            if system.components[visit.component].role is Role.QUEUE:
                if call.visit is not None:
                    add(call.visit, number, MESSAGE_VERB)
                continue
            above = number
            if system.has_client_spans or call.visit is None or not _writes_spans(system, callee):
                above = len(rows)
                asked = call.visit.operation if call.visit else system.components[callee].operations[0]
                operation = f"{system.components[callee].name} {asked}"
                rows.append((trace_id, above, number, name, operation, call.start_us, call.duration_us, call.failed))
            if call.visit is not None:
                add(call.visit, above)

    if root.component not in hidden:
        add(root, -1)
    return rows


def _writes_spans(system: System, number: int) -> bool:
    role = system.components[number].role
    return role is not Role.EXTERNAL and (role not in STORES or system.has_store_spans)
