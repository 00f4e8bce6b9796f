"""fse-baro: the scorer of BARO, the baseline that root-cause ranking has to beat (Pham et al., FSE 2024)."""

from datetime import datetime

import pandas as pd
from baro.root_cause_analysis import robust_scorer

from mimir_core.evaluation.metric_baselines import split_series


def rank_by_baro(metrics: pd.DataFrame, usual: pd.DataFrame, failed: datetime) -> list[str]:
    """Rank components by their first column in BARO's ranking: the largest value after, in (value - median) / IQR of before.

    Gaps are filled with the value before them, then with 0, as the authors do in RCAEval.

    Args:
        metrics: The recording of the incident; rows of time, columns (component, metric).
        usual: A recording without faults; where it has rows, it is the time before.
        failed: The failure time: BARO's own detection is not used.
    """
    before, after = split_series(metrics, usual, failed)
    if before.empty or after.empty:
        return []
    # BARO reads units out of the endings of names; the number keeps two columns of one name apart.
    component_of = {f"{number}_{column[1]}": str(column[0]) for number, column in enumerate(before.columns)}
    table = pd.concat([before, after]).ffill().fillna(0).set_axis(list(component_of), axis=1)
    ranked = robust_scorer(table, anomalies=[len(before)])["ranks"]
    return list(dict.fromkeys(component_of[column] for column in ranked))
