"""Prefect's server, one worker, Mimir's deployments and its API on this machine.

Comes in: two ports. Goes out: nothing but processes, and they are all gone when :func:`running` ends, however it ends.
Surprises: a part that ends is started again, so that a night survives what the kernel kills; a worker starts each flow run in a
session of its own, so stopping goes by descent, not by process group, and what an ended worker leaves becomes a child of Mimir.
"""

import ctypes
import fcntl
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple

import httpx
import psutil

from deployment.environment import PREFECT_HOME, UP, read_auth_string
from deployment.leftovers import clear
from mimir_core.errors import BackendError
from tasks import paths

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"
POOL = "mimir"
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
PREFECT = (sys.executable, "-m", "prefect")
MIMIR = (sys.executable, "-m", "deployment.cli")
STEADY_SECONDS = 10
"""A part that ran for so long is started again at once; for others the pause doubles each time."""
LONGEST_PAUSE_SECONDS = 60.0
START_SECONDS = 120
GRACE_SECONDS = 20
"""How long processes may take to end by themselves; then they are killed."""


class Part:
    """One process that is to run for as long as Mimir does."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start it; it writes to ``var/prefect/NAME.log``."""
        self.name, self._command, self._environment = name, command, environment
        self._pause_seconds = 0.0
        self._due: float | None = None
        _log(name).unlink(missing_ok=True)
        self.start()

    def start(self) -> None:
        """Start it, for the first time or again."""
        self._started, self._due = time.monotonic(), None
        self.process = _start(self.name, self._command, self._environment)

    def is_due(self) -> bool:
        """Whether it has ended and is to be started again: at once, or after a pause where it ends again and again."""
        if self.process.poll() is None:
            return False
        now = time.monotonic()
        if self._due is None:
            was_steady = now - self._started > STEADY_SECONDS
            self._pause_seconds = 0.0 if was_steady else min(max(1.0, 2 * self._pause_seconds), LONGEST_PAUSE_SECONDS)
            self._due = now + self._pause_seconds
            told = f"the {self.name} ended with code {self.process.returncode}, see {_shown(_log(self.name))}"
            logger.warning("%s; it is started again in %.0f s", told, self._pause_seconds)
        return now >= self._due


class Server(NamedTuple):
    """What runs."""

    url: str
    """Of Prefect."""
    api: str
    """The address of Mimir's API."""
    parts: Sequence[Part]


@contextmanager
def running(port: int, api_port: int) -> Iterator[Server]:
    """Start everything, yield, stop everything.

    Args:
        port: The port to prefer for Prefect; another free one is taken when it is in use.
        api_port: Likewise, for the API.

    Raises:
        BackendError: It runs already, or a part did not start; the log that says why is named.
    """
    PREFECT_HOME.mkdir(parents=True, exist_ok=True)
    with UP.open("a+", encoding="utf-8") as mark:
        _lock(mark)
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
        url, api = (f"http://{HOST}:{_free_port(preferred)}" for preferred in (port, api_port))
        environment = _environment(url)
        try:
            address = ["--host", HOST, "--port", url.rpartition(":")[2]]
            server = Part("server", [*PREFECT, "server", "start", *address], environment)
            _wait_until_it_answers(url, environment["PREFECT_API_AUTH_STRING"], server)
            _run("pool", ["work-pool", "create", POOL, "--type", "process", "--overwrite"], environment)
            _run("deploy", ["--no-prompt", "deploy", "--all", "--prefect-file", "deployment/prefect.yaml"], environment)
            clear(url, environment["PREFECT_API_AUTH_STRING"], POOL)
            worker = Part("worker", [*PREFECT, "worker", "start", "--pool", POOL, "--install-policy", "never"], environment)
            answering = Part("api", [*MIMIR, "api", "--host", HOST, "--port", api.rpartition(":")[2]], environment)
            _wait(lambda: _ask(f"{api}/healthz") == 200, answering)
            mark.write(json.dumps({"url": url, "pid": os.getpid()}))
            mark.flush()
            yield Server(url, api, [server, worker, answering])
        finally:
            _stop()
            mark.truncate(0)


def watch(server: Server) -> None:
    """Return never; start again what ends. The worker waits for Prefect's server."""
    while True:
        for part in server.parts:
            if part.is_due() and (part.name != "worker" or _is_cleared(server.url)):
                part.start()
        time.sleep(0.5)


def _is_cleared(url: str) -> bool:
    """Whether what the ended worker left in Prefect's records is put right; not so while the server is away."""
    try:
        clear(url, read_auth_string(), POOL)
    except httpx.HTTPError:
        return False
    return True


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


def _start(name: str, command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own: a Ctrl-C in the terminal reaches Mimir alone."""
    with _log(name).open("ab") as log:
        return subprocess.Popen(
            command,
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
    process = _start(name, [*PREFECT, *arguments], environment)
    if process.wait(START_SECONDS):
        raise BackendError(f"prefect {' '.join(arguments)} ended with code {process.returncode}: see {_shown(_log(name))}")


def _wait_until_it_answers(url: str, auth: str, server: Part) -> None:
    """Wait for Prefect's server, then make sure that it turns away a caller without the auth string."""
    page = f"{url}/api/admin/version"
    _wait(lambda: _ask(page, auth) == 200, server)
    if (status := _ask(page)) != 401:
        raise BackendError(f"{url} answers {status} to a caller without the auth string, not 401: refusing to run it")


def _wait(is_ready: Callable[[], bool], part: Part) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not is_ready():
        if part.process.poll() is not None or time.monotonic() > deadline:
            raise BackendError(f"the {part.name} did not start in {START_SECONDS} s: see {_shown(_log(part.name))}")
        time.sleep(0.3)


def _ask(page: str, auth: str | None = None) -> int:
    """Return the HTTP status of a page, 0 while nothing listens."""
    try:
        return httpx.get(page, auth=httpx.BasicAuth(*auth.split(":", 1)) if auth else None, timeout=5).status_code
    except httpx.HTTPError:
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
