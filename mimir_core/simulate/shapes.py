"""How load and trouble go with time.

Comes in: the timeline of a case. Goes out: arrays with one value a row, each the mean over the time since the row before, as
a scrape of a rate reports it.
"""

from dataclasses import dataclass

import numpy as np

from mimir_core.simulate.dice import Dice
from mimir_core.simulate.profile import Floats

_DAY_SECONDS = 86_400
_EARLIEST, _LATEST = 1_735_689_600, 1_798_675_200  # the years 2025 and 2026
_STEPS_SECONDS = (1, 5, 10, 15, 30, 30, 60, 60, 60, 60, 120, 300)
_MOST_ROWS, _FEWEST_ROWS = 1500, 10
_INSTANTS = 8


@dataclass(frozen=True)
class Timeline:
    """The times of a case, in unix seconds."""

    start: int
    step: int
    rows: int
    onset: float
    alert: float

    @property
    def times(self) -> Floats:
        """The time of each row."""
        return self.start + self.step * np.arange(self.rows, dtype=float)

    @property
    def end(self) -> float:
        """The time of the last row."""
        return self.start + self.step * (self.rows - 1)


def draw_timeline(dice: Dice) -> Timeline:
    """Draw sampling, window, onset and alert.

    Three of four alerts come within 8 minutes of the onset, the others up to 25 minutes after it; the metrics begin 15
    minutes to 3 hours before the alert, and end up to 10 minutes after it.
    """
    step = dice.pick(_STEPS_SECONDS)
    delay = dice.between(0, 60) if dice.chance(0.15) else dice.between(60, 480) if dice.chance(0.7) else dice.between(120, 1500)
    longest = step * (_MOST_ROWS - 1)
    after = min(max(delay + dice.between(0, 600), 3 * step), longest / 2)
    delay = min(delay, after)
    before = min(max(dice.log_between(900, 10_800) - delay, 6 * step, 300), longest - after)
    start = dice.integer(_EARLIEST, _LATEST)
    rows = max(int((before + after) / step) + 1, _FEWEST_ROWS)
    return Timeline(start, step, rows, start + before, start + before + delay)


def draw_load(dice: Dice, timeline: Timeline) -> Floats:
    """Return outside traffic around 1: a day's wave, perhaps a shorter one, and slow noise."""
    times = timeline.times
    day = dice.between(0.1, 0.6) * np.sin(2 * np.pi * (times / _DAY_SECONDS + dice.uniform()))
    period = dice.pick([300, 600, 900, 3600])
    short = (dice.between(0.02, 0.15) if dice.chance(0.3) else 0.0) * np.sin(2 * np.pi * times / period)
    return np.asarray(np.maximum(0.05, 1 + day - day.mean() * dice.uniform() + short + draw_drift(dice, timeline, 1, 0.04)[0]))


def draw_drift(dice: Dice, timeline: Timeline, count: int, size: float) -> Floats:
    """Return slow noise of standard deviation ``size``: ``count`` first-order processes that forget within 3 to 20 minutes.

    Shape (count, rows).
    """
    memory = np.exp(-timeline.step / dice.between(180, 1200))
    noise = dice.rng.standard_normal((count, timeline.rows))
    steps = noise * np.sqrt(1 - memory**2)
    steps[:, 0] = noise[:, 0]
    drift = np.empty_like(steps)
    drift[:, 0] = steps[:, 0]
    for row in range(1, timeline.rows):
        drift[:, row] = memory * drift[:, row - 1] + steps[:, row]
    return np.asarray(size * drift)


def draw_envelope(dice: Dice, timeline: Timeline, shapes: tuple[str, ...], onset: float) -> Floats:
    """Return how much of a fault is there, 0 to 1, at each row; 0 before ``onset``."""
    shape = dice.pick(shapes)
    since = (timeline.times[:, None] - timeline.step * (np.arange(_INSTANTS) + 0.5) / _INSTANTS) - onset
    left = max(timeline.end - onset, timeline.step)
    match shape:
        case "ramp":
            level = np.clip(since / (left * dice.between(0.25, 1.0)), 0, 1) ** dice.between(0.7, 1.5)
        case "intermittent":
            period = max(left / dice.between(2, 8), 20.0)
            level = ((since % period) < period * dice.between(0.3, 0.8)).astype(float)
        case "decay":
            level = np.maximum(np.exp(-since.clip(0) / (left * dice.between(0.5, 2.0))), 0.25)
        case _:
            level = np.clip(since / dice.between(1, 60), 0, 1)
    return np.asarray(np.where(since > 0, level, 0.0).mean(axis=1))
