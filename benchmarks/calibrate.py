# ruff: noqa: INP001  # a script, not a package
"""Fit the confidence of a ranking (mimir_core/analysis/calibration.json) on simulated incidents, and on nothing else.

Comes in: a number of cases and a seed. Goes out: the weights, with their figures on simulated incidents of another seed. Each
system is drawn anew, so that the fitted and the tested cases share none. Drawn are incidents as experimenters make and record
them: one fault that shows, every signal exported, nothing else going on. Whether the ranking is right is learned with the time of
the alert told; whether there is an incident at all, with no time told, from the whole recording and from the quiet time before.
Surprise: where monitoring is full of holes this confidence is too high; the figures of ``mimir bench rca`` on simulated incidents
as they are usually drawn say by how much.
"""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import sklearn.linear_model
from rich.progress import track

from mimir_core.analysis.calibrate import FILE, Calibration, LogisticRegression, features_of
from mimir_core.analysis.root_cause import RootCause, find_root_cause
from mimir_core.analysis.signs import read_signs
from mimir_core.config import read_params
from mimir_core.evaluation.calibration import calibration_of
from mimir_core.evaluation.quiet import cut_quiet_time
from mimir_core.simulate.incident import draw_case
from mimir_core.telemetry.files import read_case
from tasks import paths
from tasks.case_folders import write_case

PENALTY = 1.0
EXPERIMENT = {
    "healthy_share": 0.0,
    "undetermined_share": 0.0,
    "two_faults_share": 0.0,
    "max_red_herrings": 0,
    "least_severity": 0.6,
    "complete_share": 1.0,
}


_Rows = tuple[list[dict[str, float]], list[bool]]
"""Features, and the right answer to each."""


def look_at(count: int, seed: int) -> tuple[_Rows, _Rows]:
    """Return what ``count`` incidents look like: whether there is one, and whether its ranking is right."""
    params, table = read_params(paths.PARAMS), read_signs()
    settings = params.simulate.model_copy(update=EXPERIMENT)
    presence: _Rows = ([], [])
    hits: _Rows = ([], [])

    def note(rows: _Rows, found: RootCause, answer: bool) -> None:
        if found.suspicions:
            rows[0].append(features_of(found.ranking, found.suspicions))
            rows[1].append(answer)

    for number in track(range(count), description=f"seed {seed}"):
        case = draw_case(seed, number, settings)
        with TemporaryDirectory() as folder:
            write_case(Path(folder) / case.name, case)
            signals = read_case(Path(folder) / case.name)
        found = find_root_cause(signals, signals.incident.opened_at, table, params)
        note(hits, found, found.ranking[0][0] in {component for component, _ in case.truth.causes})
        note(presence, find_root_cause(signals, None, table, params), answer=True)
        began = datetime.fromtimestamp(case.truth.onset or 0.0, UTC)
        quiet = cut_quiet_time(signals, began, params.culprits.fault_seconds)
        if quiet is not None:
            note(presence, find_root_cause(quiet, None, table, params), answer=False)
    return presence, hits


def fit(rows: _Rows, others: _Rows) -> LogisticRegression:
    """Fit on the former, test on the latter."""
    features, answers = rows
    names = list(features[0])
    matrix = np.array([[row[name] for name in names] for row in features])
    scale = matrix.std(axis=0) + 1e-9
    model = sklearn.linear_model.LogisticRegression(C=PENALTY).fit(matrix / scale, answers)
    fitted = LogisticRegression(
        cases=len(answers),
        figures={},
        intercept=round(float(model.intercept_[0]), 4),
        weights={name: round(float(weight), 4) for name, weight in zip(names, model.coef_[0] / scale, strict=True)},
    )
    tested = calibration_of([fitted.probability(row) for row in others[0]], others[1])._asdict()
    figures = {name: round(value, 4) for name, value in tested.items() if isinstance(value, int | float)}
    return fitted.model_copy(update={"figures": figures})


def main(count: int, seed: int) -> None:
    """Fit on one seed, test on the next, write the weights of the first."""
    presence, hits = zip(look_at(count, seed), look_at(count // 2, seed + 1), strict=True)
    command = f"python benchmarks/calibrate.py {count} {seed}"
    fitted = Calibration(made_by=command, is_incident=fit(*presence), is_right=fit(*hits))
    FILE.write_text(json.dumps(fitted.model_dump(), indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(FILE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
