"""An incident of the store -> :class:`Signals`.

Comes in: the incident with its alerts, and its snapshot: figures that its sender measured, or the name of a recorded case. Goes
out: signals. Surprises: no live source is asked yet; figures of one moment have nothing to be compared with, so that an incident
that brings only these and its alerts is answered ``undetermined``, which is honest. A recorded case is looked for in the folder
of the incident's tenant alone.
"""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from mimir_core.errors import InputError
from mimir_core.records import Incident, Outcome
from mimir_core.telemetry.files import read_case
from mimir_core.telemetry.signals import UNKNOWN_COMPONENT, Signals

_CASE = "case"
_SNAPSHOT = "metrics_snapshot"


def read_stored(incident: Incident, snapshot: Mapping[str, float | str], root: Path) -> Signals:
    """Read what belongs to a stored incident.

    Args:
        incident: As stored, with the time at which it was opened.
        snapshot: ``{"case": NAME}`` for a recorded case, else figures by name; empty where nothing was sent.
        root: Recorded cases lie in ``root/TENANT/NAME``.

    Raises:
        InputError: The named case is not there or leads elsewhere, or a file of it says something impossible.
    """
    signals = Signals(incident)
    if isinstance(case := snapshot.get(_CASE), str):  # a figure may be called so, too
        signals = read_case(_find_case(root, incident.tenant, case))
        signals.incident = incident
        signals.find_affected()
    elif snapshot:
        columns = pd.MultiIndex.from_product([[incident.service or UNKNOWN_COMPONENT], snapshot])
        moment = pd.DatetimeIndex([incident.opened_at])
        signals.metrics = pd.DataFrame([list(snapshot.values())], index=moment, columns=columns, dtype=float)
        signals.metrics_origin = _SNAPSHOT
        signals.sources[_SNAPSHOT] = Outcome.DATA
    return signals


def _find_case(root: Path, tenant: str, name: str) -> Path:
    folder = (root / tenant / name).resolve()
    if folder.parent.parent != root.resolve() or folder.parts[-2:] != (tenant, name) or not folder.is_dir():
        raise InputError(f"{_SNAPSHOT}: {_CASE}: {name!r:.80} is no recorded case of {tenant!r:.80}")
    return folder
