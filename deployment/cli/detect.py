"""``mimir detect CASE``: series in, what is odd about them out, when nobody says that or when anything failed."""

import json
import sys
from collections import Counter, defaultdict
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import pandas as pd

    from mimir_core.analysis.oddities import Oddity

_MOST_NAMES = 3


class Method(StrEnum):
    """The methods of mimir_core/analysis/anomaly.py."""

    COMBINED = "combined"
    ZSCORE = "zscore"
    MEDIAN_MAD = "median_mad"
    SEASONAL = "seasonal"
    SHIFT = "shift"


def detect(
    case: Annotated[Path, typer.Argument(help="A case folder, or a table of series: .csv or .parquet.")],
    method: Annotated[Method, typer.Option(help="What calls a point unusual.")] = Method.COMBINED,
    together: Annotated[bool, typer.Option("--together", help="Also rows in which a component's series do not fit.")] = False,
    top: Annotated[int, typer.Option(min=1, help="How many rows are printed.")] = 20,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all findings to this file.")] = None,
) -> None:
    """Say what is odd in the series of a case, the oddest first, with no failure time given. Times are UTC."""
    from mimir_core.analysis.oddities import find_oddities  # noqa: PLC0415  # `mimir --help` stays fast
    from mimir_core.analysis.signs import read_signs  # noqa: PLC0415
    from mimir_core.config import read_params  # noqa: PLC0415
    from tasks import paths  # noqa: PLC0415

    settings = read_params(paths.PARAMS).anomaly
    metrics = _read_series(case)
    found = find_oddities(metrics, method, read_signs(), settings, together=together)
    if found:
        _print(found, top)
    else:
        sys.stdout.write(f"nothing odd in {metrics.shape[1]} series of {len(metrics)} rows\n")
    if short := int((metrics.count() < settings.min_history).sum()):
        sys.stdout.write(f"{short} series have fewer than {settings.min_history} values: too few to call one unusual\n")
    if json_file:
        json_file.write_text(json.dumps([_record(one) for one in found], indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _read_series(case: Path) -> "pd.DataFrame":
    from mimir_core.errors import InputError  # noqa: PLC0415
    from mimir_core.telemetry.files import read_case  # noqa: PLC0415
    from mimir_core.telemetry.metric_table import read_metric_table  # noqa: PLC0415

    is_table = case.is_file() and case.suffix in (".csv", ".parquet")
    metrics = read_metric_table(case, case.name, {}, (), Counter()) if is_table else read_case(case).metrics
    if metrics.empty:
        raise InputError(f"{case}: holds no series")
    return metrics


def _record(one: "Oddity") -> dict[str, str | int]:
    return {
        "component": one.component,
        "metric": ", ".join(one.metrics),
        "kind": one.kind.value,
        "start": _utc(one.start),
        "stop": _utc(one.stop),
        "points": one.points,
        "text": one.text,
    }


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(round(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _print(found: "list[Oddity]", top: int) -> None:
    """Print what happens to a series again and again as one row: the oddest time, and how often."""
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from mimir_core.safety import escape  # noqa: PLC0415

    times: defaultdict[tuple[str, tuple[str, ...], str], list[Oddity]] = defaultdict(list)
    for one in found:
        times[one.component, one.metrics, one.kind].append(one)
    table = Table("component", "metric", "what", "from", "to", "points")
    for (component, metrics, kind), (one, *others) in islice(times.items(), top):
        more = len(metrics) - _MOST_NAMES
        names = ", ".join(metrics[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
        what = f"{kind}: {one.text}" + (f" ({len(others) + 1} times)" if others else "")
        cells = (component, names, what, _utc(one.start), _utc(one.stop), str(one.points))
        table.add_row(*(Text(escape.line(cell)) for cell in cells))
    Console(width=None if sys.stdout.isatty() else 140).print(table)
    if len(times) > top:
        sys.stdout.write(f"and {len(times) - top} rows more\n")
