"""The commands say what is in the store, without a server."""

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from deployment.cli import main
from mimir_core.errors import InputError


@pytest.fixture(autouse=True)
def _store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MIMIR_STORE_URL", f"sqlite+aiosqlite:///{tmp_path / 'store.db'}")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main.app, arguments)


def test_a_key_is_made_listed_and_revoked() -> None:
    key = run("keys", "create", "ci", "--scope", "viewer", "--scope", "webhook").stdout.strip()
    identity = key.split("_")[1]
    assert "in use  default  viewer,webhook  ci" in run("keys", "list").stdout
    assert key not in run("keys", "list").stdout
    assert run("keys", "revoke", identity).stdout == f"{identity} is revoked\n"
    assert "revoked" in run("keys", "list").stdout
    assert isinstance(run("keys", "revoke", identity).exception, InputError)


@pytest.mark.parametrize("arguments", [("keys", "create", "ci"), ("keys", "create", "ci", "--scope", "root")])
def test_a_key_without_a_known_scope_is_wrong_usage(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


def test_an_empty_store_is_told_so() -> None:
    assert run("incidents", "list").stdout == ""
    assert json.loads(run("incidents", "list", "--json").stdout)["incidents"] == []
    assert json.loads(run("incidents", "metrics", "--json").stdout)["MTTR"] == {"median_seconds": None, "counted": 0}
    assert isinstance(run("incidents", "show", "i0").exception, InputError)
