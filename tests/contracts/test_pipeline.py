"""params.yaml, dvc.yaml, dvc.lock and tasks/ agree."""

import hashlib
import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from mimir_core.config import Params, Profile
from tasks import paths

PIPELINE = yaml.safe_load((paths.ROOT / "dvc.yaml").read_text(encoding="utf-8"))
STAGES = PIPELINE["stages"]
PARAMS = yaml.safe_load(paths.PARAMS.read_text(encoding="utf-8"))
LOCK = yaml.safe_load((paths.ROOT / "dvc.lock").read_text(encoding="utf-8"))["stages"]


def written_by(stage: dict[str, Any]) -> set[str]:
    """Return the paths of all outs; one with options is a mapping from its path to them."""
    outs = [out for kind in ("outs", "metrics", "plots") for out in stage.get(kind, ())]
    return {path for out in outs for path in ([out] if isinstance(out, str) else out)}


WRITTEN = {path for stage in STAGES.values() for path in written_by(stage)}


def resolve(param: str) -> tuple[str, Any]:
    """Return the name that dvc.lock has for a parameter, and what params.yaml says of it."""
    name = param.replace("${profile}", PARAMS["profile"])
    value = PARAMS
    for key in name.split("."):
        value = value[key]
    return name, value


def deps_of(name: str) -> set[str]:
    """Return the paths that a stage depends on; the policy of the gate is named by params.yaml."""
    return {dep.replace("${gate.policy}", PARAMS["gate"]["policy"]) for dep in STAGES[name]["deps"]}


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
    own = ({name} & set(Params.model_fields)) | {f"profiles.${{profile}}.{size}" for size in {name} & set(Profile.model_fields)}
    assert own
    assert own <= set(stage["params"])
    assert {param.partition(".")[0] for param in stage["params"]} <= set(Params.model_fields)
    assert all(resolve(param) for param in stage["params"])
    assert {f"reports/{name}.json": {"cache": False}} in stage["metrics"]


@pytest.mark.parametrize("name", STAGES)
def test_what_a_stage_depends_on_is_there_or_made_by_another(name: str) -> None:
    missing = [dep for dep in deps_of(name) if dep not in WRITTEN and not (paths.ROOT / dep).exists()]
    assert not missing


@pytest.mark.parametrize("name", STAGES)
def test_the_lock_file_is_current(name: str) -> None:
    """If not: `dvc repro`, then commit dvc.lock and reports/."""
    locked = {dep["path"]: dep["md5"] for dep in LOCK[name]["deps"]}
    assert set(locked) == deps_of(name)
    present = [dep for dep in locked if (paths.ROOT / dep).exists()]
    assert {dep: locked[dep] for dep in present} == {dep: md5_of(paths.ROOT / dep) for dep in present}
    assert LOCK[name]["params"]["params.yaml"] == dict(resolve(param) for param in STAGES[name]["params"])
    assert {out["path"] for out in LOCK[name]["outs"]} == written_by(STAGES[name])


def test_the_reports_that_are_committed_are_those_of_the_lock_file() -> None:
    for name, stage in LOCK.items():
        reports = {out["path"]: out["md5"] for out in stage["outs"] if out["path"].startswith("reports/")}
        assert f"reports/{name}.json" in reports
        assert reports == {path: md5_of(paths.ROOT / path) for path in reports}


def test_what_is_drawn_is_written_by_a_stage() -> None:
    drawn = {file for plot in PIPELINE["plots"] for options in plot.values() for file in options["y"]}
    assert drawn
    assert drawn <= WRITTEN
