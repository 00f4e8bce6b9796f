# ruff: noqa: INP001  # beside scripts, not in a package
"""Times at several sizes -> a plot, and how fast they grow."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt


class Curve(NamedTuple):
    """What each size took."""

    sizes: list[int]
    """Growing."""
    seconds: list[float]

    @property
    def slope(self) -> float:
        """Of time over size in double logarithm, from the smallest to the largest; 1 is proportional."""
        return math.log(self.seconds[-1] / self.seconds[0]) / math.log(self.sizes[-1] / self.sizes[0])


def draw(curves: Mapping[str, Curve], plot: Path) -> None:
    """Draw seconds over each kind of size, both axes logarithmic."""
    figure, axes = plt.subplots(1, len(curves), figsize=(4.5 * len(curves), 3.5), layout="constrained", squeeze=False)
    for axis, (name, curve) in zip(axes[0], curves.items(), strict=True):
        axis.loglog(curve.sizes, curve.seconds, marker="o")
        axis.set(title=f"slope {curve.slope:.2f}", xlabel=name, ylabel="seconds")
        axis.grid(visible=True, which="both", alpha=0.3)
    figure.savefig(plot, metadata={"Date": None})
