# ruff: noqa: INP001, S311  # a script, not a package; chance protects nothing here
"""What a diagnosis does where its endpoint fails: ``python benchmarks/endpoint_faults.py FOLDER``.

Comes in: the folder of a model. Goes out: a row for each fault: of the cases, how many the model answered, how many the built-in
reasoner (degraded), how many nobody, and the longest case beside what it may take. Surprises: vLLM itself answers, behind a proxy
that does half of all requests harm, the first one surely; a case may take the time limit twice, once for its repair. `make run`
comes first, as for ``engine_kills.py``.
"""

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random

import httpx
from engine_kills import TIMEOUT_SECONDS, fate, prepare, reasoner_at

from mimir_core.backends.vllm_server import HOST, Served
from mimir_core.config import Params
from mimir_core.reasoning.model import Reasoned
from mimir_core.records import EvidencePack
from tasks import wiring

HARMED = 0.5
COLUMNS = ("fault", "cases", "model", "degraded", "lost", "harmed requests", "longest s", "may take s")


class Handler(BaseHTTPRequestHandler):
    """Passes a request on, or does it harm."""

    server: "Proxy"

    def do_POST(self) -> None:
        """Throw dice."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with suppress(OSError):  # whoever asked has gone
            if self.server.harms():
                self.server.fault(self, body)
            else:
                self.send(*self.forward(body))

    def forward(self, body: bytes) -> tuple[int, bytes]:
        """Return what vLLM says."""
        headers = {name: self.headers[name] for name in ("Authorization", "Content-Type")}
        url = f"{self.server.served.url.removesuffix('/v1')}{self.path}"
        reply = httpx.post(url, content=body, headers=headers, timeout=None, trust_env=False)  # noqa: S113  # the asker has one
        return reply.status_code, reply.content

    def send(self, status: int, body: bytes, length: int | None = None) -> None:
        """Answer; ``length`` is what is promised, where that is not what comes."""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(length or len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_told: object) -> None:
        """Say nothing."""


Fault = Callable[[Handler, bytes], None]


class Proxy(ThreadingHTTPServer):
    """Stands before a served model."""

    daemon_threads = True

    def __init__(self, served: Served, fault: Fault) -> None:
        super().__init__((HOST, 0), Handler)
        self.served, self.fault = served, fault
        self.over = threading.Event()
        self.harmed = 0
        self._dice, self._turn = Random(1), threading.Lock()

    def harms(self) -> bool:
        """Whether the next request is harmed."""
        with self._turn:
            is_harmed = not self.harmed or self._dice.random() < HARMED
            self.harmed += is_harmed
        return is_harmed


def closes(handler: Handler, _body: bytes) -> None:
    """End the connection without a word."""
    handler.close_connection = True


def hangs(handler: Handler, _body: bytes) -> None:
    """Say nothing until all is over."""
    handler.server.over.wait()


def says(status: int) -> Fault:
    """Refuse."""
    return lambda handler, _body: handler.send(status, b'{"error": {"message": "not now"}}')


def garbles(handler: Handler, _body: bytes) -> None:
    """Answer with what is no JSON."""
    handler.send(200, b'{"choices": [{"message": ')


def never_ends(handler: Handler, _body: bytes) -> None:
    """Drip for ever."""
    handler.send(200, b" ", length=1 << 40)
    while not handler.server.over.wait(0.1):
        handler.wfile.write(b" ")


def breaks_off(handler: Handler, body: bytes) -> None:
    """Pass half of the answer on."""
    _, said = handler.forward(body)
    handler.send(200, said[: len(said) // 2], length=len(said))
    handler.close_connection = True


FAULTS: dict[str, Fault] = {
    "closes the connection": closes,
    "hangs": hangs,
    "429": says(429),
    "500": says(500),
    "is no JSON": garbles,
    "never ends": never_ends,
    "breaks off": breaks_off,
}


@contextmanager
def before(served: Served, fault: Fault) -> Iterator[tuple[Proxy, str]]:
    """Yield a proxy and its address."""
    with Proxy(served, fault) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        try:
            yield proxy, f"http://{HOST}:{proxy.server_address[1]}/v1"
        finally:
            proxy.over.set()
            proxy.shutdown()


def run(served: Served, fault: Fault, packs: list[EvidencePack], params: Params) -> tuple[Counter[str], float]:
    """Ask about all packs at once; return what became of them, and how long the longest took."""
    with before(served, fault) as (proxy, url), ThreadPoolExecutor(len(packs)) as pool:
        reasoner = reasoner_at(url, served.key, params)
        seconds: list[float] = []

        def diagnose(pack: EvidencePack) -> Reasoned:
            began = time.monotonic()
            try:
                return reasoner.diagnose(pack)
            finally:
                seconds.append(time.monotonic() - began)

        waiting = [pool.submit(diagnose, pack) for pack in packs]
        counts = Counter(map(fate, waiting))
    return counts + Counter(cases=len(packs), harmed=proxy.harmed), max(seconds)


if __name__ == "__main__":
    settings, asked_about = prepare()
    sys.stdout.write(f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}\n")
    with wiring.model_server_from(settings).serving(Path(sys.argv[1])) as vllm:
        for name, harm in FAULTS.items():
            counted, longest = run(vllm, harm, asked_about, settings)
            told = [counted[column] for column in ("cases", "model", "degraded", "lost", "harmed")]
            cells = [name, *told, f"{longest:.1f}", 2 * TIMEOUT_SECONDS]
            sys.stdout.write(f"| {' | '.join(map(str, cells))} |\n")
            sys.stdout.flush()
