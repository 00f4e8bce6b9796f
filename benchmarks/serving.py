# ruff: noqa: INP001  # a script, not a package
"""How fast vLLM starts and answers, and what it leaves: ``python benchmarks/serving.py FOLDER...``, a row for each model.

Every server is ended by SIGKILL of the process that serves it; then its processes are counted. Takes minutes for each folder.
"""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil

from mimir_core.config import read_params
from tasks import paths, wiring

QUESTION_TOKENS, ANSWER_TOKENS = 200, 128
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
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=600, trust_env=False) as client:

        def ask(number: int) -> int:
            question = [10 + (7 * number + place) % 240 for place in range(QUESTION_TOKENS)]
            asked = {"model": model, "prompt": question, "max_tokens": ANSWER_TOKENS, "ignore_eos": True, "seed": number}
            return int(client.post("/completions", json=asked).raise_for_status().json()["usage"]["completion_tokens"])

        ask(0)
        rates = []
        for batch in BATCHES:
            asked_at = time.monotonic()
            with ThreadPoolExecutor(batch) as pool:
                tokens = sum(pool.map(ask, range(1, batch + 1)))
            rates.append(f"{tokens / (time.monotonic() - asked_at):.0f}")
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
