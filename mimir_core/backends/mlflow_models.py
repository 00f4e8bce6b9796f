"""MLflow's model registry: the versions of the model ``mimir``, and the alias ``champion`` on the one that answers.

Comes in: a model folder and what is said of it. Goes out: its version; later, the folder again. Surprises: a version's files are
the artifacts of a run, so a registration that is killed leaves a run that never ends, and no version; MLflow forgets where an
alias was, so the champions there were are a tag of the model.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mimir_core.backends.mlflow_home import experiment_of, open_mlflow
from mimir_core.errors import BackendError
from mimir_core.learning.champion import ModelVersion

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import RegisteredModel

_NAME, _ALIAS = "mimir", "champion"
_EXPERIMENT = "models"
_HISTORY = "champions"
_FOLDER, _CHALLENGER = "model", "challenger.json"
"""The artifacts of a version's run."""


class MlflowModels:
    """The registry; see ``ModelRegistry`` for what it promises."""

    def __init__(self, uri: str | None, folder: Path) -> None:
        """Remember where it is; nothing is imported or asked."""
        self._uri, self._folder = uri, folder

    def versions(self) -> list[ModelVersion]:
        """Return every version, newest first."""
        with self._asked() as client:
            found = client.search_model_versions(f"name='{_NAME}'", order_by=["version_number DESC"])
            return [
                ModelVersion(int(one.version), datetime.fromtimestamp(one.creation_timestamp / 1000, UTC), dict(one.tags))
                for one in found
            ]

    def register(self, folder: Path, challenger: Path, tags: Mapping[str, str]) -> int:
        """Keep a folder, and the file that tells of it, as a new version."""
        with self._asked() as client:
            if _model(client) is None:
                client.create_registered_model(_NAME)
            run = client.create_run(experiment_of(client, _EXPERIMENT, self._uri, self._folder)).info
            client.log_artifacts(run.run_id, str(folder), _FOLDER)
            client.log_artifact(run.run_id, str(challenger))
            made = client.create_model_version(_NAME, f"{run.artifact_uri}/{_FOLDER}", run.run_id, tags=dict(tags))
            client.set_terminated(run.run_id)
            return int(made.version)

    def tag(self, number: int, tags: Mapping[str, str]) -> None:
        """Add to what is said of a version."""
        with self._asked() as client:
            for name, value in tags.items():
                client.set_model_version_tag(_NAME, str(number), name, value)

    def champion(self) -> int | None:
        """Return the version that the alias is on."""
        with self._asked() as client:
            model = _model(client)
            return int(model.aliases[_ALIAS]) if model and _ALIAS in model.aliases else None

    def set_champion(self, number: int | None) -> None:
        """Move the alias, or take it away."""
        with self._asked() as client:
            if number is None:
                client.delete_registered_model_alias(_NAME, _ALIAS)
            else:
                client.set_registered_model_alias(_NAME, _ALIAS, str(number))

    def history(self) -> list[int]:
        """Return the versions that were champions."""
        with self._asked() as client:
            model = _model(client)
            return [int(number) for number in json.loads(model.tags.get(_HISTORY, "[]"))] if model else []

    def set_history(self, numbers: Sequence[int]) -> None:
        """Write them down."""
        with self._asked() as client:
            client.set_registered_model_tag(_NAME, _HISTORY, json.dumps(list(numbers)))

    def fetch_model(self, number: int, into: Path) -> Path:
        """Copy a version's folder into ``into``; return where it lies."""
        return self._fetch(number, _FOLDER, into)

    def fetch_challenger(self, number: int, into: Path) -> Path:
        """Copy the file that tells of a version."""
        return self._fetch(number, _CHALLENGER, into)

    def _fetch(self, number: int, artifact: str, into: Path) -> Path:
        with self._asked() as client:
            run = str(client.get_model_version(_NAME, str(number)).run_id)
            return Path(client.download_artifacts(run, artifact, str(into)))

    @contextmanager
    def _asked(self) -> Iterator["MlflowClient"]:
        from mlflow.exceptions import MlflowException  # noqa: PLC0415  # takes seconds

        try:
            yield open_mlflow(self._uri, self._folder)
        except (MlflowException, OSError) as error:
            raise BackendError(f"mlflow: the model registry did not answer: {error}") from error


def _model(client: "MlflowClient") -> "RegisteredModel | None":
    """Return the model with its alias and its tags; None before the first version."""
    return next(iter(client.search_registered_models(f"name='{_NAME}'")), None)
