"""`mimir up` for real: in a copy of the project, so that a server that somebody runs is left alone."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

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
    params = (ROOT / "params.yaml").read_text()
    (copy / "params.yaml").write_text(params.replace("passages: 6", "passages: 0").replace("track: true", "track: false"))
    return copy


def start(project: Path) -> subprocess.Popen[str]:
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MIMIR_"))}
    return subprocess.Popen(
        [sys.executable, "-c", "from deployment.cli.main import run; run()", "up", "--port", "0", "--api-port", "0"],
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


class Up(NamedTuple):
    """What `mimir up` printed."""

    process: subprocess.Popen[str]
    prefect: str
    api: str
    key: str


@pytest.fixture(scope="module")
def server(project: Path) -> Iterator[Up]:
    process = start(project)
    assert process.stdout is not None
    try:
        key, _, prefect, _, api = (process.stdout.readline().split()[-1] for _ in range(5))
        yield Up(process, prefect, api, key)
    finally:
        if process.poll() is None:
            stop(process, signal.SIGTERM)


def wait_for(is_so: Callable[[], Any]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.3)


def is_ready(api: str) -> bool:
    try:
        return httpx.get(f"{api}/readyz").status_code == 200
    except httpx.HTTPError:
        return False


def ask(url: str, auth: str | None, path: str) -> httpx.Response:
    headers = {"Authorization": f"Basic {b64encode(auth.encode()).decode()}"} if auth else {}
    deadline = time.monotonic() + START_SECONDS
    while (answer := httpx.post(f"{url}/api/{path}", json={}, headers=headers, timeout=20)).status_code == 503:
        assert time.monotonic() < deadline  # its SQLite file is locked for the moment: "try again"
        time.sleep(0.3)
    return answer


def test_the_server_turns_away_who_has_no_auth_string(project: Path, server: Up) -> None:
    path = project / "var" / "prefect" / "auth"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert ask(server.prefect, None, "deployments/filter").status_code == 401
    assert ask(server.prefect, "mimir:guess", "deployments/filter").status_code == 401
    assert ask(server.prefect, path.read_text().strip(), "deployments/filter").status_code == 200


def test_the_auth_string_is_in_no_command_line(project: Path, server: Up) -> None:
    auth = (project / "var" / "prefect" / "auth").read_text().strip()
    lines = [" ".join(child.cmdline()) for child in psutil.Process(server.process.pid).children(recursive=True)]
    assert lines
    assert not [line for line in lines if auth in line or auth.partition(":")[2] in line]


def test_only_this_machine_can_reach_it(server: Up) -> None:
    family = psutil.Process(server.process.pid).children(recursive=True)
    listening = [line.laddr.ip for child in family for line in child.net_connections("tcp") if line.status == psutil.CONN_LISTEN]
    assert listening
    assert set(listening) == {"127.0.0.1"}


def test_all_schedules_are_there_and_active(project: Path, server: Up) -> None:
    found = ask(server.prefect, (project / "var" / "prefect" / "auth").read_text().strip(), "deployments/filter").json()
    assert {deployment["name"]: [schedule["active"] for schedule in deployment["schedules"]] for deployment in found} == {
        "daily": [True],
        "minutely": [True],
        "nightly": [True],
        "saturdays": [True],
        "weekly": [True],
    }


def test_the_schedules_make_runs(project: Path, server: Up) -> None:
    auth = (project / "var" / "prefect" / "auth").read_text().strip()
    wait_for(lambda: [run for run in ask(server.prefect, auth, "flow_runs/filter").json() if run["auto_scheduled"]])


def test_an_alert_is_diagnosed_without_the_schedule(project: Path, server: Up) -> None:
    auth = (project / "var" / "prefect" / "auth").read_text().strip()
    [minutely] = [found for found in ask(server.prefect, auth, "deployments/filter").json() if found["name"] == "minutely"]
    assert ask(server.prefect, auth, f"deployments/{minutely['id']}/pause_deployment").is_success
    headers = {"Authorization": f"Bearer {server.key}"}
    sent = httpx.post(f"{server.api}/api/v1/alerts/generic", json={"title": "Slow", "service": "cart"}, headers=headers)
    assert sent.status_code == 202
    page = f"{server.api}/api/v1/incidents/{sent.json()['incidents'][0]}"
    wait_for(lambda: httpx.get(page, headers=headers).json()["state"] in ("diagnosed", "escalated"))
    assert ask(server.prefect, auth, f"deployments/{minutely['id']}/resume_deployment").is_success


def test_a_part_that_is_killed_is_started_again(server: Up) -> None:
    def find_api() -> list[psutil.Process]:
        family = psutil.Process(server.process.pid).children(recursive=True)
        return [child for child in family if child.status() != psutil.STATUS_ZOMBIE and "api" in child.cmdline()]

    [killed] = find_api()
    killed.kill()
    wait_for(lambda: [child for child in find_api() if child.pid != killed.pid])
    wait_for(lambda: is_ready(server.api))


def test_the_key_is_in_no_file(project: Path, server: Up) -> None:
    secret = server.key.encode()
    assert not [path for path in (project / "var").rglob("*") if path.is_file() and secret in path.read_bytes()]


def test_a_second_one_is_refused(project: Path, server: Up) -> None:
    second = start(project)
    _, said = second.communicate(timeout=60)
    assert second.returncode == 5
    assert f"mimir up runs already (at {server.prefect}, process {server.process.pid})" in said


def test_after_sigterm_no_process_is_left(server: Up) -> None:
    assert stop(server.process, signal.SIGTERM) == []
    assert server.process.returncode == 0


def test_ctrl_c_while_it_starts_leaves_no_process(project: Path) -> None:
    process = start(project)
    deadline = time.monotonic() + START_SECONDS
    while not psutil.Process(process.pid).children() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert stop(process, signal.SIGINT) == []
    assert process.returncode == 0
