"""Alert events of one incident -> its instances, the likely root cause first.

Comes in: the events of one incident, and how often each event was seen in other incidents of the system; nobody needs to know
what those were about. Goes out: a ranking with a confidence. Method: an event that every incident shows says nothing, so each
weighs its surprise, -log of the share of other incidents that showed it. Within one kind of signal an instance's events depend on
each other (three percentiles of one latency are one witness), so they add up as a vector does, by its length; metrics, traces
and logs are separate witnesses, so their lengths are added. Surprises: edges play no part, and a call speaks for its callee only;
without other incidents every event weighs the same.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from math import exp, log
from typing import NamedTuple, Self

from mimir_core.analysis.signs import SignTable
from mimir_core.config import EventSettings
from mimir_core.records import FaultKind
from mimir_core.telemetry.event_files import AlertEvent, EventIncident, SignalKind


class EventHistory(NamedTuple):
    """How many incidents there were, and in how many of them each event was seen."""

    incidents: int
    counts: Mapping[AlertEvent, int]

    def without(self, incident: EventIncident) -> Self:
        """Return what the others showed of the events of ``incident``, which is one of those counted."""
        return self._replace(incidents=self.incidents - 1, counts={event: self.counts[event] - 1 for event in incident.events})


class RankedInstances(NamedTuple):
    """The answer to one incident."""

    ranking: tuple[str, ...]
    confidence: float
    """What the first has of the sum of exp(score) over all: scores are sums of -log of shares, so this reads them as odds."""


def count_events(incidents: Iterable[EventIncident]) -> EventHistory:
    """Count in how many of ``incidents`` each event was seen."""
    seen = [incident.events for incident in incidents]
    return EventHistory(len(seen), Counter(event for events in seen for event in events))


def weigh_events(incident: EventIncident, history: EventHistory, settings: EventSettings) -> dict[AlertEvent, float]:
    """Return the surprise of each event, in nats.

    The share of incidents that show it is estimated as (seen + c) / (incidents + 2 c); c = 1/2 is the estimator of Krichevsky and
    Trofimov ("The performance of universal encoding", 1981).
    """
    total = history.incidents + 2 * settings.pseudo_count
    return {event: -log((history.counts.get(event, 0) + settings.pseudo_count) / total) for event in incident.events}


def rank_instances(incident: EventIncident, weights: Mapping[AlertEvent, float], settings: EventSettings) -> RankedInstances:
    """Rank the instances of ``incident``; ties go to more events, then to who comes first in the file.

    Args:
        incident: Whose instances are ranked.
        weights: Of its events, from :func:`weigh_events`.
        settings: The ``events`` section of params.yaml.
    """
    powers: dict[tuple[str, SignalKind], float] = defaultdict(float)
    for event, weight in weights.items():
        powers[event.instance, event.signal] += weight**settings.norm
    scores = dict.fromkeys(incident.instances, 0.0)
    for (instance, signal), power in powers.items():
        scores[instance] += power ** (1 / settings.norm) * (settings.log_weight if signal == "logs" else 1)
    events = Counter(event.instance for event in weights)
    ranking = sorted(incident.instances, key=lambda name: (-scores[name], -events[name]))
    best = scores[ranking[0]]
    return RankedInstances(tuple(ranking), 1 / sum(exp(score - best) for score in scores.values()))


def guess_fault_kind(instance: str, weights: Mapping[AlertEvent, float], table: SignTable) -> FaultKind | None:
    """Return the kind of fault that the surprising metrics of ``instance`` point to; None when they point nowhere.

    Args:
        instance: The likely root cause.
        weights: Of the events of the incident, from :func:`weigh_events`.
        table: What it means when a metric moves.
    """
    votes: dict[FaultKind, float] = defaultdict(float)
    for event, weight in weights.items():
        if event.signal == "metrics" and event.instance == instance:
            family = table.family_of(event.name)
            if family and event.change == family.bad.value:
                votes[family.fault] += weight * family.weight
    return max(votes, key=lambda fault: (votes[fault], fault)) if votes else None
