"""MLflow: a run for each batch, and in it a run for each investigation.

Comes in: what was found about one incident, and the folder of its report. Goes out: the id of its run. Surprises: the run of the
batch begins with its first investigation, so that a batch without work leaves none; a batch that is killed stays ``RUNNING`` in
MLflow. MLflow only shows: the store keeps.
"""

import os
import time
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from mimir_core.errors import BackendError
from mimir_core.records import Diagnosis, EvidencePack, Run

if TYPE_CHECKING:
    from mlflow import MlflowClient

_EXPERIMENT = "diagnose"
_PARENT = "mlflow.parentRunId"


class MlflowBatch:
    """One batch; its workers may share it between threads."""

    def __init__(self, uri: str | None, folder: Path) -> None:
        """Remember where to write; nothing is imported or asked.

        Args:
            uri: Of a tracking server; None for files in ``folder``.
            folder: Holds SQLite's file and the artifacts.
        """
        self._uri, self._folder = uri, folder
        self._lock = Lock()
        self._client: MlflowClient | None = None
        self._experiment = self._parent = ""

    def record(self, pack: EvidencePack, diagnosis: Diagnosis, run: Run, report: Path) -> str:
        """Show one investigation with what it found; return the id of its run.

        Args:
            pack: Its alerts become an artifact.
            diagnosis: Its verdict becomes a tag, its confidence a metric.
            run: Its latency becomes a metric.
            report: The folder whose files become artifacts.

        Raises:
            BackendError: MLflow did not take it.
        """
        from mlflow.entities import Metric, Param, RunTag  # noqa: PLC0415  # takes seconds
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        incident, now = pack.incident, int(time.time() * 1000)
        figures = {"latency_seconds": run.latency_ms / 1000, "confidence": diagnosis.confidence}
        settings = {"incident": incident.id, "severity": incident.severity.value, "reasoner": run.reasoner}
        told = {"tenant": incident.tenant, "verdict": diagnosis.verdict.value}
        try:
            client = self._begin()
            tags = {_PARENT: self._parent}
            shown = client.create_run(self._experiment, run_name=incident.id, tags=tags).info.run_id
            client.log_batch(
                shown,
                [Metric(name, value, now, 0) for name, value in figures.items()],
                [Param(name, value) for name, value in settings.items()],
                [RunTag(name, value) for name, value in told.items()],
            )
            client.log_dict(shown, {"alerts": [alert.model_dump(mode="json") for alert in incident.alerts]}, "alerts.json")
            client.log_artifacts(shown, str(report))
            client.set_terminated(shown)
        except (MlflowException, OSError) as error:
            raise BackendError(f"mlflow: {incident.id} is not shown: {error}") from error
        return str(shown)

    def end(self, diagnosed: int) -> None:
        """Say how many incidents the batch diagnosed, where it began at all.

        Raises:
            BackendError: MLflow did not take it.
        """
        if self._client is None:
            return
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        try:
            self._client.log_metric(self._parent, "diagnosed", diagnosed)
            self._client.set_terminated(self._parent)
        except MlflowException as error:
            raise BackendError(f"mlflow: the end of the batch is not shown: {error}") from error

    def _begin(self) -> "MlflowClient":
        with self._lock:
            if self._client is None:
                os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
                from mlflow import MlflowClient  # noqa: PLC0415

                self._folder.mkdir(parents=True, exist_ok=True)
                client = MlflowClient(self._uri or f"sqlite:///{self._folder / 'mlflow.db'}")
                artifacts = None if self._uri else (self._folder / "artifacts").as_uri()
                known = client.get_experiment_by_name(_EXPERIMENT)
                self._experiment = known.experiment_id if known else client.create_experiment(_EXPERIMENT, artifacts)
                self._parent = client.create_run(self._experiment, run_name="batch").info.run_id
                self._client = client
            return self._client
