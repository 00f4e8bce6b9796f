"""Series and a failure time -> a ranking of components by how far their values moved: what a ranking has to beat.

Comes in: metrics as in ``Signals``, and a recording without faults where there is one. Goes out: components, most deviating
first. Surprise: only columns that are there both before and after can deviate; a component without one is not ranked.
"""

from datetime import datetime

import pandas as pd


def split_series(metrics: pd.DataFrame, usual: pd.DataFrame, failed: datetime) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the values before and after, with the columns that both have.

    Args:
        metrics: The recording of the incident; rows of time, columns (component, metric).
        usual: A recording without faults; where it has rows, it is the time before.
        failed: The failure time.
    """
    before = metrics[metrics.index < failed] if usual.empty else usual
    after = metrics[metrics.index >= failed]
    shared = after.columns[after.columns.isin(before.columns)]
    return before[shared], after[shared]


def rank_by_deviation(metrics: pd.DataFrame, usual: pd.DataFrame, failed: datetime) -> list[str]:
    """Rank components by their column of the largest abs(mean after - mean before) / standard deviation before; ties by name.

    N-sigma, as in the baselines of RCAEval (Pham et al., WWW 2025). A column that never moved before has the deviation 1, as in
    scikit-learn's StandardScaler.

    >>> minutes = pd.date_range("2026-03-01", periods=4, freq="min", tz="UTC")
    >>> series = {("db", "cpu"): [1, 3, 2, 9], ("web", "cpu"): [1, 3, 3, 1]}
    >>> rank_by_deviation(pd.DataFrame(series, index=minutes), pd.DataFrame(), minutes[2])
    ['db', 'web']
    """
    before, after = split_series(metrics, usual, failed)
    if before.empty or after.empty:
        return []
    deviation = (after.mean() - before.mean()).abs() / before.std(ddof=0).replace(0, 1)
    by_component = deviation.groupby(level=0).max().dropna()
    return [str(name) for name in by_component.sort_values(ascending=False, kind="stable").index]
