"""The morning after, under a real Prefect server and from the command line."""

import asyncio
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from made_nights import stored, write_night
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.sorting import ArtifactSort
from typer.testing import CliRunner

import flows.monitor
from deployment.cli import main
from flows.monitor import monitor
from mimir_core.config import read_params
from mimir_core.errors import InputError
from mimir_core.evaluation.nights import ColumnDrift
from mimir_core.rules import Row
from mimir_core.store.database import open_database
from mimir_core.store.nights import StoredDiagnosis
from tasks import paths, wiring

NOW = datetime.now(UTC)
Fill = Callable[..., None]


class ScriptedReporter:
    """Stands for Evidently: of its two columns so many drifted."""

    def __init__(self, drifted: int) -> None:
        self.drifted = drifted

    def write_report(self, reference: Sequence[Row], night: Sequence[Row], page: Path) -> list[ColumnDrift]:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(f"{len(reference)} and {len(night)}", encoding="utf-8")
        return [ColumnDrift(name, "ks", 1e-9, number < self.drifted) for number, name in enumerate(("confidence", "alerts"))]


@pytest.fixture
def fill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fill:
    """A store of its own with these diagnoses of tonight and of last week; two are enough to compare."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'store.db'}"
    monkeypatch.setenv("MIMIR_STORE_URL", url)
    monkeypatch.setattr(paths, "MONITOR", tmp_path / "monitor")
    given = read_params(paths.PARAMS)
    few = given.model_copy(update={"monitor": given.monitor.model_copy(update={"min_rows": 2})})
    monkeypatch.setattr(flows.monitor, "read_params", lambda _path: few)

    def write(*tonight: StoredDiagnosis, drifted: int = 0) -> None:
        monkeypatch.setattr(wiring, "drift_reporter_from", lambda _settings: ScriptedReporter(drifted))

        async def run() -> None:
            async with open_database(url, given.store) as database:
                await write_night(database, tonight, NOW - timedelta(hours=1))
                await write_night(database, [stored(f"w{day}", NOW) for day in range(2)], NOW - timedelta(days=7))

        asyncio.run(run())

    return write


def shown(key: str) -> str:
    with get_client(sync_client=True) as client:
        keys = ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
        return str(client.read_artifacts(artifact_filter=keys, sort=ArtifactSort.CREATED_DESC)[0].data)


@pytest.mark.usefixtures("prefect_server")
def test_a_sound_night_completes_and_shows_where_its_report_lies(fill: Fill) -> None:
    fill(stored("a", NOW), stored("b", NOW), drifted=0)
    state = monitor(return_state=True)
    assert (state.is_completed(), state.message) == (True, "2 diagnosed, 0 rules broken, 0 of 2 columns drifted")
    [folder] = paths.MONITOR.iterdir()
    assert (folder / "report.html").read_text(encoding="utf-8") == "2 and 2"
    assert f"`{folder / 'report.html'}`" in shown("monitor")
    assert "confidence" in shown("monitor-drift")


@pytest.mark.usefixtures("prefect_server")
def test_a_drifted_night_completes_with_a_warning(fill: Fill) -> None:
    fill(stored("a", NOW), stored("b", NOW), drifted=1)
    state = monitor(return_state=True)
    assert state.is_completed()
    assert "warning: this night is unlike those before" in str(state.message)
    assert "warning: this night is unlike those before" in shown("monitor")


@pytest.mark.usefixtures("prefect_server")
def test_a_broken_rule_fails_the_flow_and_is_shown_with_the_incident(fill: Fill) -> None:
    wrong = stored("[x](http://a.b)", NOW)
    wrong.diagnosis["causes"][0]["confidence"] = 1.5
    fill(stored("a", NOW), wrong)
    state = monitor(return_state=True)
    assert state.is_failed()
    assert "confidences_are_probabilities: broken by 1: [x](http://a.b)" in str(state.message)
    assert "```text\nconfidences_are_probabilities: broken by 1: [x](http://a.b)\n```" in shown("monitor")


@pytest.mark.usefixtures("prefect_server")
def test_a_night_without_diagnoses_completes_and_says_so(fill: Fill) -> None:
    fill()
    state = monitor(return_state=True)
    assert (state.is_completed(), state.message) == (True, "nothing was diagnosed")


def test_the_command_prints_the_night_and_leaves_no_report_of_a_check_before(fill: Fill) -> None:
    folder = paths.MONITOR / f"{datetime.now(UTC):%Y-%m-%d}"
    folder.mkdir(parents=True)
    (folder / "report.html").touch()
    fill(stored("a", NOW))
    done = CliRunner().invoke(main.app, ["monitor"])
    headline = "1 diagnosed, 0 rules broken, too few rows to tell drift: 1 tonight, 2 before"
    assert (done.exit_code, done.stdout) == (0, f"{headline}\ntonight  1 in 24 hours\nbefore   2 in 28 days\n")
    assert [file.name for file in folder.iterdir()] == ["summary.json"]
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert (summary["headline"], summary["has_drifted"], summary["rows"], summary["reference_rows"]) == (headline, None, 1, 2)


def test_the_command_fails_where_a_rule_is_broken_after_it_has_written_what_it_found(fill: Fill) -> None:
    wrong = stored("a", NOW)
    wrong.diagnosis["incident_id"] = "b"
    fill(wrong)
    done = CliRunner().invoke(main.app, ["monitor"])
    assert isinstance(done.exception, InputError)
    [summary] = paths.MONITOR.rglob("summary.json")
    assert json.loads(summary.read_text(encoding="utf-8"))["broken"] == {"diagnoses_are_of_their_incident": ["a"]}
