"""The batch over the store under a real Prefect server, shown in a real MLflow."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from prefect.task_runners import ThreadPoolTaskRunner
from sqlalchemy import select

import flows.serve
from flows.serve import serve
from mimir_core.config import Params, read_params
from mimir_core.records import Alert, Incident, Severity
from mimir_core.store.database import open_database
from mimir_core.store.intake import receive
from mimir_core.store.tables import runs
from tasks import paths

pytestmark = pytest.mark.usefixtures("prefect_server")
Configure = Callable[..., Params]


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """A store and an MLflow of their own, and workers that see them; `configure(track=...)` sets whether MLflow is used."""
    for name in ("CASES", "DIAGNOSES", "MLFLOW"):
        monkeypatch.setattr(paths, name, tmp_path / name.lower())
    monkeypatch.setenv("MIMIR_STORE_URL", f"sqlite+aiosqlite:///{tmp_path / 'store.db'}")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(flows.serve, "runner", lambda workers: ThreadPoolTaskRunner(max_workers=workers))
    given = read_params(paths.PARAMS)

    def use(*, track: bool = True) -> Params:
        quick = given.model_copy(update={"diagnose": given.diagnose.model_copy(update={"passages": 0, "track": track})})
        monkeypatch.setattr(flows.serve, "read_params", lambda _path: quick)
        return quick

    return use


def send(params: Params, url: str, *services: str) -> list[str]:
    async def run() -> list[str]:
        now, sent = datetime.now(UTC), []
        async with open_database(url, params.store) as database:
            for service in services:
                alert = Alert(name="Slow", severity=Severity.ERROR, starts_at=now, fingerprint=service)
                incident = Incident(id="i", title="slow", service=service, severity=Severity.ERROR, alerts=(alert,))
                sent.extend((await receive(database, incident, service, "test", params.store, now)).incidents)
        return sent

    return asyncio.run(run())


def stored_runs(params: Params, url: str) -> Sequence[Any]:
    async def run() -> Sequence[Any]:
        async with open_database(url, params.store) as database, database.reading() as connection:
            return (await connection.execute(select(runs))).all()

    return asyncio.run(run())


def test_a_batch_shows_as_a_run_and_each_investigation_as_a_run_in_it(configure: Configure, tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'store.db'}"
    sent = send(params := configure(), url, "cart", "web", "orders")
    state = serve(return_state=True)
    assert (state.message, state.result()) == ("3 diagnosed", 3)
    client = MlflowClient(f"sqlite:///{paths.MLFLOW / 'mlflow.db'}")
    [experiment] = client.search_experiments(filter_string="name = 'diagnose'")
    shown = {run.info.run_id: run for run in client.search_runs([experiment.experiment_id])}
    [batch] = [run for run in shown.values() if "mlflow.parentRunId" not in run.data.tags]
    assert (batch.data.metrics, batch.info.status) == ({"diagnosed": 3.0}, "FINISHED")
    stored = stored_runs(params, url)
    assert {row.incident_id for row in stored} == set(sent)
    for row in stored:
        run = shown[row.mlflow_run_id]
        assert run.data.params == {"incident": row.incident_id, "severity": "error", "reasoner": "builtin"}
        assert set(run.data.metrics) == {"latency_seconds", "confidence"}
        assert run.data.tags["mlflow.parentRunId"] == batch.info.run_id
        assert (run.data.tags["verdict"], run.info.status) == ("undetermined", "FINISHED")
        kept = {item.path for item in client.list_artifacts(row.mlflow_run_id)}
        assert kept == {"alerts.json", "pack.json", "diagnosis.json", "run.json", "report.html"}


def test_a_batch_with_nothing_to_do_leaves_no_run(configure: Configure) -> None:
    configure()
    state = serve(return_state=True)
    assert (state.message, state.result()) == ("nothing is due", 0)
    assert not paths.MLFLOW.exists()


def test_a_batch_that_mlflow_does_not_show_is_diagnosed_all_the_same(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    send(configure(), f"sqlite+aiosqlite:///{tmp_path / 'store.db'}", "cart")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert serve() == 1
    assert "mlflow: the batch is not shown" in caplog.text


def test_who_wants_no_mlflow_gets_none(configure: Configure, tmp_path: Path) -> None:
    send(configure(track=False), f"sqlite+aiosqlite:///{tmp_path / 'store.db'}", "cart")
    assert serve() == 1
    assert not paths.MLFLOW.exists()
