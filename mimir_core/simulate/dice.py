"""Single draws from a numpy Generator, quick enough for the text of thousands of log lines.

Comes in: a Generator. Goes out: numbers and choices. Surprise: uniform numbers are drawn 4,096 at a time, because a single
draw from numpy costs some microseconds; the order of draws, and so the result, still depends on the seed alone.
"""

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

_T = TypeVar("_T")
_BLOCK = 4096


class Dice:
    """One source of chance for a whole case."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        """For arrays."""
        self._block: list[float] = []

    def uniform(self) -> float:
        """Return a number in [0, 1)."""
        if not self._block:
            self._block = self.rng.random(_BLOCK).tolist()
        return self._block.pop()

    def between(self, low: float, high: float) -> float:
        """Return a number between ``low`` and ``high``."""
        return low + (high - low) * self.uniform()

    def log_between(self, low: float, high: float) -> float:
        """Return a number between ``low`` and ``high``, each order of magnitude as likely as the next."""
        return math.exp(self.between(math.log(low), math.log(high)))

    def integer(self, low: int, high: int) -> int:
        """Return an integer from ``low`` to ``high``, both included."""
        return low + int(self.uniform() * (high - low + 1))

    def chance(self, share: float) -> bool:
        """Return True in ``share`` of all draws."""
        return self.uniform() < share

    def pick(self, choices: Sequence[_T]) -> _T:
        """Return one of ``choices``."""
        return choices[int(self.uniform() * len(choices))]

    def sample(self, choices: Sequence[_T], count: int) -> list[_T]:
        """Return at most ``count`` different ones of ``choices``."""
        left = list(choices)
        return [left.pop(int(self.uniform() * len(left))) for _ in range(min(count, len(left)))]

    def weighted(self, weights: dict[_T, float]) -> _T:
        """Return a key, as often as its weight says."""
        left = self.uniform() * sum(weights.values())
        for choice, weight in weights.items():
            left -= weight
            if left < 0:
                return choice
        return choice

    def hex(self, length: int) -> str:
        """Return ``length`` hex digits."""
        return "".join("0123456789abcdef"[int(self.uniform() * 16)] for _ in range(length))

    def pod_suffix(self) -> str:
        """Return the end of a pod's name, in the letters that Kubernetes uses."""
        return "".join("bcdfghjklmnpqrstvwxz2456789"[int(self.uniform() * 27)] for _ in range(5))
