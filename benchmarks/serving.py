# ruff: noqa: INP001  # a script, not a package
"""How fast vLLM starts and answers, and what it leaves: ``python benchmarks/serving.py FOLDER...``, a row for each model.

Every server is ended by SIGKILL of the process that serves it; then its processes are counted. Takes minutes for each folder.
"""

import subprocess
import sys
import time
from pathlib import Path

import psutil

from mimir_core.backends.load import Bare
from mimir_core.config import read_params
from tasks import paths, wiring

BATCHES = (1, 32)
END_SECONDS = 30


def serve(folder: Path) -> None:
    """Serve until killed; print what the measuring process needs."""
    with wiring.model_server_from(read_params(paths.PARAMS)).serving(folder) as served:
        sys.stdout.write(f"{served.process.pid} {served.url} {served.models[0]} {served.key}\n")
        sys.stdout.flush()
        served.wait()


def measure(folder: Path) -> str:
    """Return one row: seconds to start, tokens a second for each batch, processes before and after the kill."""
    began = time.monotonic()
    parent = subprocess.Popen([sys.executable, __file__, "--serve", folder], stdout=subprocess.PIPE, text=True)
    guard, url, model, key = next(iter(parent.stdout or ())).split()
    started = time.monotonic() - began
    bare = Bare(url, key, model)
    bare.measure_rate(1)  # the first one warms up
    rates = [f"{bare.measure_rate(batch):.0f}" for batch in BATCHES]
    family = [psutil.Process(int(guard)), *psutil.Process(int(guard)).children(recursive=True)]
    parent.kill()
    parent.wait()
    _, alive = psutil.wait_procs(family, timeout=END_SECONDS)
    return f"| {folder} | {started:.0f} | {' | '.join(rates)} | {len(family)} | {len(alive)} |"


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        serve(Path(sys.argv[2]))
    else:
        columns = ["model", "start s", *(f"tokens/s at {batch}" for batch in BATCHES), "processes", "left"]
        sys.stdout.write(f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}\n")
        for argument in sys.argv[1:]:
            sys.stdout.write(measure(Path(argument)) + "\n")
            sys.stdout.flush()
