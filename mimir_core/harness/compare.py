"""Bench runs on the same cases -> what one gains over the other, figure by figure.

Comes in: reports, the first of which is what the others are held against. Goes out: means over the cases that all of them
answered, and paired differences with their bootstrap intervals. Surprises: cases are the same where their files are; of many
figures some differ by chance, so that the first one, the root cause, is what a choice should rest on.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mimir_core.errors import InputError
from mimir_core.evaluation import ranking
from mimir_core.harness.report import BenchReport, Figure, means_of


class Difference(NamedTuple):
    """How one run differs from the first in one figure, paired by case."""

    figure: ranking.Figure
    """Of the one less that of the first."""
    cases: int
    """Those in which both have it."""

    @property
    def is_told_apart(self) -> bool:
        """Whether it lies outside the noise."""
        return not self.figure.low <= 0 <= self.figure.high


class Comparison(NamedTuple):
    """Runs beside each other."""

    cases: int
    """That all of them answered."""
    left_out: dict[str, int]
    """Cases of each run that another one has not."""
    means: dict[str, dict[str, Any]]
    """By run, then by figure."""
    differences: dict[str, dict[str, Difference]]
    """To the first run, likewise."""

    def told(self) -> dict[str, Any]:
        """Return all of it as JSON has it."""
        differences = {
            run: {
                name: {"difference": one.figure.value, "interval": [one.figure.low, one.figure.high], "cases": one.cases}
                for name, one in found.items()
            }
            for run, found in self.differences.items()
        }
        return {"cases": self.cases, "left_out": self.left_out, "runs": self.means, "differences": differences}


def compare(reports: Sequence[BenchReport]) -> Comparison:
    """Hold every run against the first.

    Raises:
        InputError: Two runs have one name, share no case, or mean something else by the same case.
    """
    names = [report.name for report in reports]
    refuse_twins(names)
    runs = {report.name: {case.case: case for case in report.cases} for report in reports}
    first, *others = runs
    common = [case for case in runs[first] if all(case in cases for cases in runs.values())]
    if not common:
        raise InputError(f"{', '.join(names)} have no case in common")
    for case in common:
        if strange := [name for name in others if runs[name][case].case_hash != runs[first][case].case_hash]:
            raise InputError(f"{case}: {strange[0]} answered another case of this name than {first}")
    figures = {name: [cases[case].figures for case in common] for name, cases in runs.items()}
    return Comparison(
        len(common),
        {name: len(cases) - len(common) for name, cases in runs.items()},
        {name: means_of(rows) for name, rows in figures.items()},
        {name: _differences(figures[name], figures[first]) for name in others},
    )


def refuse_twins(names: Sequence[str]) -> None:
    """Do nothing.

    Raises:
        InputError: Two runs have one name.
    """
    if twins := {name for name in names if names.count(name) > 1}:
        raise InputError(f"two runs are called {min(twins)}: give them a name each")


def _differences(ones: Sequence[Mapping[str, Figure]], others: Sequence[Mapping[str, Figure]]) -> dict[str, Difference]:
    found = {}
    for name in dict.fromkeys(name for row in ones for name in row):
        pairs = [(one.get(name), other.get(name)) for one, other in zip(ones, others, strict=True)]
        gains = [mine - theirs for mine, theirs in pairs if mine is not None and theirs is not None]
        if gains:
            found[name] = Difference(ranking.mean_of(np.array(gains, dtype=float)[:, None])[0], len(gains))
    return found
