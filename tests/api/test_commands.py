"""The commands say what is in the store, without a server."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from deployment.cli import main
from deployment.cli.store import ask, user
from mimir_core.config import read_params
from mimir_core.errors import InputError
from mimir_core.records import Incident
from mimir_core.store.lifecycle import TransitionError
from mimir_core.store.requests import Asker, create_incident
from tasks import paths


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


def test_an_incident_is_ended_by_hand_and_the_reason_is_kept_without_its_secrets() -> None:
    incident = Incident(id="new", title="checkout is slow")
    asker = Asker("default", "kim", datetime.now(UTC))
    settings = read_params(paths.PARAMS).store
    [identity] = ask(lambda database: create_incident(database, incident, {}, asker, settings, None)).incidents
    assert isinstance(run("incidents", "close", identity, "--reason", "x").exception, TransitionError)
    secret = "hunter2" + "hunter2"
    assert run("incidents", "resolve", identity, "--reason", f"password={secret}").stdout == f"{identity} is resolved\n"
    assert run("incidents", "close", identity, "--reason", "done").stdout == f"{identity} is closed\n"
    shown = run("incidents", "show", identity).stdout
    assert (f"{user()}: closed: done" in shown, "[redacted:password]" in shown, secret in shown) == (True, True, False)
    assert run("incidents", "resolve", identity).exit_code == 2


def test_an_empty_store_is_told_so() -> None:
    assert run("incidents", "list").stdout == ""
    assert json.loads(run("incidents", "list", "--json").stdout)["incidents"] == []
    assert json.loads(run("incidents", "metrics", "--json").stdout)["MTTR"] == {"median_seconds": None, "counted": 0}
    assert isinstance(run("incidents", "show", "i0").exception, InputError)
