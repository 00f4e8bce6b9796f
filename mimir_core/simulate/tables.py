"""The tables of words beside this module, each read once and only when it is asked for."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml


@cache
def read_table(name: str) -> Any:
    """Return the content of ``name``.yaml. It ships with the package, so callers trust its form.

    >>> len(read_table("words")["nouns"]) > 40
    True
    """
    return yaml.safe_load(Path(__file__).with_name(f"{name}.yaml").read_text(encoding="utf-8"))
