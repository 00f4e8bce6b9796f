"""Where MLflow keeps things: a server or database by its address, else an SQLite file in a folder."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient


def open_mlflow(uri: str | None, folder: Path) -> "MlflowClient":
    """Return what asks MLflow.

    Args:
        uri: Of a tracking server or a database; None for an SQLite file in ``folder``.
        folder: Holds that file, and the artifacts where there is no server.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ASYNC_TRACE_LOGGING", "false")  # to wait for its threads takes a second a trace
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    import mlflow  # noqa: PLC0415  # takes seconds

    folder.mkdir(parents=True, exist_ok=True)
    address = uri or f"sqlite:///{folder / 'mlflow.db'}"
    mlflow.set_tracking_uri(address)  # traces do not ask the client
    return mlflow.MlflowClient(address)


def experiment_of(client: "MlflowClient", name: str, uri: str | None, folder: Path) -> str:
    """Return the id of an experiment; it is made where there is none."""
    is_server = (uri or "").startswith(("http://", "https://"))  # it knows itself where artifacts go
    artifacts = None if is_server else (folder / "artifacts").absolute().as_uri()
    known = client.get_experiment_by_name(name)
    return str(known.experiment_id if known else client.create_experiment(name, artifacts))
