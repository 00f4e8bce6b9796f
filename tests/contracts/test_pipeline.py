"""params.yaml, dvc.yaml, dvc.lock and tasks/ agree."""

import hashlib
import json
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from mimir_core.config import Params
from tasks import paths

STAGES = yaml.safe_load((paths.ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
LOCK = yaml.safe_load((paths.ROOT / "dvc.lock").read_text(encoding="utf-8"))["stages"]
WRITTEN = {out for stage in STAGES.values() for out in stage["outs"]}


def md5_of(path: Path) -> str:
    """Return what DVC calls the hash of a file or folder."""
    if path.is_file():
        return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    files = sorted(file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    listed = [{"md5": md5_of(file), "relpath": file.relative_to(path).as_posix()} for file in files]
    listing = json.dumps(sorted(listed, key=lambda entry: entry["relpath"]), sort_keys=True)
    return hashlib.md5(listing.encode(), usedforsecurity=False).hexdigest() + ".dir"


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_is_one_word_everywhere(name: str) -> None:
    stage = STAGES[name]
    assert stage["cmd"] == f"mimir stage {name}"
    assert callable(getattr(import_module(f"tasks.{name}"), name))
    assert name in stage["params"]
    assert set(stage["params"]) <= set(Params.model_fields)
    assert {f"reports/{name}.json": {"cache": False}} in stage["metrics"]


@pytest.mark.parametrize("name", STAGES)
def test_what_a_stage_depends_on_is_there_or_made_by_another(name: str) -> None:
    missing = [dep for dep in STAGES[name]["deps"] if dep not in WRITTEN and not (paths.ROOT / dep).exists()]
    assert not missing


@pytest.mark.parametrize("name", STAGES)
def test_the_lock_file_is_current(name: str) -> None:
    """If not: `dvc repro`, then commit dvc.lock and reports/."""
    params = yaml.safe_load(paths.PARAMS.read_text(encoding="utf-8"))
    locked = {dep["path"]: dep["md5"] for dep in LOCK[name]["deps"]}
    assert set(locked) == set(STAGES[name]["deps"])
    present = [dep for dep in locked if (paths.ROOT / dep).exists()]
    assert {dep: locked[dep] for dep in present} == {dep: md5_of(paths.ROOT / dep) for dep in present}
    assert LOCK[name]["params"]["params.yaml"] == {section: params[section] for section in STAGES[name]["params"]}


def test_the_reports_that_are_committed_are_those_of_the_lock_file() -> None:
    for name, stage in LOCK.items():
        written = {out["path"]: out["md5"] for out in stage["outs"]}
        assert written[f"reports/{name}.json"] == md5_of(paths.REPORTS / f"{name}.json")
