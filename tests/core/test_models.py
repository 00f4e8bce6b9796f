"""Promotion and roll-back in a real MLflow: what is refused, what a kill leaves, and what serving is given."""

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from gates import PARAMS, Project, hits
from sqlalchemy import select
from typer.testing import CliRunner

from deployment.cli import main
from mimir_core.backends.mlflow_models import MlflowModels
from mimir_core.errors import InputError, MimirError
from mimir_core.evaluation.nights import ColumnDrift
from mimir_core.learning.champion import Champion, hash_model
from mimir_core.store.database import open_database
from mimir_core.store.scopes import Scope
from mimir_core.store.tables import audit
from tasks import models, paths, wiring
from tasks.models import Override, champion_folder, promote, rollback

KIM = Override(Scope.ADMIN, "kim", "the cases are old, password=hunter2hunter2")


def audited() -> list[tuple[Any, ...]]:
    async def ask() -> list[tuple[Any, ...]]:
        async with open_database(wiring.store_url(), PARAMS.store) as database:
            columns = (audit.c.event, audit.c.actor, audit.c.before, audit.c.after, audit.c.reason)
            return [tuple(row) for row in await database.fetch(select(*columns).order_by(audit.c.number))]

    return asyncio.run(ask())


class CalmReporter:
    """Stands for Evidently, which takes its seconds: nothing drifted."""

    def write_report(self, *_: object) -> list[ColumnDrift]:
        return [ColumnDrift("words", "ks", 1.0, has_drifted=False)]


@pytest.fixture(autouse=True)
def _calm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "drift_reporter_from", lambda _settings: CalmReporter())


def next_model(project: Project, seed: int, right: int) -> None:
    """Let another model be judged."""
    project.teach(seed)
    project.measure("tuned", hits(right))
    project.judge()


def test_what_the_gate_promotes_is_registered_answers_and_is_told_of(project: Project) -> None:
    reason = project.judge().reason
    assert champion_folder() is None
    assert promote(PARAMS, None, "retrain") == 1
    [version] = project.registry.versions()
    champion = project.champion
    assert champion.model
    weights = hash_model(paths.CANDIDATES["tuned"])
    assert (project.registry.champion(), champion.version, champion.model.weights) == (1, 1, weights)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=paths.ROOT, capture_output=True, text=True, check=True).stdout
    assert {
        name: version.tags[name] for name in ("gate", "profile", "variant", "weights_sha256", "data_sha256", "git_commit")
    } == {
        "gate": "promote",
        "profile": "nano",
        "variant": "tuned",
        "weights_sha256": weights,
        "data_sha256": champion.model.data,
        "git_commit": commit.strip(),
    }
    assert (version.tags["metric"], version.tags["figure.root_cause_top1"]) == ("root_cause_top1", "0.75")
    assert champion.model.outcomes["x0"] == {"root_cause_top1": 1.0}
    folder = champion_folder()
    assert folder == paths.CHAMPIONS / weights
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert audited() == [("champion", "retrain", "builtin", "version 1", reason)]
    assert project.judge().reason.startswith("refused: news: the champion is this very model")


def test_what_the_gate_refused_is_promoted_by_nobody_but_a_role_of_the_policy_who_says_why(project: Project) -> None:
    project.measure("tuned", hits(8))
    project.judge()
    with pytest.raises(InputError, match=r"the gate refused: builtin: gain: root_cause_top1 is better by -0\.1"):
        promote(PARAMS, None, "root")
    with pytest.raises(InputError, match="viewer may not override the gate, admin and approver may"):
        promote(PARAMS, None, "root", KIM._replace(role=Scope.VIEWER))
    assert (project.registry.versions(), project.champion) == ([], Champion(reasoner="builtin"))
    assert promote(PARAMS, None, "root", KIM) == 1
    [version] = project.registry.versions()
    told = (version.tags["gate"], version.tags["override_by"], version.tags["override_because"])
    assert told == ("refuse", "admin/kim", "the cases are old, password=[redacted:password]")
    [(_, actor, *_, reason)] = audited()
    assert (actor, reason.startswith("refused: builtin: gain"), reason.endswith("; admin/kim; " + told[2])) == (
        "root",
        True,
        True,
    )


def test_weights_that_are_not_those_that_were_judged_are_refused(project: Project) -> None:
    project.judge()
    project.teach(seed=9)
    with pytest.raises(InputError, match=r"merged: the gate judged the weights [0-9a-f]{64}, these are [0-9a-f]{64}"):
        promote(PARAMS, None, "retrain")
    assert project.registry.versions() == []


@pytest.mark.parametrize("name", ["pytorch_model.bin", "modeling.py", "sub/optimizer.pt"])
def test_a_folder_that_may_hold_a_pickle_or_code_is_refused(project: Project, name: str) -> None:
    file = paths.CANDIDATES["tuned"] / name
    file.parent.mkdir(exist_ok=True)
    file.touch()
    with pytest.raises(InputError, match=f"{name}: is no file of a model"):
        project.judge()


def test_a_folder_without_weights_is_refused(project: Project) -> None:
    (paths.CANDIDATES["tuned"] / "model.safetensors").unlink()
    with pytest.raises(InputError, match="holds no weights"):
        project.judge()


def test_a_verdict_against_another_champion_is_refused(project: Project) -> None:
    next_model(project, seed=1, right=20)
    promote(PARAMS, None, "retrain")
    next_model(project, seed=2, right=40)
    rollback(PARAMS, "root")
    with pytest.raises(InputError, match=r"the gate compared with version 1 .*, the champion is builtin: run `dvc repro gate`"):
        promote(PARAMS, None, "root")


@pytest.mark.parametrize("step", ["set_history", "set_champion"])
def test_a_promotion_killed_before_the_alias_leaves_the_old_champion_and_again_it_is_finished_without_a_duplicate(
    project: Project, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    project.judge()
    with monkeypatch.context() as patch:
        patch.setattr(MlflowModels, step, killed)
        with pytest.raises(KeyboardInterrupt):
            promote(PARAMS, None, "retrain")
    assert (len(project.registry.versions()), project.registry.champion()) == (1, None)
    assert (project.champion, champion_folder()) == (Champion(reasoner="builtin"), None)
    assert promote(PARAMS, None, "retrain") == 1
    assert (len(project.registry.versions()), project.registry.champion(), project.champion.version) == (1, 1, 1)


def test_a_promotion_killed_after_the_alias_is_finished_by_the_next_one(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.judge()
    with monkeypatch.context() as patch:
        patch.setattr(models, "_write", killed)
        with pytest.raises(KeyboardInterrupt):
            promote(PARAMS, None, "retrain")
    assert (project.registry.champion(), project.champion.version) == (1, None)
    assert promote(PARAMS, None, "retrain") == 1
    assert (project.champion.version, project.registry.history(), len(audited())) == (1, [1], 1)


def killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_rollback_returns_what_was_before_down_to_the_built_in_reasoner(project: Project) -> None:
    files = []
    for seed, right in ((1, 20), (2, 32), (3, 40)):
        next_model(project, seed, right)
        promote(PARAMS, None, "retrain")
        files.append(project.champion)
    assert (project.registry.champion(), project.registry.history()) == (3, [1, 2, 3])
    for number in (2, 1):
        assert rollback(PARAMS, "root") == number
        assert project.champion.model_copy(update={"rolled_back": ()}) == files[number - 1]
        assert champion_folder() == paths.CHAMPIONS / files[number - 1].model.weights
    assert rollback(PARAMS, "root") is None
    assert (project.champion.reasoner, len(project.champion.rolled_back), champion_folder()) == ("builtin", 3, None)
    with pytest.raises(InputError, match="there is nothing to roll back to"):
        rollback(PARAMS, "root")
    assert [row[2:4] for row in audited()[3:]] == [
        ("version 3", "version 2"),
        ("version 2", "version 1"),
        ("version 1", "builtin"),
    ]
    assert len(project.registry.versions()) == 3


def test_a_rollback_killed_half_way_goes_back_once_only(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed, right in ((1, 20), (2, 40)):
        next_model(project, seed, right)
        promote(PARAMS, None, "retrain")
    with monkeypatch.context() as patch:
        patch.setattr(MlflowModels, "set_champion", killed)
        with pytest.raises(KeyboardInterrupt):
            rollback(PARAMS, "root")
    assert project.registry.champion() == 2
    assert rollback(PARAMS, "root") == 1
    assert (project.registry.champion(), project.champion.version) == (1, 1)


def test_what_was_rolled_back_is_promoted_by_a_person_only(project: Project) -> None:
    project.judge()
    promote(PARAMS, None, "retrain")
    rollback(PARAMS, "root")
    assert project.judge().reason.startswith("refused: news: this model was the champion, and was rolled back")
    assert promote(PARAMS, 1, "root") == 1
    assert (project.champion.version, project.champion.rolled_back) == (1, ())
    with pytest.raises(InputError, match="version 7: Mimir registered none such"):
        promote(PARAMS, 7, "root")


def test_weights_that_were_changed_in_the_registry_or_on_this_machine_are_not_served(project: Project) -> None:
    project.judge()
    promote(PARAMS, None, "retrain")
    [stored] = paths.MLFLOW.rglob("model.safetensors")
    sound = stored.read_bytes()
    stored.write_bytes(sound + b" ")
    with pytest.raises(InputError, match=r"was changed: its SHA-256 is [0-9a-f]{64}; remove it"):
        champion_folder()
    stored.write_bytes(sound)
    [folder] = [place for place in paths.CHAMPIONS.iterdir() if place.is_dir()]
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    assert champion_folder() == folder
    (folder / "config.json").write_text("{}")
    with pytest.raises(InputError, match="was changed"):
        champion_folder()


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(main.app, ["models", *arguments])
    code = done.exception.exit_code if isinstance(done.exception, MimirError) else done.exit_code
    return code, done.stdout


def test_the_commands_list_promote_and_roll_back(project: Project) -> None:
    assert run("list") == (0, "")
    assert run("promote")[0] == 3
    project.measure("tuned", hits(8))
    project.judge()
    assert run("promote")[0] == 3
    assert run("promote", "--override", "--by", "operator/kim", "--because", "x")[0] == 3
    assert run("promote", "--override", "--by", "admin/kim", "--because", "try it") == (0, "version 1 is the champion\n")
    next_model(project, seed=2, right=36)
    assert run("promote", "latest") == (0, "version 2 is the champion\n")
    weights = hash_model(paths.CANDIDATES["tuned"])[:12]
    first, second = run("list")[1].splitlines()
    assert first.startswith("* 2  champion  20")
    assert first.endswith(f" UTC  tuned  nano  root_cause_top1 0.9  {weights}")
    assert second.startswith("  1  -         20")
    told = json.loads(run("list", "--json")[1])
    assert [(one["version"], one["champion"], one["gate"]) for one in told] == [(2, True, "promote"), (1, False, "refuse")]
    assert run("promote", "1")[0] == 3
    assert run("rollback") == (0, "version 1 is the champion again\n")
    assert run("rollback") == (0, "the built-in reasoner answers again\n")
    assert run("rollback")[0] == 3


@pytest.mark.parametrize(
    "arguments",
    [("first",), ("--override",), ("--override", "--by", "root/kim", "--because", "x"), ("--override", "--by", "admin/kim")],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2(arguments: tuple[str, ...]) -> None:
    assert run("promote", *arguments)[0] == 2


def test_a_registry_that_is_away_is_worth_a_retry(project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    project.judge()
    (tmp_path / "file").touch()
    monkeypatch.setattr(paths, "MLFLOW", tmp_path / "file")
    assert run("promote")[0] == 5
    assert run("list")[0] == 5
