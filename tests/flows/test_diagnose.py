"""The nightly batch under a real Prefect server, with a diagnosis that does what it is told."""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.sorting import ArtifactSort
from prefect.states import State

import flows.diagnose
from deployment.cli.nightly import print_night
from flows.diagnose import Night, diagnose, worst
from mimir_core.config import Params, read_params
from mimir_core.errors import BackendError, InputError
from mimir_core.records import Cause, Diagnosis, EvidencePack, FaultKind, Incident, Run, Severity, Verdict
from tasks import paths
from tasks.diagnose import Diagnosed

pytestmark = pytest.mark.usefixtures("prefect_server")


def diagnosed(
    name: str, severity: Severity = Severity.WARNING, confidence: float = 0.7, headline: str = "api is out of CPU"
) -> Diagnosed:
    cause = Cause(component="api", fault_kind=FaultKind.CPU, confidence=confidence, evidence_ids=("e1",))
    return Diagnosed(
        name,
        EvidencePack(incident=Incident(id=name, title=name, severity=severity)),
        Diagnosis(incident_id=name, verdict=Verdict.CAUSE_FOUND, headline=headline, reason="since 02:00", causes=(cause,)),
        Run(id="r", incident_id=name, diagnosis_hash="h", reasoner="builtin", started_at=datetime.now(UTC), latency_ms=1),
        Path(name) / "report.html",
    )


class ScriptedDiagnosis:
    """Stands for ``diagnose_case``: raises what the case was given, and remembers how it was called."""

    def __init__(self, errors: dict[str, Sequence[Exception]], seconds: float = 0.0) -> None:
        self.errors = {name: list(given) for name, given in errors.items()}
        self.seconds = seconds
        self.calls: Counter[str] = Counter()
        self.most_at_once = 0
        self._now = 0
        self._lock = threading.Lock()

    def __call__(self, case: Path, _params: Params, _out: Path) -> Diagnosed:
        with self._lock:
            self.calls[case.name] += 1
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        time.sleep(self.seconds)
        with self._lock:
            self._now -= 1
        if self.errors.get(case.name):
            raise self.errors[case.name].pop(0)
        return diagnosed(case.name, headline=f"{case.name}: [more](http://example.com) <img src=x>")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five cases, and settings that do not wait."""
    for name in "abcde":
        (tmp_path / "cases" / name).mkdir(parents=True)
    given = read_params(paths.PARAMS)
    quick = given.model_copy(
        update={"diagnose": given.diagnose.model_copy(update={"retries": 2, "retry_delay_seconds": 0, "concurrency": 2})}
    )
    monkeypatch.setattr(flows.diagnose, "read_params", lambda _path: quick)
    monkeypatch.setattr(paths, "DIAGNOSES", tmp_path / "out")
    monkeypatch.setattr(flows.diagnose, "write_night", lambda _night, _failed, out: out / "index.html")
    return tmp_path / "cases"


def run(folder: Path, script: ScriptedDiagnosis, monkeypatch: pytest.MonkeyPatch) -> State[Night]:
    monkeypatch.setattr(flows.diagnose, "diagnose_case", script)
    return diagnose(str(folder), return_state=True)


def test_a_case_that_fails_is_a_row_and_stops_nobody(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = ScriptedDiagnosis({"b": [InputError("b/logs.jsonl:7: not JSON: 'x'")], "d": [KeyError("surprise")]})
    state = run(folder, script, monkeypatch)
    assert state.is_completed()
    assert state.message == "3 diagnosed, 2 failed"
    night = state.result()
    assert [done.name for done in night.diagnosed] == ["a", "c", "e"]
    assert night.failed == {"b": "InputError: b/logs.jsonl:7: not JSON: 'x'", "d": "KeyError: 'surprise'"}
    assert set(script.calls.values()) == {1}


def test_only_a_backend_error_is_retried(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = ScriptedDiagnosis(
        {"a": [BackendError("no answer")] * 2, "b": [BackendError("no answer")] * 9, "c": [InputError("bad")]}
    )
    night = run(folder, script, monkeypatch).result()
    assert script.calls == {"a": 3, "b": 3, "c": 1, "d": 1, "e": 1}
    assert night.failed == {"b": "BackendError: no answer", "c": "InputError: bad"}


def test_a_night_in_which_every_case_failed_has_failed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = run(folder, ScriptedDiagnosis({name: [InputError(f"{name} is bad")] for name in "abcde"}), monkeypatch)
    assert state.is_failed()
    with pytest.raises(InputError, match="a is bad") as raised:
        state.result()
    assert "none of the 5 cases" in raised.value.__notes__[0]


def test_no_more_cases_run_at_once_than_params_allow(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = ScriptedDiagnosis({}, seconds=0.2)
    run(folder, script, monkeypatch)
    assert script.most_at_once == 2


def test_a_folder_without_cases_is_an_error_not_an_empty_night(tmp_path: Path) -> None:
    assert isinstance(diagnose(str(tmp_path), return_state=True).result(raise_on_failure=False), InputError)


def test_the_artifacts_show_text_from_cases_as_code(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(folder, ScriptedDiagnosis({"b": [InputError("<script>")]}), monkeypatch)
    with get_client(sync_client=True) as client:
        keys = ArtifactFilter(key=ArtifactFilterKey(any_=["diagnoses", "night"]))
        newest_first = client.read_artifacts(artifact_filter=keys, sort=ArtifactSort.CREATED_DESC)
        table, night = (next(artifact.data for artifact in newest_first if artifact.key == key) for key in ("diagnoses", "night"))
    assert "`a: [more](http://example.com) <img src=x>`" in str(table)
    assert "`InputError: <script>`" in str(table)
    assert "```text\na\na: [more]" in str(night)


def test_the_printed_night_shows_text_from_cases_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    night = [diagnosed("web", headline="[bold]web[/bold] \x1b[31mis down")]
    print_night(Night(night, {"db": "InputError: [red]\x07"}, paths.DIAGNOSES / "index.html"))
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "\x07" not in printed
    assert printed.count(r"[bold]web[/bold] \x1b[31mis down") == 2
    assert r"InputError: [red]\x07" in printed
    assert "var/diagnoses/index.html" in printed
    assert "kubectl describe pod X | " in printed


def test_the_worst_incident_is_the_most_severe_then_the_surest() -> None:
    night = [
        diagnosed("sure", Severity.WARNING, 0.9),
        diagnosed("severe", Severity.CRITICAL, 0.4),
        diagnosed("severe and surer", Severity.CRITICAL, 0.6),
    ]
    assert worst(night).name == "severe and surer"
