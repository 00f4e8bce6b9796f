"""What trivial rankings by alert events say, and how much ours hangs on the length of its history and on its constants.

Comes in: the incidents of one system and their truths. Goes out: rankings, or AC@1. Surprise: a file is sorted by its truth as a
rule, so a shorter history is drawn at random, never taken from the lines around a case.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from random import Random
from statistics import fmean

import numpy as np

from mimir_core.analysis.alert_events import EventHistory, count_events, rank_instances, weigh_events
from mimir_core.config import EventSettings
from mimir_core.telemetry.event_files import EventIncident

_HISTORY_SIZES = (0, 5, 10, 20)
_HISTORY_DRAWS = 5
_PERTURBATIONS = 30
_PERTURBATION = 0.3
_DAMPING = 0.85
"""Chance that the walk goes on (Page et al., "The PageRank Citation Ranking", 1999)."""


def rank_by_count(incident: EventIncident) -> list[str]:
    """Rank by the number of events."""
    counts = Counter(event.instance for event in incident.events)
    return sorted(incident.instances, key=lambda name: -counts[name])


def rank_by_walk(incident: EventIncident) -> list[str]:
    """Rank by how often a walk from caller to callee, which starts anew at instances by their events, comes by."""
    position = {name: index for index, name in enumerate(incident.instances)}
    start = np.bincount([position[event.instance] for event in incident.events], minlength=len(position)) + 1e-9
    start /= start.sum()
    steps = np.zeros((len(position), len(position)))
    for caller, callee in incident.edges:
        steps[position[caller], position[callee]] = 1
    steps[~steps.any(axis=1)] = start
    steps /= steps.sum(axis=1, keepdims=True)
    visits = np.linalg.solve(np.eye(len(position)) - _DAMPING * steps.T, start)
    return sorted(incident.instances, key=lambda name: -visits[position[name]])


def first_right_by_history(
    incidents: Sequence[EventIncident], truths: Mapping[str, str], settings: EventSettings
) -> dict[str, float]:
    """Return AC@1 when only so many other incidents are known, drawn at random; the mean of a few draws."""
    random, figures = Random(0), {}  # noqa: S311  # seeded draws are no secret
    for size in (size for size in _HISTORY_SIZES if size < len(incidents) - 1):
        shares = []
        for _ in range(_HISTORY_DRAWS):
            drawn = [
                count_events(random.sample([other for other in incidents if other is not incident], size))
                for incident in incidents
            ]
            shares.append(_first_right(incidents, drawn, truths, settings))
        figures[str(size)] = round(fmean(shares), 4)
    everything = count_events(incidents)
    others = [everything.without(incident) for incident in incidents]
    return figures | {"all": round(_first_right(incidents, others, truths, settings), 4)}


def first_right_by_constants(
    incidents: Sequence[EventIncident], truths: Mapping[str, str], settings: EventSettings
) -> dict[str, float]:
    """Return AC@1 when every constant is off by up to 30 %: how much the result hangs on their exact values."""
    random, everything = Random(0), count_events(incidents)  # noqa: S311  # seeded draws are no secret
    others = [everything.without(incident) for incident in incidents]
    shares = []
    for _ in range(_PERTURBATIONS):
        off = {name: value * random.uniform(1 - _PERTURBATION, 1 + _PERTURBATION) for name, value in settings}
        shares.append(_first_right(incidents, others, truths, settings.model_copy(update=off)))
    return {"runs": _PERTURBATIONS, "mean": round(fmean(shares), 4), "min": round(min(shares), 4)}


def _first_right(
    incidents: Sequence[EventIncident], histories: Sequence[EventHistory], truths: Mapping[str, str], settings: EventSettings
) -> float:
    firsts = {
        incident.case_id: rank_instances(incident, weigh_events(incident, history, settings), settings).ranking[0]
        for incident, history in zip(incidents, histories, strict=True)
        if incident.case_id in truths
    }
    return fmean(firsts[case_id] == truth for case_id, truth in truths.items())
