# ruff: noqa: INP001  # beside a script
"""Everything hostile that needs a socket: bytes that are no HTTP, or that never end, sent to `mimir api`.

Comes in: an empty folder. Goes out: a row an attempt. Surprises: to close the connection without a word is a refusal too; after
each attempt the server has to answer somebody else.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from tasks import paths

IDLE = 500
ENDLESS_BYTES = 30_000_000
PATIENCE_SECONDS = 0.5
"""A server that has not answered by then waits for more."""
HOST = "127.0.0.1"
POST = "POST /api/v1/alerts/generic HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"

WAITS, CLOSED = "waits", "closed"


class Socketed(NamedTuple):
    """What became of an attempt, as `Tried` of hostile.py."""

    kind: str
    name: str
    status: str
    is_refused: bool
    wrong: str


def try_sockets(folder: Path) -> list[Socketed]:
    """Make every attempt against one server."""
    with _server(folder) as (port, key, log):
        with ThreadPoolExecutor(max_workers=16) as threads:
            tried = list(threads.map(lambda asked: _try(port, *asked), _asks(key)))
        chunk, chunked = b"10000\r\n" + b" " * 65536 + b"\r\n", f"{POST}Transfer-Encoding: chunked\r\n"
        tried += [
            _try_endless(port, "chunks without end", f"{chunked}Authorization: Bearer {key}\r\n\r\n", chunk),
            _try_endless(port, "chunks without end, and no key", f"{chunked}\r\n", chunk),
            _try_endless(port, "headers without end", POST, b"X-A: " + b"a" * 65000 + b"\r\n"),
            _try_endless(port, "a header without end", f"{POST}X-A: ", b"a" * 65536),
            _try_idle(port),
        ]
    said = log.read_text(encoding="utf-8")
    if key in said or "Traceback" in said:
        tried.append(Socketed("sockets", "the log", "", is_refused=False, wrong="it holds a key or a traceback"))
    return tried


def _asks(key: str) -> Iterator[tuple[str, bytes, tuple[str, ...]]]:
    """Yield what is sent, and what may be answered: the statuses in order."""
    get = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
    post = f"{POST}Authorization: Bearer {key}\r\n".encode()
    upgrade = "Connection: Upgrade\r\nUpgrade"
    version = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    smuggled = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
    body = b'{"title": "x"}'
    refused = ("400", CLOSED)
    yield "a request", get + b"\r\n", ("200",)
    yield "two requests at once", (get + b"\r\n") * 2, ("200 200",)
    yield "half a header", get + b"X-Slow: ", (WAITS,)
    yield "half a body", post + b"Content-Length: 14\r\n\r\n{", (WAITS,)
    yield (
        "a body longer than its length",
        post + b"Content-Length: 14\r\n\r\n" + body + b"GARBAGE\r\n\r\n",
        ("202 400", "202", "400"),
    )
    yield "a body shorter than promised", post + b"Content-Length: 5000000000\r\n\r\n" + body, (WAITS, "413")
    for said in ("abc", "-1", "1e3", "0x10", "14, 15", "+14", "", "9" * 40):
        yield f"Content-Length: {said:.8}", post + f"Content-Length: {said}\r\n\r\n".encode() + body, refused
    yield "two lengths", post + b"Content-Length: 14\r\nContent-Length: 0\r\n\r\n" + body + smuggled, refused
    yield "a length and chunks", post + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, refused
    yield "chunks and a length", post + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + smuggled, refused
    for said in ("xchunked", "chunked, identity", "identity", "\x0bchunked"):
        yield (
            f"Transfer-Encoding: {said!r}",
            post + f"Transfer-Encoding: {said}\r\n\r\n0\r\n\r\n".encode() + smuggled,
            (*refused, "401"),
        )
    for said in (b"zz", b"-1", b"ffffffffffffffffff", b"0x1"):
        yield f"a chunk of {said.decode()}", post + b"Transfer-Encoding: chunked\r\n\r\n" + said + b"\r\n" + body, refused
    yield "a secret trailer", post + b"Transfer-Encoding: chunked\r\n\r\n0\r\nAuthorization: x\r\n\r\n", ("422", *refused)
    yield "a folded header", get + b"X-A: b\r\n c\r\n\r\n", ("200", *refused)
    yield "a space before the colon", get + b"Content-Length : 5\r\n\r\n", refused
    yield "NUL in a header", get + b"X-A: a\0b\r\n\r\n", refused
    yield "NUL in the path", b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n", refused
    yield "bare line feeds", b"GET /healthz HTTP/1.1\nHost: x\n\n", ("200", *refused)
    yield "a bare carriage return", get + b"X-A: b\rSet-Cookie: x\r\n\r\n", refused
    yield "a megabyte of header", get + b"X-A: " + b"a" * 1_000_000 + b"\r\n\r\n", ("200", "431", *refused)
    yield "20,000 headers", get + b"X: y\r\n" * 20_000 + b"\r\n", ("200", "431", *refused)
    yield "a megabyte of path", b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", ("401", "414", *refused)
    yield "dot segments", b"GET /healthz/../metrics HTTP/1.1\r\nHost: x\r\n\r\n", ("401", *refused)
    yield "a whole URL", b"GET http://evil.example/metrics HTTP/1.1\r\nHost: x\r\n\r\n", ("401", *refused)
    yield "CONNECT", b"CONNECT evil.example:443 HTTP/1.1\r\nHost: x\r\n\r\n", ("401", *refused)
    yield "no host", b"GET /metrics HTTP/1.1\r\n\r\n", ("401", *refused)
    yield (
        "two keys",
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n",
        ("401", *refused),
    )
    yield "an upgrade", get + b"Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n", ("200", *refused)
    yield "a web socket", get + f"{upgrade}: websocket\r\n{version}\r\n".encode(), ("200", "401", "403", *refused)
    yield "HTTP/0.9", b"GET /metrics\r\n\r\n", ("401", *refused)
    yield "HTTP/9.9", b"GET /metrics HTTP/9.9\r\nHost: x\r\n\r\n", ("401", *refused)
    yield "HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", refused
    yield "TLS", bytes.fromhex("1603010200010001fc0303") + bytes(200), refused
    yield "noise", bytes(range(256)) * 40, refused


def _try(port: int, name: str, sent: bytes, expected: tuple[str, ...]) -> Socketed:
    with socket.create_connection((HOST, port), PATIENCE_SECONDS) as line:
        with suppress(OSError):  # it may have closed before the end
            line.sendall(sent)
        said = _hear(line)
    wrong = [] if said in expected else [f"expected {' or '.join(expected)}"]
    wrong += [] if _is_up(port) else ["nobody else is answered"]
    return Socketed("sockets", name, said, said not in (WAITS, "200", "200 200"), "; ".join(wrong))


def _hear(line: socket.socket) -> str:
    """Return the statuses that are answered, else whether the server closed the line or waits for more."""
    heard, ended = b"", WAITS
    try:
        while chunk := line.recv(65536):
            heard += chunk
        ended = CLOSED
    except ConnectionResetError:
        ended = CLOSED
    except TimeoutError:
        pass
    return " ".join(re.findall(r"HTTP/1\.1 (\d{3})", heard.decode("latin-1"))) or ended


def _is_up(port: int) -> bool:
    with socket.create_connection((HOST, port), 10 * PATIENCE_SECONDS) as line:
        line.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return _hear(line) == "200"


def _try_endless(port: int, name: str, head: str, chunk: bytes) -> Socketed:
    """Send for ever; the server has to end it."""
    sent = 0
    with socket.create_connection((HOST, port), PATIENCE_SECONDS) as line:
        with suppress(OSError):
            line.sendall(head.encode())
            while sent < ENDLESS_BYTES:
                line.sendall(chunk)
                sent += len(chunk)
        said = _hear(line)
    wrong = [] if sent < ENDLESS_BYTES else [f"{sent / 1e6:.0f} MB were taken"]
    wrong += [] if _is_up(port) else ["nobody else is answered"]
    return Socketed("sockets", name, said, is_refused=True, wrong="; ".join(wrong))


def _try_idle(port: int) -> Socketed:
    """Hold many connections, each with half a request."""
    with ExitStack() as lines:
        for _ in range(IDLE):
            line = lines.enter_context(socket.create_connection((HOST, port), PATIENCE_SECONDS))
            line.sendall(b"GET /healthz HTTP/1.1\r\nX-Slow: ")
        is_up = _is_up(port)
    return Socketed(
        "sockets", f"{IDLE} idle connections", WAITS, is_refused=False, wrong="" if is_up else "nobody else is answered"
    )


@contextmanager
def _server(folder: Path) -> Iterator[tuple[int, str, Path]]:
    """Yield the port of `mimir api` over an empty store, its first key, and its log."""
    log = folder / "mimir.log"
    environment = os.environ | {"MIMIR_STORE_URL": f"sqlite+aiosqlite:///{folder}/sockets.db"}
    command = (sys.executable, "-m", "deployment.cli", "api", "--port", "0")
    with (
        log.open("wb") as errors,
        subprocess.Popen(command, cwd=paths.ROOT, env=environment, stdout=subprocess.PIPE, stderr=errors) as server,
    ):
        try:
            said = ""
            while "stop with" not in said:
                line = (server.stdout or sys.stdin.buffer).readline().decode()
                if not line:
                    raise RuntimeError(f"mimir api ended: {log.read_text(encoding='utf-8')}")
                said += line
            port = int(re.findall(r"127\.0\.0\.1:(\d+)", said)[0])
            _wait_for(port)
            yield port, re.findall(r"mim_[\w-]+", said)[0], log
        finally:
            server.send_signal(signal.SIGTERM)


def _wait_for(port: int) -> None:
    """It is bound when it is told, and listens a moment later."""
    until = time.monotonic() + 20 * PATIENCE_SECONDS
    while time.monotonic() < until:
        with suppress(ConnectionRefusedError):
            socket.create_connection((HOST, port)).close()
            return
        time.sleep(0.05)
