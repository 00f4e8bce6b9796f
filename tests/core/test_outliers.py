"""Rows that do not fit together are outliers, even where no single series is unusual."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mimir_core.analysis.outliers import find_outliers
from mimir_core.config import AnomalySettings, read_params


@pytest.fixture(scope="module")
def settings() -> AnomalySettings:
    return read_params(Path(__file__).parents[2] / "params.yaml").anomaly


def rows(n: int = 300) -> pd.DataFrame:
    draws = np.random.default_rng(7).normal(size=(n, 3))
    return pd.DataFrame({"load": draws[:, 0], "errors": draws[:, 1], "latency": draws[:, 2]})


def test_an_odd_row_is_flagged_with_the_column_to_look_at_first(settings: AnomalySettings) -> None:
    table = rows()
    table.loc[100] = [6, 5, 40]
    found = find_outliers(table, settings)
    assert found.flagged[100]
    assert found.columns[100] == "latency"
    assert found.flagged.sum() < 15
    assert sorted(found.columns) == np.flatnonzero(found.flagged).tolist()


def test_the_same_rows_have_the_same_scores(settings: AnomalySettings) -> None:
    np.testing.assert_array_equal(find_outliers(rows(), settings).scores, find_outliers(rows(), settings).scores)


def test_a_row_without_values_has_no_score_and_a_lost_cell_is_no_outlier(settings: AnomalySettings) -> None:
    table = rows()
    table.loc[10] = np.nan
    table.loc[20, "load"] = np.nan
    table["dead"] = np.nan
    found = find_outliers(table, settings)
    assert np.isnan(found.scores[10])
    assert not found.flagged[[10, 20]].any()


@pytest.mark.parametrize("table", [rows(5), pd.DataFrame(), pd.DataFrame({"a": [np.nan] * 50})], ids=["few", "none", "empty"])
def test_too_little_to_tell_is_no_outlier(table: pd.DataFrame, settings: AnomalySettings) -> None:
    found = find_outliers(table, settings)
    assert len(found.scores) == len(table)
    assert np.isnan(found.scores).all()
    assert not found.flagged.any()
