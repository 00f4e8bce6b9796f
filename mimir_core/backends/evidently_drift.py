"""Evidently: compares two tables column by column, and draws them.

Surprises: by itself it measures a distance as soon as the reference has more than 1,000 rows, and a small table is far from any
large one by chance: with 30 rows it calls a third of the unchanged columns drifted. So numbers are compared by the test of
Kolmogorov and Smirnov, words by the chi-square test (a word that is new is drift), and the chance of a false alarm is shared
among the columns (Bonferroni). What is imported here sends no usage reports; its server would, and ``DO_NOT_TRACK`` stops that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mimir_core.evaluation.nights import ColumnDrift
from mimir_core.rules import Row


@dataclass(frozen=True)
class EvidentlyReporter:
    """Writes Evidently's page of drift, and of each column by itself."""

    significance: float
    """Chance that any column counts as drifted where nothing changed."""
    drift_share: float
    """Share of the drifted columns from which on the page speaks of drift."""

    def write_report(self, reference: Sequence[Row], night: Sequence[Row], page: Path) -> list[ColumnDrift]:
        """Compare texts as words, all else as numbers; return one entry a column."""
        from evidently import DataDefinition, Dataset, Report  # noqa: PLC0415  # imports for seconds
        from evidently.presets import DataDriftPreset, DataSummaryPreset  # noqa: PLC0415

        words = [name for name, value in reference[0].items() if isinstance(value, str)]
        numbers = [name for name in reference[0] if name not in words]
        kinds = DataDefinition(categorical_columns=words, numerical_columns=numbers)
        before, now = (Dataset.from_pandas(pd.DataFrame(rows), data_definition=kinds) for rows in (reference, night))
        limit = self.significance / len(reference[0])
        drift = DataDriftPreset(
            drift_share=self.drift_share, num_method="ks", cat_method="chisquare", num_threshold=limit, cat_threshold=limit
        )
        with np.errstate(divide="ignore", invalid="ignore"):  # columns that are constant, and words that are new
            made = Report([drift, DataSummaryPreset()]).run(now, before)
        page.parent.mkdir(parents=True, exist_ok=True)
        made.save_html(str(page))
        drifts = []
        for metric in made.dict()["metrics"]:
            if metric["metric_name"].startswith("ValueDrift("):
                config, chance = metric["config"], float(np.nan_to_num(metric["value"], nan=1.0))  # nan: of a single word
                drifts.append(ColumnDrift(config["column"], config["method"], chance, chance < config["threshold"]))
        return drifts
