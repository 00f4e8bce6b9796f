"""What the process environment must say before any library is imported.

Comes in: the environment and ``.env``. Goes out: the environment with every library's telemetry off, Prefect's home in
``var/prefect``, and the address of the server that ``mimir up`` runs, while it runs.
Surprises: a variable that is already set is left alone; the order is environment, ``.env``, these values.
"""

import fcntl
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from tasks import paths

PREFECT_HOME = paths.VAR / "prefect"
UP = PREFECT_HOME / "up.json"
"""Written and locked by ``mimir up``: where its server listens."""

SETTINGS: Mapping[str, str] = {
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "SCARF_NO_ANALYTICS": "true",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "MPLCONFIGDIR": str(paths.VAR / "matplotlib"),  # BARO imports it, and it writes a cache into the home folder
    "LANCEDB_LOG": "error",  # it warns that the first table does not exist yet
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # it only shows: seven tries would keep an incident waiting for minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_LOGGING_LEVEL": "WARNING",  # it tells that it makes its tables
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_HOME": str(PREFECT_HOME),
    "PREFECT_WORKER_QUERY_SECONDS": "2",  # an alert does not wait for Prefect's ten
    "PREFECT_SERVER_EPHEMERAL_ENABLED": "true",
    # A busy machine takes longer than Prefect's 20 s.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    # What the plain loggers of these packages say shows in the Prefect UI too.
    "PREFECT_LOGGING_EXTRA_LOGGERS": "mimir_core,tasks",
}


def prepare() -> None:
    """Complete ``os.environ``. Called once, by an entry point."""
    if (paths.ROOT / ".env").is_file():
        from dotenv import load_dotenv  # noqa: PLC0415  # most checkouts have none

        load_dotenv(paths.ROOT / ".env", override=False)
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    server = read_running_server()
    if server and "PREFECT_API_URL" not in os.environ:
        os.environ["PREFECT_API_URL"] = f"{server}/api"
        os.environ.setdefault("PREFECT_API_AUTH_STRING", read_auth_string())


def read_running_server(up: Path = UP) -> str | None:
    """Return the address of the server that ``mimir up`` runs; None when it does not run.

    The file alone proves nothing: the process that wrote it holds its lock for as long as it lives.
    """
    if not up.is_file():
        return None
    with up.open(encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            text = file.read()
            return str(json.loads(text)["url"]) if text else None
    return None


def read_auth_string() -> str:
    """Return Prefect's ``user:password``: from the environment, else from ``var/prefect/auth``, which is made on first use."""
    if given := os.environ.get("PREFECT_SERVER_API_AUTH_STRING"):
        return given
    path = PREFECT_HOME / "auth"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(f"mimir:{secrets.token_urlsafe(24)}\n")
    return path.read_text(encoding="utf-8").strip()
