"""What `mimir stage simulate`, and so `dvc repro`, runs: a seed in, solved incidents out, and the counts in a report.

Surprises: each case is written and read like one that a user brings, by as many processes as ``diagnose.concurrency`` says; the
runbooks are searched in an index made of the outs of the stages before, not in the one that happens to be published.
"""

import logging
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from mimir_core.backends.lance import LanceIndex
from mimir_core.config import Params
from mimir_core.knowledge.retrieve import Searcher
from mimir_core.records import Chunk, SolvedIncident
from mimir_core.simulate.incident import draw_case
from mimir_core.telemetry.files import read_case
from tasks import paths, wiring
from tasks.case_folders import write_case
from tasks.files import read_records, write_records, write_report

logger = logging.getLogger(__name__)

_PROGRESS_EVERY = 20


def simulate(params: Params) -> None:
    """Write data/simulated.jsonl and reports/simulate.json."""
    verdicts: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    with TemporaryDirectory() as folder:
        LanceIndex(Path(folder)).publish(
            "stage",
            read_records(paths.CHUNKS, Chunk),
            np.load(paths.VECTORS, allow_pickle=False),
            wiring.embedder_from(params.index).model,
        )
        write_records(paths.SIMULATED, _counted(_solve_all(params, Path(folder)), verdicts, faults))
    write_report(
        paths.REPORTS / "simulate.json",
        {
            "incidents": sum(verdicts.values()),
            "verdicts": dict(sorted(verdicts.items())),
            "faults": dict(sorted(faults.items())),
        },
    )
    logger.info("simulate: %s incidents; %s", sum(verdicts.values()), dict(verdicts))


def _solve_all(params: Params, index: Path) -> Iterator[SolvedIncident]:
    count = params.sizes.simulate.incidents
    with ProcessPoolExecutor(params.diagnose.concurrency, mp_context=get_context("spawn")) as pool:
        for done, solved in enumerate(pool.map(partial(solve, params, index), range(count)), start=1):
            if done % _PROGRESS_EVERY == 0:
                logger.info("simulate: %s of %s incidents", done, count)
            yield solved


def solve(params: Params, index: Path, number: int) -> SolvedIncident:
    """Draw incident ``number``, look at it as at any other, and keep the truth beside what was seen."""
    case = draw_case(params.sizes.simulate.seed, number, params.simulate)
    searcher = Searcher(LanceIndex(index), wiring.embedder_from(params.index), params.retrieve)
    with TemporaryDirectory() as folder:
        write_case(Path(folder, case.name), case)
        pack = wiring.engine_from(params, searcher).build_pack(read_case(Path(folder, case.name)))
    return SolvedIncident(
        pack=pack.model_copy(update={"charts": ()}),
        verdict=case.truth.verdict,
        causes=case.truth.causes,
        provenance=case.name,
        system=case.truth.system,
    )


def _counted(solved: Iterator[SolvedIncident], verdicts: Counter[str], faults: Counter[str]) -> Iterator[SolvedIncident]:
    for incident in solved:
        verdicts[incident.verdict.value] += 1
        faults.update(kind.value for _, kind in incident.causes)
        yield incident
