"""Stands in for vLLM's server: the same arguments and addresses, and an engine in a process of its own.

``FAKE_VLLM`` says how it behaves: ``well``, ``dies``, ``silent`` (never answers), or ``stubborn`` (it and its engine ignore
SIGTERM, and the engine leaves the session).
"""

import json
import os
import signal
import subprocess
import sys
from argparse import ArgumentParser
from http.server import BaseHTTPRequestHandler, HTTPServer

IGNORE = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
SLEEP = "import time; time.sleep(600)"


def main(mode: str) -> None:
    parser = ArgumentParser()
    for name in ("--host", "--port", "--served-model-name"):
        parser.add_argument(name)
    parser.add_argument("--lora-modules", nargs="*", default=[])
    asked, _ = parser.parse_known_args()
    names = [asked.served_model_name, *(module.partition("=")[0] for module in asked.lora_modules)]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            may = self.path == "/health" or self.headers["Authorization"] == f"Bearer {os.environ['VLLM_API_KEY']}"
            self.send_response(200 if may else 401)
            self.end_headers()
            if may:
                self.wfile.write(json.dumps({"data": [{"id": name} for name in names]}).encode())

        def do_POST(self) -> None:
            self.do_GET()

    if mode == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    code = IGNORE + SLEEP if mode == "stubborn" else SLEEP
    engine = subprocess.Popen([sys.executable, "-c", code], start_new_session=mode == "stubborn")
    if mode == "dies":
        raise ValueError("no memory for so long a context")
    if mode == "silent":
        engine.wait()
    HTTPServer((asked.host, int(asked.port)), Handler).serve_forever()


if __name__ == "__main__":
    main(os.environ["FAKE_VLLM"])
