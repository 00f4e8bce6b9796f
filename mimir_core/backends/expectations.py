"""Great Expectations: checks rows against rules, in memory, with its usage reports off."""

import logging
import os
from collections.abc import Sequence
from typing import Any

from mimir_core.rules import BrokenRule, Row, Rule


class ExpectationsChecker:
    """Translates each rule to one expectation."""

    def find_broken(self, rows: Sequence[Row], rules: Sequence[Rule]) -> list[BrokenRule]:
        """Return the rules that some of ``rows`` break, in the order of ``rules``."""
        os.environ["GX_ANALYTICS_ENABLED"] = "false"
        logging.getLogger("great_expectations").setLevel(logging.WARNING)  # it tells hundreds of things while importing
        import great_expectations as gx  # noqa: PLC0415  # imports only when checking
        import pandas as pd  # noqa: PLC0415
        from great_expectations.data_context.types.base import ProgressBarsConfig  # noqa: PLC0415

        logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)  # sets its own level
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = ProgressBarsConfig(globally=False)
        asset = context.data_sources.add_pandas("memory").add_dataframe_asset("rows")
        batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": pd.DataFrame(rows)})
        broken = []
        for rule in rules:
            result = batch.validate(_expectation(rule), result_format={"result_format": "COMPLETE"})
            if result.exception_info.get("raised_exception"):
                raise RuntimeError(f"{rule.claim} could not be checked: {result.exception_info['exception_message']}")
            if not result.success:
                broken.append(BrokenRule(rule, [int(row) for row in result.result["unexpected_index_list"]]))
        return broken


def _expectation(rule: Rule) -> Any:
    import great_expectations as gx  # noqa: PLC0415

    expect: Any = gx.expectations
    match rule.test:
        case "unique":
            return expect.ExpectColumnValuesToBeUnique(column=rule.column)
        case "between":
            return expect.ExpectColumnValuesToBeBetween(column=rule.column, min_value=rule.minimum, max_value=rule.maximum)
        case "without":
            return expect.ExpectColumnValuesToNotMatchRegex(column=rule.column, regex=rule.pattern)
        case "one_of":
            return expect.ExpectColumnValuesToBeInSet(column=rule.column, value_set=list(rule.values))
