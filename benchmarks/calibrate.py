# ruff: noqa: INP001  # a script, not a package
"""Fit the confidence of a ranking (mimir_core/analysis/calibration.json) on simulated incidents, and on nothing else.

Comes in: a number of cases and a seed. Goes out: the weights, with their figures on simulated incidents of another seed. Each
system is drawn anew, so that the fitted and the tested cases share none. Drawn are incidents as experimenters make and record
them: one fault that shows, every signal exported, nothing else going on. Surprises: where monitoring is full of holes this
confidence is too high; the figures of ``mimir bench rca`` on simulated incidents as they are usually drawn say by how much. It
takes for granted that there is an incident: fitted with healthy nights among them it would doubt weak evidence, and be too low on
recorded incidents.
"""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from rich.progress import track
from sklearn.linear_model import LogisticRegression

from mimir_core.analysis.calibrate import FILE, Calibration, features_of
from mimir_core.analysis.root_cause import find_root_cause
from mimir_core.analysis.signs import read_signs
from mimir_core.config import read_params
from mimir_core.evaluation.calibration import calibration_of
from mimir_core.simulate.incident import draw_case
from mimir_core.telemetry.files import read_case
from tasks import paths
from tasks.simulate import write_case

PENALTY = 1.0
EXPERIMENT = {
    "healthy_share": 0.0,
    "undetermined_share": 0.0,
    "two_faults_share": 0.0,
    "max_red_herrings": 0,
    "least_severity": 0.6,
    "complete_share": 1.0,
}


def look_at(count: int, seed: int) -> tuple[list[dict[str, float]], np.ndarray]:
    """Return the features of ``count`` rankings, and whether each is right."""
    params, table = read_params(paths.PARAMS), read_signs()
    settings = params.simulate.model_copy(update=EXPERIMENT)
    features, right = [], []
    for number in track(range(count), description=f"seed {seed}"):
        case = draw_case(seed, number, settings)
        with TemporaryDirectory() as folder:
            write_case(Path(folder) / case.name, case)
            signals = read_case(Path(folder) / case.name)
        found = find_root_cause(signals, signals.incident.opened_at, table, params)
        if found.ranking and found.suspicions:
            features.append(features_of(found.ranking, found.suspicions))
            right.append(found.ranking[0][0] in {component for component, _ in case.truth.causes})
    return features, np.array(right)


def main(count: int, seed: int) -> None:
    """Fit on one seed, test on the next, write the weights of the first."""
    features, right = look_at(count, seed)
    others, truth = look_at(count // 2, seed + 1)
    names = list(features[0])
    scale = np.array([[row[name] for name in names] for row in features]).std(axis=0) + 1e-9
    matrix = np.array([[row[name] for name in names] for row in features]) / scale
    model = LogisticRegression(C=PENALTY).fit(matrix, right)
    weights = {name: round(float(weight), 4) for name, weight in zip(names, model.coef_[0] / scale, strict=True)}
    fitted = Calibration(
        made_by=f"python benchmarks/calibrate.py {count} {seed}",
        cases=len(right),
        figures={},
        intercept=round(float(model.intercept_[0]), 4),
        weights=weights,
    )
    tested = calibration_of([fitted.probability(row) for row in others], truth.tolist())
    figures = {name: round(value, 4) for name, value in tested._asdict().items() if isinstance(value, int | float)}
    fitted = fitted.model_copy(update={"figures": figures})
    FILE.write_text(json.dumps(fitted.model_dump(), indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(FILE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
