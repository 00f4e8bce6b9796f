"""One simulated case in memory: what a program may see, and the truth that it may not."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from mimir_core.records import FaultKind, Verdict


@dataclass(frozen=True)
class Truth:
    """What really happened."""

    verdict: Verdict
    causes: tuple[tuple[str, FaultKind], ...]
    """Component and fault kind; empty unless the verdict is ``cause_found``."""
    story: str
    onset: float | None
    """Unix seconds; None where nothing happened."""
    change: str | None
    """The sha of the commit to blame."""
    victims: tuple[str, ...]
    signs: tuple[str, ...]
    """Metric columns of the culprits, and of calls to them, that the fault moved by a tenth or more."""
    red_herrings: tuple[str, ...]
    system: str
    seed: int


@dataclass(frozen=True)
class Telemetry:
    """Metrics, spans and log lines of one stretch of time; None where they were not collected."""

    metrics: pd.DataFrame
    traces: pd.DataFrame | None
    logs: list[dict[str, str]] | None


@dataclass(frozen=True)
class SimulatedCase:
    """One case. docs/simulate.md says what each part becomes on disk."""

    name: str
    alert: dict[str, Any]
    telemetry: Telemetry
    baseline: Telemetry | None
    graph: list[tuple[str, str]] | None
    kubectl: dict[str, str]
    changes: dict[str, Any] | None
    truth: Truth
