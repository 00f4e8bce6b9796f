# ruff: noqa: INP001  # a script, not a package
"""How long a diagnosis and a search take, on the shipped data.

Comes in: data/incidents and the published knowledge. Goes out: a table on stdout, medians in milliseconds.
Surprises: the baseline of a diagnosis is reading the bytes of its files, so the ratio says what thinking costs over reading;
the first call, which loads the model, is left out.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mimir_core.config import read_params
from mimir_core.knowledge.question import Question
from tasks import paths, wiring
from tasks.diagnose import diagnose_case, find_cases

ROUNDS = 5
QUESTIONS = ("pod keeps restarting", "disk is full", "certificate has expired")


def median_ms(work: Callable[[], object]) -> float:
    """Return the median time of ``ROUNDS`` calls, in milliseconds, after one that does not count."""
    work()
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        work()
        times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times)


def read_bytes(case: Path) -> int:
    """Read every file of a case; return how many bytes that were."""
    return sum(len(file.read_bytes()) for file in case.rglob("*") if file.is_file())


def main() -> None:
    """Print one row a case and one a question."""
    params = read_params(paths.PARAMS)
    table = Table("what", "KiB read", "read ms", "median ms", "ratio")
    with tempfile.TemporaryDirectory() as folder:
        for case in find_cases(paths.INCIDENTS):
            reading = median_ms(lambda case=case: read_bytes(case))
            whole = median_ms(lambda case=case: diagnose_case(case, params, Path(folder)))
            row = (f"{read_bytes(case) / 1024:.0f}", f"{reading:.2f}", f"{whole:.0f}", f"{whole / reading:.0f}x")
            table.add_row(f"diagnose {case.name}", *row)
    searcher = wiring.searcher_from(params)
    if searcher.version is None:
        table.add_row("search", "", "", "nothing published", "")
    for question in QUESTIONS if searcher.version else ():
        table.add_row(f"search {question!r}", "", "", f"{median_ms(lambda q=question: searcher.search(Question(q), 5)):.0f}", "")
    Console(width=None if sys.stdout.isatty() else 110).print(table)


if __name__ == "__main__":
    main()
