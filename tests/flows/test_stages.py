"""`run_stage` under a real Prefect server and a real DVC, in a small project of its own."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from prefect import flow
from prefect.states import State

import flows.stages
from flows.stages import run_stage
from mimir_core.errors import BackendError, InputError, MimirError
from tasks import paths
from tasks.status import read_failure, recorded

pytestmark = pytest.mark.usefixtures("prefect_server")

STAGE = """
from pathlib import Path
from tasks.status import recorded
with open("calls", "a") as calls:
    calls.write("x")
with recorded("work", Path("var/status")):
    import body
"""


@pytest.fixture
def run_body(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], tuple[State[None], int]]:
    """Run the stage `work` with this Python code as its body; return its state and how often it was started."""
    (tmp_path / "stage.py").write_text(STAGE)
    (tmp_path / "dvc.yaml").write_text(
        f"stages:\n  work:\n    cmd: {sys.executable} stage.py\n    deps: [body.py]\n    outs: [out]\n"
    )
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "--quiet"], cwd=tmp_path, check=True)
    for name, folder in {"ROOT": "", "STATUS": "var/status", "REPORTS": "reports"}.items():
        monkeypatch.setattr(paths, name, tmp_path / folder)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))

    @flow
    def one_stage() -> None:
        states.append(run_stage.with_options(retry_delay_seconds=0)("work", return_state=True))

    states: list[State[None]] = []

    def run(body: str) -> tuple[State[None], int]:
        (tmp_path / "calls").write_text("")
        (tmp_path / "body.py").write_text(
            f"from pathlib import Path\nfrom mimir_core.errors import BackendError, InputError\n{body}\n"
        )
        one_stage()
        return states[-1], len((tmp_path / "calls").read_text())

    return run


def test_a_stage_runs_once_and_then_shows_as_cached(run_body: Callable[[str], tuple[State[None], int]]) -> None:
    body = "Path('out').write_text('done')"
    state, calls = run_body(body)
    assert (state.is_completed(), state.name, calls) == (True, "Completed", 1)
    state, calls = run_body(body)
    assert (state.is_completed(), state.name, calls) == (True, "Cached", 0)


@pytest.mark.parametrize(
    ("error", "kind", "calls"),
    [
        ("BackendError('no answer')", BackendError, 1 + flows.stages.RETRIES),
        ("InputError('bad line')", InputError, 1),
        ("ZeroDivisionError('a bug')", MimirError, 1),
    ],
)
def test_a_stage_fails_with_the_class_it_wrote_down_and_only_backend_errors_are_retried(
    run_body: Callable[[str], tuple[State[None], int]], error: str, kind: type[MimirError], calls: int
) -> None:
    state, started = run_body(f"raise {error}")
    assert state.is_failed()
    assert started == calls
    assert type(state.result(raise_on_failure=False)) is kind
    assert "(body.py:3)" in str(state.result(raise_on_failure=False))


def test_a_stage_that_dvc_does_not_know_says_what_dvc_said(run_body: Callable[[str], tuple[State[None], int]]) -> None:
    run_body("Path('out').write_text('done')")

    @flow
    def unknown() -> None:
        run_stage("nonsense")

    with pytest.raises(MimirError, match=r"dvc repro --single-item nonsense: .*nonsense"):
        unknown()


def test_a_success_removes_what_the_failure_wrote(tmp_path: Path) -> None:
    with pytest.raises(InputError), recorded("work", tmp_path):
        raise InputError("bad")
    failure = read_failure("work", tmp_path)
    assert isinstance(failure, InputError)
    assert "test_stages.py:" in str(failure)
    with recorded("work", tmp_path):
        pass
    assert read_failure("work", tmp_path) is None
