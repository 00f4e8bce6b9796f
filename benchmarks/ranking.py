# ruff: noqa: INP001  # a script, not a package
"""How finding the root cause in series costs time and memory: more components, and more points.

Comes in: nothing. Goes out: two tables, the slopes of time over components and over points in double logarithm (1 is
proportional), and a plot of both. Each component has twelve series at 15 s of made-up noise around a daily wave and one callee;
one fails from four fifths of the time on. The largest is 200 components for one day. Each size runs in a process of its own, so
that its peak memory is its own.
"""

import resource
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from curves import Curve, draw

from mimir_core.analysis.root_cause import find_root_cause
from mimir_core.analysis.signs import read_signs
from mimir_core.config import read_params
from mimir_core.records import Incident
from mimir_core.telemetry.signals import Signals
from tasks import paths

STEP_SECONDS, DAY = 15, 5760
COMPONENTS = tuple((count, DAY) for count in (25, 50, 100, 200))
POINTS = tuple((200, count) for count in (720, 1440, 2880, DAY))
_METRICS = {
    "requests_per_second": 50.0,
    "errors_per_second": 0.1,
    "latency_ms_mean": 20.0,
    "latency_ms_p95": 60.0,
    "latency_ms_p99": 90.0,
    "cpu_percent": 30.0,
    "memory_mib": 400.0,
    "connections": 20.0,
    "threads_busy": 5.0,
    "network_tx_bytes": 9e5,
    "disk_used_percent": 40.0,
    "restarts": 1.0,
}
_NOISE, _WAVE, _WORSE, _FAILS_FROM = 0.05, 0.3, 5.0, 0.8
_FAILING = ("errors_per_second", "latency_ms_mean", "latency_ms_p95", "latency_ms_p99", "cpu_percent")


def make_signals(components: int, rows: int) -> Signals:
    """Return a system that fails in its last component; the same on each run."""
    draw = np.random.default_rng(7)
    index = pd.date_range(datetime(2026, 1, 1, tzinfo=UTC), periods=rows, freq=f"{STEP_SECONDS}s")
    wave = 1 + _WAVE * np.sin(np.arange(rows) * 2 * np.pi / DAY)
    columns = pd.MultiIndex.from_product([[f"service-{number}" for number in range(components)], list(_METRICS)])
    usual = np.tile(list(_METRICS.values()), components)
    values = usual * wave[:, None] * draw.normal(1, _NOISE, (rows, len(usual)))
    frame = pd.DataFrame(values, index, columns)
    failing = [(f"service-{components - 1}", metric) for metric in _FAILING]
    frame.loc[index[int(_FAILS_FROM * rows) :], failing] *= _WORSE
    calls = frozenset((f"service-{number}", f"service-{number + 1}") for number in range(components - 1))
    return Signals(incident=Incident(id="made-up", title="Made up"), metrics=frame, calls=calls)


def measure(components: int, rows: int) -> None:
    """Find the root cause once, and print seconds and peak memory in MiB."""
    signals, params, table = make_signals(components, rows), read_params(paths.PARAMS), read_signs()
    noticed = signals.metrics.index[int(_FAILS_FROM * rows)].to_pydatetime()
    started = time.perf_counter()
    found = find_root_cause(signals, noticed, table, params)
    seconds = time.perf_counter() - started
    if found.ranking[0][0] != f"service-{components - 1}":
        raise SystemExit(f"{components} components, {rows} rows: blamed {found.ranking[0]}")
    sys.stdout.write(f"{seconds} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}\n")


def main(plot: Path) -> None:
    """Print the tables, and plot them."""
    curves: dict[str, Curve] = {}
    sys.stdout.write("components  points  seconds  peak MiB\n")
    for name, sizes, place in (("components", COMPONENTS, 0), ("points", POINTS, 1)):
        seconds = []
        for size in sizes:
            command = [sys.executable, __file__, *map(str, size)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            took, peak = (float(figure) for figure in done.stdout.split())
            seconds.append(took)
            sys.stdout.write(f"{size[0]:>10,}  {size[1]:>6,}  {took:>7.2f}  {peak:>8.0f}\n")
        curves[name] = Curve([size[place] for size in sizes], seconds)
        sys.stdout.write(f"slope of time over {name}: {curves[name].slope:.2f}\n")
    draw(curves, plot)
    sys.stdout.write(f"{plot}\n")


if __name__ == "__main__":
    if len(sys.argv) > 2:
        measure(int(sys.argv[1]), int(sys.argv[2]))
    else:
        main(paths.ROOT / "docs" / "results" / "ranking-cost.svg")
