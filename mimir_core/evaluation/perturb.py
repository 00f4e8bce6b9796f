"""Settings -> the same settings with every number a little off: a result that needs exactly these numbers is an accident."""

from random import Random
from typing import Any, TypeVar

from pydantic import ValidationError

from mimir_core.config import Settings

_FACTORS = (0.7, 1.3)

_AnySettings = TypeVar("_AnySettings", bound=Settings)


def perturb(settings: _AnySettings, random: Random) -> _AnySettings:
    """Multiply each number by a factor between 0.7 and 1.3, drawn again until the settings allow the result.

    Args:
        settings: A section of params.yaml; sections inside it are perturbed, too.
        random: Draws the factors.

    >>> from mimir_core.config import DetectSettings
    >>> perturb(DetectSettings(min_points=5, threshold=6.0, min_relative_change=0.15), Random(1)).min_points
    4
    """
    while True:
        try:
            return type(settings).model_validate({name: _perturbed(value, random) for name, value in settings})
        except ValidationError:
            continue


def _perturbed(value: Any, random: Random) -> Any:
    if isinstance(value, Settings):
        return perturb(value, random)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    moved = value * random.uniform(*_FACTORS)
    return round(moved) if isinstance(value, int) else moved
