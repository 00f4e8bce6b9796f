# ruff: noqa: INP001, S311  # a script, not a package; chance protects nothing here
"""What is left of a batch when its engine is killed: ``python benchmarks/engine_kills.py FOLDER RUNS``.

Comes in: the folder of a model, and how often. Goes out: a row for each part that was killed: of all cases, how many the model
answered, how many the built-in reasoner (degraded), how many nobody; and the processes that were left. Surprises: vLLM is started
anew for each run, which takes most of the time; the eight cases of a run are asked at once, and a part of the server gets SIGKILL
at a random moment of about as long as they take. `make run` comes first: the cases are looked up in the published index.
"""

import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import NamedTuple

import psutil

from mimir_core.analysis.signs import read_signs
from mimir_core.backends.endpoints import ModelEndpoint
from mimir_core.backends.vllm_server import MODEL
from mimir_core.config import Params, read_params
from mimir_core.reasoning.model import ModelReasoner, Reasoned
from mimir_core.records import EvidencePack
from mimir_core.safety.policy import read_safety_rules
from mimir_core.telemetry.files import read_case
from tasks import paths, wiring
from tasks.diagnose import find_cases

CASES = 8
END_SECONDS = 30
TIMEOUT_SECONDS = 30
SMALL = {"max_input_tokens": 1500, "max_output_tokens": 280}
"""What fits into the context of a model of the profile `standard`."""
COLUMNS = ("killed", "runs", "cases", "model", "degraded", "lost", "left")


class Run(NamedTuple):
    """One batch and its end."""

    killed: str
    counts: Counter[str]


def run_all(folder: Path, count: int) -> Iterator[Run]:
    """Yield each run as it ends; the first, in which nothing is killed, says how long a batch takes."""
    params, packs = prepare()
    dice, took = Random(1), 0.0
    for number in range(count + 1):
        part = dice.choice(("guard", "server", "engine")) if number else "nothing"
        run, seconds = run_once(folder, packs, part, dice.uniform(0, took), params)
        took = took or seconds
        yield run


def prepare() -> tuple[Params, list[EvidencePack]]:
    """Return the settings of a hurried reasoner, and what it is asked about."""
    params = read_params(paths.PARAMS)
    told = {"kind": "model", "model": MODEL, "timeout_seconds": TIMEOUT_SECONDS, "retries": 1, **SMALL}
    params = params.model_copy(update={"reasoner": params.reasoner.model_copy(update=told)})
    engine = wiring.engine_from(params, wiring.searcher_from(params))
    return params, [engine.build_pack(read_case(case)) for case in find_cases(paths.INCIDENTS)[:CASES]]


def run_once(folder: Path, packs: Sequence[EvidencePack], part: str, moment: float, params: Params) -> tuple[Run, float]:
    """Ask about all packs at once and kill ``part`` after ``moment`` seconds; return what became of it, and how long it took."""
    with ThreadPoolExecutor(len(packs)) as pool, wiring.model_server_from(params).serving(folder) as served:
        reasoner = reasoner_at(served.url, served.key, params)
        guard = psutil.Process(served.process.pid)
        family = [guard, *guard.children(recursive=True)]
        began = time.monotonic()
        waiting = [pool.submit(reasoner.diagnose, pack) for pack in packs]
        if part != "nothing":
            time.sleep(moment)
            _find(family, part).kill()
        counts = Counter(map(fate, waiting))
        seconds = time.monotonic() - began
    _, alive = psutil.wait_procs(family, timeout=END_SECONDS)
    for member in alive:
        with suppress(psutil.NoSuchProcess):
            member.kill()
    return Run(part, counts + Counter(cases=len(packs), left=len(alive))), seconds


def _find(family: Sequence[psutil.Process], part: str) -> psutil.Process:
    """The guard started the server, the server all others; the one that it started last stands for the engine."""
    return family[{"guard": 0, "server": 1}.get(part, -1)]


def reasoner_at(url: str, key: str, params: Params) -> ModelReasoner:
    """Return who is asked."""
    return ModelReasoner(ModelEndpoint(url, key, params.reasoner), read_signs(), read_safety_rules(), params)


def fate(asked: Future[Reasoned]) -> str:
    """Whatever error gets out has lost the case."""
    if asked.exception():
        return "lost"
    return "degraded" if asked.result().diagnosis.degraded else "model"


if __name__ == "__main__":
    totals: dict[str, Counter[str]] = {}
    for done in run_all(Path(sys.argv[1]), int(sys.argv[2])):
        totals.setdefault(done.killed, Counter()).update({**done.counts, "runs": 1})
        sys.stderr.write(f"{done.killed}: {dict(done.counts)}\n")
    sys.stdout.write(f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}\n")
    for part, counted in totals.items():
        sys.stdout.write(f"| {part} | {' | '.join(str(counted[name]) for name in COLUMNS[1:])} |\n")
