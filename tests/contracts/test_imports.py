"""Imports keep their direction, and importing does nothing."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINTER = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]


def test_the_contracts_hold() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_every_package_at_the_top_is_under_contract() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages == set(LINTER["root_packages"])


def test_every_package_is_installed() -> None:
    declared = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    found = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for name in LINTER["root_packages"]
        for path in ROOT.glob(f"{name}/**/__init__.py")
    }
    assert declared == found


@pytest.mark.parametrize("module", ["deployment.cli.main", "tasks.diagnose", "mimir_core.records"])
def test_importing_loads_no_heavy_library(module: str) -> None:
    servers = {"prefect", "dvc", "mlflow"}
    heavy = servers | {"torch", "sentence_transformers", "lancedb", "unstructured", "great_expectations", "evidently"}
    code = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
