"""Which change is to blame for an incident, or none.

Comes in: :class:`Changes` and a :class:`Scene`. Goes out: a :class:`ChangeVerdict`. Method: every change that ran before it went
wrong, and "none", collect log-odds (time, place, what the diff can do, what it names); the logistic of their differences is
the confidence. The weights are judgement, in params.yaml; each reason says what it rests on. Surprises: that nothing was
recorded is "unknown", never "none"; that nothing is wrong is "none".
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

from mimir_core.analysis.scene import Scene, read_news
from mimir_core.analysis.shipped import Shipped, list_shipped
from mimir_core.analysis.weigh import Reason, Scales
from mimir_core.config import ChangeSettings
from mimir_core.telemetry.changes import Changes

_MOST_CERTAIN = 0.95


@dataclass(frozen=True)
class JudgedChange:
    """One change with what speaks for and against it."""

    id: str
    kind: Literal["commit", "deploy", "flag"]
    service: str
    sha: str
    """The commit to answer with; for a flag the commit that it switched on, empty where none is known."""
    score: float
    """Log-odds; "none" has those of its own reasons."""
    confidence: float
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class ChangeVerdict:
    """Which change is to blame."""

    outcome: Literal["change", "none", "unknown"]
    blamed: JudgedChange | None
    """Given when the outcome is "change"."""
    confidence: float
    """That the outcome is right; 0 when it is unknown."""
    none_confidence: float
    """That no recorded change is to blame."""
    none_reasons: tuple[Reason, ...]
    ranking: tuple[JudgedChange, ...]
    """All changes that can have done it, likeliest first."""
    came_after: int
    """Changes left out because they came after it went wrong."""


def judge_changes(changes: Changes, scene: Scene, settings: ChangeSettings) -> ChangeVerdict:
    """Say which of ``changes`` is to blame for what ``scene`` shows, or that none is.

    Args:
        changes: All that was recorded, from before and after.
        scene: Metrics and logs from well before the trouble, so that the calm is known.
        settings: The ``changes`` section of params.yaml.
    """
    if changes.is_empty:
        return ChangeVerdict("unknown", None, 0.0, 0.0, (Reason("no changes were recorded", 0.0),), (), 0)
    news = read_news(scene, settings)
    if news is None:
        return ChangeVerdict("none", None, _MOST_CERTAIN, _MOST_CERTAIN, (Reason("nothing is abnormal", 0.0),), (), 0)
    scales = Scales(changes, scene, news, settings)
    weighed: dict[str, _Weighed] = {}
    came_after = 0
    for shipped in list_shipped(changes):
        if shipped.time > news.failed + news.step:
            came_after += 1
            continue
        reasons = tuple(scales.weigh(shipped))
        score = settings.weights.change + sum(reason.log_odds for reason in reasons)
        if shipped.id not in weighed or score > weighed[shipped.id].score:
            weighed[shipped.id] = _Weighed(shipped, score, reasons)
    none_reasons = tuple(scales.weigh_none([entry.shipped for entry in weighed.values()]))
    none_score = sum(reason.log_odds for reason in none_reasons)
    whole = math.exp(none_score) + sum(math.exp(entry.score) for entry in weighed.values())
    ranking = tuple(entry.judge(whole) for entry in sorted(weighed.values(), key=lambda entry: (-entry.score, entry.shipped.id)))
    none_confidence = min(_MOST_CERTAIN, math.exp(none_score) / whole)
    blamed = next((change for change in ranking[:1] if change.score > none_score), None)
    return ChangeVerdict(
        outcome="change" if blamed else "none",
        blamed=blamed,
        confidence=blamed.confidence if blamed else none_confidence,
        none_confidence=none_confidence,
        none_reasons=none_reasons,
        ranking=ranking,
        came_after=came_after,
    )


class _Weighed(NamedTuple):
    """A change on the scales."""

    shipped: Shipped
    score: float
    reasons: tuple[Reason, ...]

    def judge(self, whole: float) -> JudgedChange:
        """Turn log-odds into the share of ``whole``."""
        shipped = self.shipped
        return JudgedChange(
            id=shipped.id,
            kind=shipped.kind,
            service=shipped.service,
            sha=shipped.commit.sha if shipped.commit else "",
            score=self.score,
            confidence=min(_MOST_CERTAIN, math.exp(self.score) / whole),
            reasons=self.reasons,
        )
