"""The series of one component, side by side -> the rows in which they do not fit together.

Comes in: a frame with one row a time and one column a series. Goes out: a score and, for outliers, the column that is furthest
off. Surprise: the forest judges every row against all the others, later ones too; it is for looking back at an incident, where
:mod:`mimir_core.analysis.anomaly` is for watching.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.ensemble import IsolationForest

from mimir_core.config import AnomalySettings

_SEED = 0
_MIN_ROWS = 16
_TINY = 1e-12


class Outliers(NamedTuple):
    """What the forest says of each row."""

    scores: np.ndarray
    """Shape (rows,), 0 to 1; about 0.5 is an average row. NaN for a row without a value, or where there are too few rows."""
    flagged: np.ndarray
    """Shape (rows,), boolean."""
    columns: dict[int, str]
    """For each flagged row the column that is furthest from its median, in its own MADs: where to look first."""


def find_outliers(rows: pd.DataFrame, settings: AnomalySettings) -> Outliers:
    """Score the rows by how few random cuts separate each from the rest (Liu, Ting and Zhou, 2008: isolation forest).

    Args:
        rows: Shape (rows, series), NaN where there is no value: such a cell counts as its column's median.
        settings: The ``anomaly`` section.
    """
    scores = np.full(len(rows), np.nan)
    told = rows.dropna(axis="columns", how="all").astype(float)
    known = told.notna().any(axis="columns").to_numpy() if len(told.columns) else np.zeros(len(rows), dtype=bool)
    if known.sum() < _MIN_ROWS:
        return Outliers(scores, np.zeros(len(rows), dtype=bool), {})
    table = told.fillna(told.median()).to_numpy()
    forest = IsolationForest(n_estimators=settings.outlier_trees, random_state=_SEED).fit(table[known])
    scores[known] = -forest.score_samples(table[known])
    flagged = np.nan_to_num(scores) > settings.outlier_score
    apart = np.abs(table - np.median(table, axis=0))
    furthest = (apart / np.maximum(np.median(apart, axis=0), _TINY)).argmax(axis=1)
    return Outliers(scores, flagged, {int(row): str(told.columns[furthest[row]]) for row in np.flatnonzero(flagged)})
