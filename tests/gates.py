"""A small project whose model asks to become the champion: everything the gate reads, made up; MLflow and the store are real."""

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from mimir_core.backends.mlflow_models import MlflowModels
from mimir_core.config import Params, read_params
from mimir_core.learning.champion import Champion
from mimir_core.learning.data_card import count_chats
from mimir_core.learning.gate import Verdict
from mimir_core.learning.splits import Split
from mimir_core.reasoning.prompt import prompt_version
from mimir_core.records import Chat, Message
from mimir_core.safety.policy import read_safety_rules
from tasks import paths, wiring
from tasks.files import read_document, write_records
from tasks.gate import gate

CASES = 40
FIGURES = {
    **dict.fromkeys(("root_cause_top3", "fault_kind", "schema_valid", "citation_precision", "citation_recall"), 0.9),
    **dict.fromkeys(("safe_actions", "abstention"), 1.0),
    **dict.fromkeys(("unsupported_claims", "overconfidence"), 0.1),
}
PARAMS: Params = read_params(paths.PARAMS)


def hits(right: int, cases: int = CASES) -> dict[str, float | None]:
    """Return the scores of a variant that names the cause of the first ``right`` cases."""
    return {f"x{case}": float(case < right) for case in range(cases)}


@dataclass
class Project:
    """What the stages before the gate would have written; change it, then ask."""

    report: dict[str, Any]
    rows: list[dict[str, Any]]
    chats: dict[Split, list[Chat]]
    params: Params = PARAMS

    def measure(self, variant: str, scores: dict[str, float | None], **figures: object) -> None:
        """Write down how well a variant answered."""
        known = [score for score in scores.values() if score is not None]
        self.report["variants"][variant] = {"root_cause_top1": sum(known) / len(known), **FIGURES, **figures, "intervals": {}}
        self.rows = [row for row in self.rows if row["variant"] != variant]
        self.rows += [{"case": case, "variant": variant, "scores": {"root_cause_top1": score}} for case, score in scores.items()]

    def teach(self, seed: int) -> None:
        """Give the challenger other weights."""
        folder = paths.CANDIDATES["tuned"]
        folder.mkdir(parents=True, exist_ok=True)
        save_file({"weight": np.random.default_rng(seed).random((2, 2))}, folder / "model.safetensors")
        (folder / "config.json").write_text('{"model_type": "llama"}')

    def judge(self) -> Verdict:
        """Write all of it, run the stage, return what it says."""
        for split, chats in self.chats.items():
            write_records(paths.SFT / f"{split.value}.jsonl", chats)
        (paths.REPORTS / "evaluate.json").write_text(json.dumps(self.report))
        paths.OUTCOMES.write_text("".join(json.dumps(row) + "\n" for row in self.rows))
        gate(self.params)
        return read_document(paths.REPORTS / "gate.json", Verdict)

    def write_dataset_report(self, **changed: object) -> None:
        """Write what the stage `dataset` would say of the chats."""
        told = {"chats": count_chats(self.chats), "prompt": prompt_version(read_safety_rules()), "dropped": {}, **changed}
        (paths.REPORTS / "dataset.json").write_text(json.dumps(told))

    @property
    def registry(self) -> MlflowModels:
        """The registry that promotions use."""
        return wiring.model_registry()

    @property
    def champion(self) -> Champion:
        """What models/champion.json says."""
        return read_document(paths.CHAMPION, Champion)


def made_chat(lots: random.Random, name: str, words: int) -> Chat:
    """Return an incident of two suspects, asked in so many words."""
    question = "e1 cpu rose\ne2 disk is full\n" + "slow " * lots.randrange(words, words + 40)
    kind, cause = lots.choice(["cpu", "disk", "memory"]), lots.choice(["c1", "c2"])
    weighed = {"suspect": cause, "fault_kind": kind, "because": "it rose", "supporting": ["e1"], "contradicting": []}
    steps = {"symptoms": ["e1"], "hypotheses": [weighed], "checks": [], "verdict": "cause_found"}
    steps |= {"causes": [{"suspect": cause, "fault_kind": kind}], "actions": [], "missing": []}
    said = (("system", "diagnose"), ("user", question), ("assistant", json.dumps(steps)))
    return Chat(
        id=name,
        source=lots.choice(["gold", "simulated"]),
        provenance=name,
        system="shop",
        hinted=False,
        suspects={"c1": "web", "c2": "db"},
        causes=(cause,),
        first="c1",
        messages=tuple(Message(role=role, content=content) for role, content in said),
    )


def made_chats(seed: int, words: int = 40) -> dict[Split, list[Chat]]:
    """Return a data set as large as the policy asks."""
    lots = random.Random(seed)
    sizes = {Split.TRAIN: 120, Split.DEV: 12, Split.TEST: 40}
    return {split: [made_chat(lots, f"{split}-{number}", words) for number in range(size)] for split, size in sizes.items()}


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables: to make them takes seconds."""
    home = tmp_path_factory.mktemp("mlflow")
    MlflowModels(None, home).versions()
    return home / "mlflow.db"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_mlflow: Path) -> Project:
    """A challenger that is far better than the built-in reasoner, which is the champion."""
    for name, place in {
        "REPORTS": "reports",
        "SFT": "data/sft",
        "OUTCOMES": "data/outcomes.jsonl",
        "MODELS": "models",
        "CHAMPION": "models/champion.json",
        "CHALLENGER": "models/challenger.json",
        "CHAMPIONS": "var/champions",
        "DRIFT_PAGE": "var/gate/drift.html",
        "MLFLOW": "var/mlflow",
    }.items():
        monkeypatch.setattr(paths, name, tmp_path / place)
    monkeypatch.setattr(paths, "CANDIDATES", {"tuned": tmp_path / "models" / "tuned" / "merged"})
    monkeypatch.setenv("MIMIR_STORE_URL", f"sqlite+aiosqlite:///{tmp_path / 'store.db'}")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for folder in ("reports", "data", "models", "var/mlflow"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(empty_mlflow, paths.MLFLOW)
    paths.CHAMPION.write_text('{"reasoner": "builtin"}\n')
    report = {"profile": "nano", "cases": CASES, "cases_hash": "c0", "variants": {}, "judge": {}, "ablations": {}, "drift": {}}
    made = Project(report, [], made_chats(seed=1))
    made.measure("builtin", hits(12))
    made.measure("tuned", hits(30))
    made.teach(seed=1)
    made.write_dataset_report()
    return made


Change = Callable[[Project], None]
