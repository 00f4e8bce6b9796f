"""A model's endpoint that does what a test scripts: it answers, or fails in one of the ways in which endpoints fail."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

Deed = Callable[["Visit"], None]
"""What the endpoint does with one request."""


class Visit(BaseHTTPRequestHandler):
    """One connection."""

    server: "ModelServer"
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.next_deed(body, dict(self.headers))(self)

    def send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class ModelServer(ThreadingHTTPServer):
    """An endpoint; each request takes the next deed of the script, the last one for ever."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Visit)
        self.script: list[Deed] = [answers("{}")]
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.over = threading.Event()
        self._turn = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def next_deed(self, body: dict[str, Any], headers: dict[str, str]) -> Deed:
        with self._turn:
            self.bodies.append(body)
            self.headers.append(headers)
            return self.script.pop(0) if len(self.script) > 1 else self.script[0]

    def handle_error(self, *_: Any) -> None:
        """A client that left is no news."""


def answers(text: str, seconds: float = 0.0) -> Deed:
    def deed(visit: Visit) -> None:
        visit.server.over.wait(seconds)
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        usage = {"prompt_tokens": 30, "completion_tokens": 4, "total_tokens": 34}
        whole = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
        visit.send(200, json.dumps(whole).encode())

    return deed


def answers_when_asked(times: int, text: str) -> Deed:
    """Answer when the endpoint has been asked so often."""

    def deed(visit: Visit) -> None:
        while len(visit.server.bodies) < times and not visit.server.over.wait(0.01):
            pass
        answers(text)(visit)

    return deed


def answers_as_anthropic(text: str) -> Deed:
    usage = {"input_tokens": 30, "output_tokens": 4}
    said = [{"type": "text", "text": text}]
    whole = {"id": "x", "type": "message", "role": "assistant", "model": "m", "content": said, "stop_reason": "end_turn"}
    return lambda visit: visit.send(200, json.dumps({**whole, "usage": usage}).encode())


def says(status: int, body: bytes = b'{"error": {"message": "not now"}}', **headers: str) -> Deed:
    return lambda visit: visit.send(status, body, **headers)


def hangs(visit: Visit) -> None:
    visit.server.over.wait(30)
    visit.close_connection = True


def drips(visit: Visit) -> None:
    """Answer for ever, a blank at a time."""
    visit.send_response(200)
    visit.send_header("Content-Type", "application/json")
    visit.end_headers()
    while not visit.server.over.wait(0.02):
        visit.wfile.write(b" ")


def floods(visit: Visit) -> None:
    """Answer for ever, as fast as it goes."""
    visit.send_response(200)
    visit.send_header("Content-Type", "application/json")
    visit.end_headers()
    while not visit.server.over.is_set():
        visit.wfile.write(b'{"a":"' + b"x" * 65536)


def breaks_off(visit: Visit) -> None:
    """Promise more than is sent."""
    visit.send_response(200)
    visit.send_header("Content-Length", "1000")
    visit.end_headers()
    visit.wfile.write(b'{"choices": [')
    visit.close_connection = True


@pytest.fixture
def model_server() -> Iterator[ModelServer]:
    with ModelServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
