"""The one Prefect task around a DVC stage.

Comes in: the name of a stage of dvc.yaml. Goes out: what DVC writes, live logs, and artifacts: the stage's report and its curves.
Surprises: DVC decides whether there is anything to do (an unchanged stage ends as ``Cached``), and the stage is a process
of its own: its error comes back through ``var/status/NAME.json``.
"""

import csv
import json
import re
import subprocess
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.logging import get_run_logger
from prefect.states import Completed
from prefect.tasks import Task

from mimir_core.errors import BackendError
from mimir_core.safety import escape
from tasks import paths
from tasks.loop import failure_of, is_unchanged, stage_command, stage_environment
from tasks.status import forget_failure

RETRIES = 2
RETRY_DELAY_SECONDS = 10
MAX_ROWS = 40
"""Rows of a curve that are shown; of a longer one, every second, third, ..."""
_BARS = "▁▂▃▄▅▆▇█"
_NUMBER = re.compile(r"\d+(\.\d+)?")
"""What needs no escape; a list of Markdown has a space after the dot."""

T = TypeVar("T")


def is_worth_a_retry(_task: Task[..., Any], _task_run: TaskRun, state: State[Any]) -> bool:
    """Only a BackendError is: data and settings do not get better by waiting."""
    return isinstance(state.result(raise_on_failure=False), BackendError)


@task(
    task_run_name="{name}",
    retries=RETRIES,
    retry_delay_seconds=RETRY_DELAY_SECONDS,
    retry_condition_fn=is_worth_a_retry,
    cache_policy=NO_CACHE,
)
def run_stage(name: str) -> State[None]:
    """Run ``dvc repro --single-item NAME`` and follow its output.

    Raises:
        BackendError: Something outside did not answer, or another DVC holds the lock. Retried.
        MimirError: The stage failed; the class is the one that it wrote down.
    """
    forget_failure(name, paths.STATUS)
    code, lines = _follow(name)
    if code:
        raise failure_of(name, lines)
    publish_artifacts(name)
    return Completed(name="Cached", message="nothing changed") if is_unchanged(lines) else Completed()


def publish_artifacts(name: str) -> None:
    """Show reports/NAME.json, and each curve reports/NAME-*.csv, in the Prefect UI."""
    report = paths.REPORTS / f"{name}.json"
    if report.is_file():
        text = show_report(json.loads(report.read_text(encoding="utf-8")))
        create_markdown_artifact(text, key=f"stage-{name}", description=f"Report of stage {name}")
    for file in sorted(paths.REPORTS.glob(f"{name}-*.csv")):
        if text := show_curve(file):
            create_markdown_artifact(text, key=f"stage-{file.stem}", description=f"{file.name} of stage {name}")


def show_report(report: Mapping[str, Any]) -> str:
    r"""Return a report as Markdown: one row a value; things that are told of in the same words share a table, one row each.

    >>> print(show_report({"chunks": 3, "dropped": {"empty": 1}, "tried": {"gptq": {"mib": 2.35}, "awq": {"mib": 2.4}}}))
    |  | value |
    | --- | --- |
    | chunks | 3 |
    | dropped.empty | 1 |
    <BLANKLINE>
    | tried | mib |
    | --- | --- |
    | gptq | 2.35 |
    | awq | 2.4 |
    <BLANKLINE>
    """
    values: dict[str, Any] = {}
    tables: list[str] = []
    for place, part in _parts("", report):
        rows = _rows(part)
        if rows:
            columns = list(dict.fromkeys(column for row in rows.values() for column in row))
            cells = [[name, *(row.get(column) for column in columns)] for name, row in rows.items()]
            tables.append(_table([place, *columns], cells))
        else:
            values[place] = part
    shown = [_table(["", "value"], list(values.items()))] if values else []
    return "\n".join([*shown, *tables])


def show_curve(file: Path) -> str:
    """Return a CSV file as Markdown: its first column is the axis, each of the others a curve with gaps. "" when it is empty."""
    with file.open(encoding="utf-8", newline="") as lines:
        reader = csv.DictReader(lines)
        axis, *names = reader.fieldnames or [""]
        rows = [{name: "" if cell == "nan" else cell for name, cell in row.items()} for row in reader]
    if not rows:
        return ""
    curves = {name: [float(row[name]) for row in rows if row[name]] for name in names}
    summary = [[name, curve[0], curve[-1], min(curve), draw_line(_thin(curve))] for name, curve in curves.items() if curve]
    listed = [[row[axis], *(row[name] for name in names)] for row in _thin(rows)]
    return f"{_table(['', 'first', 'last', 'lowest', 'curve'], summary)}\n{_table([axis, *names], listed)}"


def draw_line(values: Sequence[float]) -> str:
    """Return one bar a value, between the lowest and the highest of them.

    >>> draw_line([8, 4, 2, 1]), draw_line([1, 1])
    ('█▄▂▁', '▁▁')
    """
    low, high = min(values), max(values)
    step = (high - low) / (len(_BARS) - 1) or 1.0
    return "".join(_BARS[round((value - low) / step)] for value in values)


def _parts(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Take a report apart down to its values and to the mappings that make a table."""
    if not isinstance(value, Mapping) or not value or _rows(value):
        yield place, value
        return
    for key, inner in value.items():
        yield from _parts(f"{place}.{key}".lstrip("."), inner)


def _rows(value: Any) -> dict[str, dict[str, Any]]:
    """Return the rows of the table that a mapping makes: two or more mappings that have a name in common. Else none."""
    if not isinstance(value, Mapping) or len(value) < 2 or not all(isinstance(inner, Mapping) for inner in value.values()):
        return {}
    rows = {str(name): dict(_leaves("", inner)) for name, inner in value.items()}
    return rows if set.intersection(*(set(row) for row in rows.values())) else {}


def _leaves(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        yield place, value
        return
    for key, inner in value.items():
        yield from _leaves(f"{place}.{key}".lstrip("."), inner)


def _thin(values: Sequence[T]) -> Sequence[T]:
    """Return at most MAX_ROWS of ``values``, evenly, the last one among them."""
    return values[:: -(1 + (len(values) - 1) // MAX_ROWS)][::-1]


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [[_cell(cell) for cell in cells] for cells in (head, *rows)]
    lines.insert(1, ["---"] * len(head))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_cell, value))
    if value is None:
        return ""
    text = str(value)
    return text if _NUMBER.fullmatch(text) else "none" if value == {} else escape.markdown(text)


def _follow(name: str) -> tuple[int, list[str]]:
    """Run the stage in the project, log each line as it comes, return the exit code and the last lines."""
    logger = get_run_logger()
    tail: deque[str] = deque(maxlen=50)
    with subprocess.Popen(
        stage_command(name),
        cwd=paths.ROOT,
        env=stage_environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        for line in process.stdout or ():
            logger.info(line.rstrip())
            tail.append(line.rstrip())
    return process.returncode, list(tail)
