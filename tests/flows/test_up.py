"""`mimir up` for real: in a copy of the project, so that a server that somebody runs is left alone."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

ROOT = Path(__file__).parents[2]
START_SECONDS = 150


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("up") / "mimir"
    for name in ("mimir_core", "tasks", "flows", "deployment"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "params.yaml", copy)
    return copy


def start(project: Path) -> subprocess.Popen[str]:
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MIMIR_"))}
    return subprocess.Popen(
        [sys.executable, "-c", "from deployment.cli.main import run; run()", "up", "--port", "0"],
        cwd=project,
        env={**settings, "PYTHONPATH": str(project)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def stop(process: subprocess.Popen[str], number: signal.Signals) -> list[psutil.Process]:
    """Send the signal, wait, return the descendants that are still there."""
    family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    process.wait(timeout=60)
    return [member for member in family if member.is_running() and member.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture(scope="module")
def server(project: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = start(project)
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().split()[-1]
    finally:
        if process.poll() is None:
            stop(process, signal.SIGTERM)


def ask(url: str, auth: str | None, path: str) -> httpx.Response:
    headers = {"Authorization": f"Basic {b64encode(auth.encode()).decode()}"} if auth else {}
    return httpx.post(f"{url}/api/{path}", json={}, headers=headers, timeout=20)


def test_the_server_turns_away_who_has_no_auth_string(project: Path, server: tuple[subprocess.Popen[str], str]) -> None:
    path = project / "var" / "prefect" / "auth"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert ask(server[1], None, "deployments/filter").status_code == 401
    assert ask(server[1], "mimir:guess", "deployments/filter").status_code == 401
    assert ask(server[1], path.read_text().strip(), "deployments/filter").status_code == 200


def test_the_auth_string_is_in_no_command_line(project: Path, server: tuple[subprocess.Popen[str], str]) -> None:
    auth = (project / "var" / "prefect" / "auth").read_text().strip()
    lines = [" ".join(child.cmdline()) for child in psutil.Process(server[0].pid).children(recursive=True)]
    assert lines
    assert not [line for line in lines if auth in line or auth.partition(":")[2] in line]


def test_only_this_machine_can_reach_it(server: tuple[subprocess.Popen[str], str]) -> None:
    family = psutil.Process(server[0].pid).children(recursive=True)
    listening = [line.laddr.ip for child in family for line in child.net_connections("tcp") if line.status == psutil.CONN_LISTEN]
    assert listening
    assert set(listening) == {"127.0.0.1"}


def test_all_schedules_are_there_and_active(project: Path, server: tuple[subprocess.Popen[str], str]) -> None:
    found = ask(server[1], (project / "var" / "prefect" / "auth").read_text().strip(), "deployments/filter").json()
    assert {deployment["name"]: [schedule["active"] for schedule in deployment["schedules"]] for deployment in found} == {
        "minutely": [True],
        "nightly": [True],
        "weekly": [True],
    }


def test_a_second_one_is_refused(project: Path, server: tuple[subprocess.Popen[str], str]) -> None:
    second = start(project)
    _, said = second.communicate(timeout=60)
    assert second.returncode == 5
    assert f"mimir up runs already (at {server[1]}, process {server[0].pid})" in said


def test_after_sigterm_no_process_is_left(server: tuple[subprocess.Popen[str], str]) -> None:
    assert stop(server[0], signal.SIGTERM) == []
    assert server[0].returncode == 0


def test_ctrl_c_while_it_starts_leaves_no_process(project: Path) -> None:
    process = start(project)
    deadline = time.monotonic() + START_SECONDS
    while not psutil.Process(process.pid).children() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert stop(process, signal.SIGINT) == []
    assert process.returncode == 0
