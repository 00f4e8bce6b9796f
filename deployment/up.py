"""Prefect's server, one worker and Mimir's deployments on this machine.

Comes in: a port. Goes out: nothing but processes, and they are all gone when :func:`running` ends, however it ends.
Surprises: a worker starts each flow run in a session of its own, so stopping goes by descent, not by process group.
"""

import ctypes
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple

import psutil

from deployment.environment import PREFECT_HOME, UP, read_auth_string
from deployment.leftovers import clear
from mimir_core.errors import BackendError
from tasks import paths

HOST = "127.0.0.1"
POOL = "mimir"
PR_SET_PDEATHSIG = 1
START_SECONDS = 120
GRACE_SECONDS = 20
"""How long processes may take to end by themselves; then they are killed."""


class Server(NamedTuple):
    """What runs."""

    url: str
    parts: dict[str, subprocess.Popen[bytes]]
    """``server`` and ``worker``."""


@contextmanager
def running(port: int) -> Iterator[Server]:
    """Start everything, yield, stop everything.

    Args:
        port: The port to prefer; the next free one is taken when it is in use.

    Raises:
        BackendError: It runs already, or a part did not start; the log that says why is named.
    """
    PREFECT_HOME.mkdir(parents=True, exist_ok=True)
    with UP.open("a+", encoding="utf-8") as mark:
        _lock(mark)
        url = f"http://{HOST}:{_free_port(port)}"
        environment = _environment(url)
        parts: dict[str, subprocess.Popen[bytes]] = {}
        try:
            parts["server"] = _start("server", ["server", "start", "--host", HOST, "--port", url.rpartition(":")[2]], environment)
            _wait_until_it_answers(url, environment["PREFECT_API_AUTH_STRING"], parts["server"])
            _run("pool", ["work-pool", "create", POOL, "--type", "process", "--overwrite"], environment)
            _run("deploy", ["--no-prompt", "deploy", "--all", "--prefect-file", "deployment/prefect.yaml"], environment)
            clear(url, environment["PREFECT_API_AUTH_STRING"], POOL)
            parts["worker"] = _start("worker", ["worker", "start", "--pool", POOL, "--install-policy", "never"], environment)
            mark.write(json.dumps({"url": url, "pid": os.getpid()}))
            mark.flush()
            yield Server(url, parts)
        finally:
            _stop()
            mark.truncate(0)


def watch(server: Server) -> None:
    """Return never; raise when a part ends by itself.

    Raises:
        BackendError: A part ended; its log is named.
    """
    while True:
        for name, process in server.parts.items():
            if process.poll() is not None:
                raise BackendError(f"prefect {name} ended with code {process.returncode}: see {_shown(_log(name))}")
        time.sleep(0.5)


def _lock(mark: IO[str]) -> None:
    try:
        fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        mark.seek(0)
        runs = json.loads(mark.read() or "{}")
        where = f"at {runs['url']}, process {runs['pid']}" if runs else "it is starting"
        raise BackendError(f"mimir up runs already ({where}); stop it first") from error
    mark.truncate(0)


def _free_port(preferred: int) -> int:
    """Return ``preferred`` if it is free, else one that the system picks."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise BackendError(f"no free port on {HOST}")


def _environment(url: str) -> dict[str, str]:
    """What the children see; the auth string travels here, never in an argument that `ps` shows."""
    auth = read_auth_string()
    return {
        **os.environ,
        "PREFECT_API_URL": f"{url}/api",
        "PREFECT_SERVER_UI_API_URL": f"{url}/api",
        "PREFECT_SERVER_API_AUTH_STRING": auth,
        "PREFECT_API_AUTH_STRING": auth,
        "MIMIR_ROOT": str(paths.ROOT),
    }


def _log(name: str) -> Path:
    return PREFECT_HOME / f"{name}.log"


def _shown(path: Path) -> Path:
    return path.relative_to(paths.ROOT) if path.is_relative_to(paths.ROOT) else path


def _start(name: str, arguments: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start ``prefect ARGUMENTS`` in a session of its own: a Ctrl-C in the terminal reaches Mimir alone."""
    with _log(name).open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "prefect", *arguments],
            cwd=paths.ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=_end_with_the_parent,  # noqa: PLW1509  # no thread runs beside this one
        )


def _run(name: str, arguments: list[str], environment: dict[str, str]) -> None:
    """Run ``prefect ARGUMENTS`` to its end."""
    process = _start(name, arguments, environment)
    if process.wait(START_SECONDS):
        raise BackendError(f"prefect {' '.join(arguments)} ended with code {process.returncode}: see {_shown(_log(name))}")


def _wait_until_it_answers(url: str, auth: str, server: subprocess.Popen[bytes]) -> None:
    """Wait for the server, then make sure that it turns away a caller without the auth string."""
    deadline = time.monotonic() + START_SECONDS
    while _ask_status(url, auth) != 200:
        if server.poll() is not None or time.monotonic() > deadline:
            raise BackendError(f"the prefect server did not start in {START_SECONDS} s: see {_shown(_log('server'))}")
        time.sleep(0.3)
    if (status := _ask_status(url, None)) != 401:
        raise BackendError(f"{url} answers {status} to a caller without the auth string, not 401: refusing to run it")


def _ask_status(url: str, auth: str | None) -> int:
    """Return the HTTP status of the server's version page, 0 while nothing listens."""
    headers = {"Authorization": f"Basic {b64encode(auth.encode()).decode()}"} if auth else {}
    request = urllib.request.Request(f"{url}/api/admin/version", headers=headers)  # noqa: S310  # our own http address
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def _stop() -> None:
    """End every descendant of this process: politely, then not. Signals that come meanwhile change nothing."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    family = psutil.Process().children(recursive=True)
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(family, timeout=GRACE_SECONDS)
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=5)


def _end_with_the_parent() -> None:
    """Ask Linux to end this process when Mimir is killed without a chance to clean up."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
