"""Signals -> the onset, the components in the order of suspicion, and the change that is to blame.

Comes in: :class:`Signals` and perhaps when the incident was noticed. Goes out: a :class:`RootCause`. This is the whole
quantitative answer; what texts say (signs, cluster state) is added in ``rank``. Surprise: a component nobody suspects is
still ranked, last, so that every component that was seen has a place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from mimir_core.analysis.calibrate import confidence_in
from mimir_core.analysis.changes import ChangeVerdict, judge_changes
from mimir_core.analysis.culprits import Investigation
from mimir_core.analysis.onset import find_onset
from mimir_core.analysis.scene import Scene, SceneLine
from mimir_core.analysis.signs import SignTable
from mimir_core.analysis.suspects import Suspicion, fuse, out_of_bounds
from mimir_core.config import Params
from mimir_core.records import FaultKind
from mimir_core.telemetry.signals import Calls, Signals

_SUSPECTS = 5
_MANY_SERIES, _MANY_ROWS = 60, 150
"""More are not looked at for the sake of changes: those are dated to minutes."""


@dataclass(frozen=True)
class RootCause:
    """What the numbers say about an incident."""

    onset: datetime | None
    ranking: tuple[tuple[str, float], ...]
    """Components and how suspect they are, between 0 and 1, most suspect first."""
    suspicions: tuple[Suspicion, ...]
    """Why."""
    confidence: float
    """Probability that the first one is at fault."""
    fault_kind: FaultKind
    """What kind of fault the first one has; NONE where nothing is suspected."""
    change: ChangeVerdict | None = None
    """The change to blame; None where no changes were recorded."""
    calls: Calls = frozenset()
    """Who calls whom."""


def find_root_cause(signals: Signals, noticed: datetime | None, table: SignTable, params: Params) -> RootCause:
    """Rank the components of an incident.

    Args:
        signals: What was recorded.
        noticed: When the incident was noticed, at the latest; None where that is not known.
        table: What metrics mean, by their names.
        params: All of params.yaml; it needs ``culprits``, ``onset`` and ``changes``.
    """
    investigation = Investigation(signals, table, params.culprits)
    onset = find_onset(investigation, noticed, params.onset)
    suspicions = tuple(investigation.suspicions_at(onset)) if onset else ()
    fused = fuse(suspicions)
    unsuspected = sorted({*signals.metrics.columns.get_level_values(0), *signals.spans["component"]} - fused.keys())
    ranking = (*fused.items(), *((component, 0.0) for component in unsuspected))
    suspects = [component for component, _ in ranking[:_SUSPECTS]]
    scene = _scene(signals, investigation.calls, suspects)
    return RootCause(
        onset=onset,
        ranking=ranking,
        suspicions=suspicions,
        confidence=confidence_in(ranking, suspicions, is_noticed=noticed is not None),
        fault_kind=_fault_of(ranking[0][0], suspicions) if ranking else FaultKind.NONE,
        change=None if signals.changes.is_empty else judge_changes(signals.changes, scene, params.changes),
        calls=investigation.calls,
    )


def _fault_of(component: str, suspicions: Sequence[Suspicion]) -> FaultKind:
    """What is out of bounds at a component, else what its strongest reason says."""
    reasons = [item for item in suspicions if item.component == component]
    strongest = max(reasons, key=lambda item: item.strength).fault_kind if reasons else FaultKind.NONE
    return out_of_bounds(reasons).get(component, strongest)


def _scene(signals: Signals, calls: Calls, suspects: Sequence[str]) -> Scene:
    """What a change has to explain: what was said, and the series of the affected component and of the suspects."""
    incident = signals.incident
    words = [incident.title, incident.description]
    words += [text for alert in incident.alerts for text in (alert.name, *alert.labels.values(), *alert.annotations.values())]
    said = (statement for statement in signals.statements if statement.source == "log" and statement.time)
    return Scene(
        alert=" ".join(dict.fromkeys(word for word in words if word)),
        component=incident.service,
        metrics=_thin(signals.metrics, {*suspects, incident.service}),
        lines=[SceneLine(line.time, line.component, line.level, line.text) for line in said if line.time],
        calls=calls,
        alerted_at=incident.opened_at,
    )


def _thin(metrics: pd.DataFrame, components: set[str | None]) -> pd.DataFrame:
    """The series of some components where there are many, and the medians of blocks of rows where those are many."""
    if metrics.shape[1] > _MANY_SERIES:
        metrics = metrics.loc[:, metrics.columns.get_level_values(0).isin(components)]
    if len(metrics) <= _MANY_ROWS:
        return metrics
    block = np.arange(len(metrics)) // -(-len(metrics) // _MANY_ROWS)
    thinned = metrics.groupby(block).median()
    thinned.index = metrics.index[np.flatnonzero(np.diff(block, prepend=-1))]
    return thinned
