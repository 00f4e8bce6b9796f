"""A real Prometheus sees a real service fail, a real Alertmanager tells Mimir, and Mimir names the service."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from mimir_core.backends.prometheus import PrometheusSource
from mimir_core.config import read_params
from tasks.work import Worker, work

ROOT = Path(__file__).parents[2]
SERVERS = ("prometheus", "prometheus-alertmanager")
MISSING = [name for name in SERVERS if shutil.which(name) is None]
PATIENCE = 90.0

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (Debian packages)")


class Shop:
    """Two services with metrics; one of them can be broken."""

    def __init__(self) -> None:
        self.is_broken = False
        self.started = time.monotonic()
        self.requests = {"basket": {"200": 0, "500": 0}, "search": {"200": 0, "500": 0}}
        self._last = time.monotonic()
        self._lock = threading.Lock()

    def metrics(self) -> str:
        with self._lock:
            now = time.monotonic()
            served, self._last = int(200 * (now - self._last)), now
            for service, counts in self.requests.items():
                failed = served // 2 if self.is_broken and service == "basket" else 0
                counts["500"] += failed
                counts["200"] += served - failed
            lines = [
                f'http_requests_total{{service="{service}",namespace="shop",code="{code}"}} {count}'
                for service, counts in self.requests.items()
                for code, count in counts.items()
            ]
            for service in self.requests:
                pool = 97 if self.is_broken and service == "basket" else 20
                lines.append(f'db_pool_connections_used_percent{{service="{service}",namespace="shop"}} {pool}')
        return "\n".join(lines) + "\n"


@contextmanager
def serving(shop: Shop) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = shop.metrics().encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()


@contextmanager
def process(*command: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    running = subprocess.Popen(command, cwd=ROOT, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        yield running
    finally:
        running.terminate()
        running.communicate(timeout=20)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def until(holds: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            if found := holds():
                return found
        except httpx.HTTPError:
            pass
        time.sleep(0.5)
    raise AssertionError(f"waited {PATIENCE:g} s in vain: {what}")


def mimir(store: str, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", "from deployment.cli import main; main.run()", *arguments],
        cwd=ROOT,
        env=os.environ | {"MIMIR_STORE_URL": store} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_a_failing_service_is_alerted_diagnosed_and_resolved(tmp_path: Path) -> None:
    store = f"sqlite+aiosqlite:///{tmp_path / 'store.db'}"
    hook, reader = (mimir(store, "keys", "create", name, "--scope", name) for name in ("webhook", "viewer"))
    ports = {name: free_port() for name in ("api", "alertmanager", "prometheus")}
    addresses = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    shop = Shop()
    with ExitStack() as stack:
        shop_port = stack.enter_context(serving(shop))
        write_configs(tmp_path, shop_port, ports, addresses, hook)
        run = [sys.executable, "-c", "from deployment.cli import main; main.run()"]
        stack.enter_context(process(*run, "api", "--port", str(ports["api"]), MIMIR_STORE_URL=store))
        cluster, listen = "--cluster.listen-address=", f"--web.listen-address=127.0.0.1:{ports['alertmanager']}"
        files = (f"--config.file={tmp_path / 'alertmanager.yml'}", f"--storage.path={tmp_path / 'alertmanager'}")
        stack.enter_context(process("prometheus-alertmanager", *files, listen, cluster))
        listen = f"--web.listen-address=127.0.0.1:{ports['prometheus']}"
        files = (f"--config.file={tmp_path / 'prometheus.yml'}", f"--storage.tsdb.path={tmp_path / 'prometheus'}")
        stack.enter_context(process("prometheus", *files, listen))
        client = stack.enter_context(httpx.Client(base_url=addresses["api"], headers={"Authorization": f"Bearer {reader}"}))
        until(lambda: client.get("/readyz").status_code == 200, "the API is ready")
        time.sleep(20)  # what is usual
        shop.is_broken = True
        [incident] = until(lambda: client.get("/api/v1/incidents").raise_for_status().json()["incidents"], "an incident")
        assert incident["service"] == "basket"
        time.sleep(8)
        params = read_params(ROOT / "params.yaml")
        quick = params.prometheus.model_copy(update={"history_minutes": 2, "step_seconds": 1})  # the shop is seconds old
        source = PrometheusSource(addresses["prometheus"], quick)
        assert work(store, Worker("test", params, tmp_path, tmp_path / "out", series=source)) == 1
        found = client.get(f"/api/v1/incidents/{incident['id']}").raise_for_status().json()
        assert found["state"] == "diagnosed", json.dumps(found["diagnosis"], indent=1)
        assert found["diagnosis"]["causes"][0]["component"] == "basket"
        shop.is_broken = False
        until(
            lambda: client.get(f"/api/v1/incidents/{incident['id']}").json()["state"] == "resolved",
            "the incident resolves with its alert",
        )


def write_configs(folder: Path, shop_port: int, ports: dict[str, int], addresses: dict[str, str], hook: str) -> None:
    rule = {
        "alert": "TooManyErrors",
        "expr": 'sum by (service, namespace) (rate(http_requests_total{code=~"5.."}[5s])) > 1',
        "labels": {"severity": "critical"},
        "annotations": {"summary": "{{ $labels.service }} answers with errors"},
    }
    written = {
        "rules.yml": {"groups": [{"name": "shop", "interval": "1s", "rules": [rule]}]},
        "prometheus.yml": {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(folder / "rules.yml")],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{ports['alertmanager']}"]}]}]},
            "scrape_configs": [
                {"job_name": "shop", "honor_labels": True, "static_configs": [{"targets": [f"127.0.0.1:{shop_port}"]}]}
            ],
        },
        "alertmanager.yml": {
            "route": {"receiver": "mimir", "group_by": ["service"], "group_wait": "1s", "group_interval": "2s"},
            "receivers": [
                {
                    "name": "mimir",
                    "webhook_configs": [
                        {
                            "url": f"{addresses['api']}/api/v1/alerts/alertmanager",
                            "http_config": {"authorization": {"credentials": hook}},
                        }
                    ],
                }
            ],
        },
    }
    for name, content in written.items():
        (folder / name).write_text(yaml.safe_dump(content))
