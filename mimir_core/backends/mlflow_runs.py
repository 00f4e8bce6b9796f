"""MLflow: a run for each batch, in it one and a trace for each investigation, what people said; trainings, evaluations, benches.

Comes in: what was found about one incident, and the folder of its report. Goes out: the id of its run. Surprises: the run of the
batch begins with its first investigation at the latest, so that a batch without work leaves none, and several processes may share
it by its id; a batch that is killed stays ``RUNNING`` in MLflow; MLflow keeps assessments of traces, not of runs (MLflow
documentation, "Feedback"). It only shows: the store keeps.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mimir_core.backends.mlflow_home import experiment_of, open_mlflow
from mimir_core.errors import BackendError
from mimir_core.records import Diagnosis, EvidencePack, Run

if TYPE_CHECKING:
    from mlflow import MlflowClient

_EXPERIMENT = "diagnose"
_PARENT = "mlflow.parentRunId"


class MlflowBatch:
    """One batch, as one process shows it."""

    def __init__(self, uri: str | None, folder: Path, batch: str = "") -> None:
        """Remember where to write; nothing is imported or asked.

        Args:
            uri: Of a tracking server or a database; None for an SQLite file in ``folder``.
            folder: Holds that file, and the artifacts where there is no server.
            batch: The id of the run of a batch that has begun.
        """
        self._uri, self._folder, self._batch = uri, folder, batch
        self._client: MlflowClient | None = None
        self._experiment = ""

    def begin(self) -> str:
        """Let the batch have a run, unless it has one; return its id.

        Raises:
            BackendError: MLflow did not take it.
        """
        from mlflow.exceptions import MlflowException  # noqa: PLC0415  # takes seconds

        try:
            self._connect()
        except (MlflowException, OSError) as error:
            raise BackendError(f"mlflow: the batch is not shown: {error}") from error
        return self._batch

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
            client = self._connect()
            tags = {_PARENT: self._batch}
            shown = client.create_run(self._experiment, run_name=incident.id, tags=tags).info.run_id
            client.log_batch(
                shown,
                [Metric(name, value, now, 0) for name, value in figures.items()],
                [Param(name, value) for name, value in settings.items()],
                [RunTag(name, value) for name, value in told.items()],
            )
            client.log_dict(shown, {"alerts": [alert.model_dump(mode="json") for alert in incident.alerts]}, "alerts.json")
            client.log_artifacts(shown, str(report))
            self._trace(client, shown, diagnosis, run)
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
            self._client.log_metric(self._batch, "diagnosed", diagnosed)
            self._client.set_terminated(self._batch)
        except MlflowException as error:
            raise BackendError(f"mlflow: the end of the batch is not shown: {error}") from error

    def _trace(self, client: "MlflowClient", shown: str, diagnosis: Diagnosis, run: Run) -> None:
        """Leave a trace that people's opinions can be written on."""
        began = int(run.started_at.timestamp() * 1e9)
        asked = {"incident": diagnosis.incident_id}
        span = client.start_trace("diagnose", inputs=asked, experiment_id=self._experiment, run_id=shown, start_time_ns=began)
        said = {"verdict": diagnosis.verdict.value, "headline": diagnosis.headline}
        client.end_trace(span.trace_id, outputs=said, end_time_ns=began + int(run.latency_ms * 1e6))

    def _connect(self) -> "MlflowClient":
        if self._client is None:
            client = open_mlflow(self._uri, self._folder)
            self._experiment = experiment_of(client, _EXPERIMENT, self._uri, self._folder)
            self._batch = self._batch or client.create_run(self._experiment, run_name="batch").info.run_id
            self._client = client
        return self._client


class MlflowTraining:
    """Shows training runs, each in the experiment of its stage."""

    def __init__(self, uri: str | None, folder: Path) -> None:
        """Likewise: nothing is imported or asked."""
        self._uri, self._folder = uri, folder

    def record(self, stage: str, settings: Mapping[str, Any], curve: Sequence[Mapping[str, Any]], report: Path) -> str:
        """Show one run and return its id.

        Args:
            stage: Names the experiment.
            settings: Become parameters.
            curve: Rows with a ``step`` and figures; None where a figure was not taken.
            report: A file that becomes an artifact.

        Raises:
            BackendError: MLflow did not take it.
        """
        from mlflow.entities import Metric, Param  # noqa: PLC0415  # takes seconds
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        now = int(time.time() * 1000)
        figures = [
            Metric(name, value, now, row["step"])
            for row in curve
            for name, value in row.items()
            if name != "step" and value is not None
        ]
        try:
            client = open_mlflow(self._uri, self._folder)
            run = client.create_run(experiment_of(client, stage, self._uri, self._folder), run_name=stage).info.run_id
            client.log_batch(run, figures, [Param(name, str(value)) for name, value in settings.items()])
            client.log_artifact(run, str(report))
            client.set_terminated(run)
        except (MlflowException, OSError) as error:
            raise BackendError(f"mlflow: {stage} is not shown: {error}") from error
        return str(run)


class MlflowEvaluation:
    """Shows evaluations: a run each, in it a run for each variant, so that MLflow compares them."""

    def __init__(self, uri: str | None, folder: Path) -> None:
        """Likewise: nothing is imported or asked."""
        self._uri, self._folder = uri, folder

    def record(self, settings: Mapping[str, Any], variants: Mapping[str, Mapping[str, Any]], reports: Sequence[Path]) -> str:
        """Show one evaluation and return the id of its run.

        Args:
            settings: Become parameters.
            variants: Of each the figures; those that are no number are not shown.
            reports: Files that become artifacts.

        Raises:
            BackendError: MLflow did not take it.
        """
        from mlflow.entities import Metric, Param  # noqa: PLC0415  # takes seconds
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        now = int(time.time() * 1000)
        try:
            client = open_mlflow(self._uri, self._folder)
            experiment = experiment_of(client, "evaluate", self._uri, self._folder)
            whole = client.create_run(experiment, run_name="evaluate").info.run_id
            client.log_batch(whole, params=[Param(name, str(value)) for name, value in settings.items()])
            for name, figures in variants.items():
                run = client.create_run(experiment, run_name=name, tags={_PARENT: whole}).info.run_id
                numbers = {key: value for key, value in figures.items() if isinstance(value, int | float)}
                client.log_batch(run, [Metric(key, value, now, 0) for key, value in numbers.items()])
                client.set_terminated(run)
            for file in reports:
                client.log_artifact(whole, str(file))
            client.set_terminated(whole)
        except (MlflowException, OSError) as error:
            raise BackendError(f"mlflow: the evaluation is not shown: {error}") from error
        return str(whole)


class MlflowBench:
    """Shows bench runs, so that MLflow compares providers."""

    def __init__(self, uri: str | None, folder: Path) -> None:
        """Likewise: nothing is imported or asked."""
        self._uri, self._folder = uri, folder

    def record(self, name: str, settings: Mapping[str, Any], figures: Mapping[str, float], folder: Path) -> str:
        """Show one bench run and return its id.

        Args:
            name: Of the run.
            settings: Become parameters.
            figures: Become metrics.
            folder: Its files, prompts and outputs among them, become artifacts.

        Raises:
            BackendError: MLflow did not take it.
        """
        from mlflow.entities import Metric, Param  # noqa: PLC0415  # takes seconds
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        now = int(time.time() * 1000)
        try:
            client = open_mlflow(self._uri, self._folder)
            run = client.create_run(experiment_of(client, "bench", self._uri, self._folder), run_name=name).info.run_id
            params = [Param(key, str(value)) for key, value in settings.items()]
            client.log_batch(run, [Metric(key, value, now, 0) for key, value in figures.items()], params)
            client.log_artifacts(run, str(folder))
            client.set_terminated(run)
        except (MlflowException, OSError) as error:
            raise BackendError(f"mlflow: {name} is not shown: {error}") from error
        return str(run)


class MlflowReviews:
    """Writes what people said onto the investigations."""

    def __init__(self, uri: str | None, folder: Path) -> None:
        """Likewise: nothing is imported or asked."""
        self._uri, self._folder = uri, folder

    def assess(self, run_id: str, verdict: str, actor: str, words: str) -> None:
        """Write an opinion on the investigation of a run.

        Raises:
            BackendError: MLflow does not know the run, or did not take it.
        """
        import mlflow  # noqa: PLC0415  # takes seconds
        from mlflow.entities import AssessmentSource, AssessmentSourceType  # noqa: PLC0415
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        try:
            client = open_mlflow(self._uri, self._folder)
            traces = client.search_traces(locations=[client.get_run(run_id).info.experiment_id], run_id=run_id)
            if not traces:
                raise BackendError(f"mlflow: run {run_id} has no trace")
            source = AssessmentSource(AssessmentSourceType.HUMAN, actor)
            trace = traces[0].info.trace_id
            mlflow.log_feedback(trace_id=trace, name="diagnosis", value=verdict, source=source, rationale=words or None)
        except MlflowException as error:
            raise BackendError(f"mlflow: the opinion on run {run_id} is not shown: {error}") from error
