"""vLLM: a model behind an OpenAI-compatible address, for as long as a block runs.

Comes in: an environment that vLLM is installed in, the folder of a model, adapters by name. Goes out: an address of this machine,
a key, the names to ask for. Surprises: the server is started by a guard (``guard.py``), so that no process is left however the
block ends, SIGKILL of this process included; its port is held by a socket that does not listen, so that nobody else gets it in
the minute that vLLM takes to start; the key travels in the environment, never in an argument that ``ps`` shows.
"""

import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import httpx
import psutil

from mimir_core.config import ServeSettings
from mimir_core.errors import BackendError, InputError, ParamsError

HOST = "127.0.0.1"
MODEL = "mimir"
"""The name that the model itself is served under."""
GUARD = Path(__file__).with_name("guard.py")
STOP_SECONDS = 30
"""Longer than the guard takes to end what does not want to end."""
ANSWER_SECONDS = 60
"""For one token, on a machine that is busy."""
LAST_LINES = 10
"""Of the log, in an error."""
_MIB = 1 << 20
_NAMED_ERROR = re.compile(r"(?:\w+\.)*\w*(?:Error|Exception): .*")
QUIET = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "1"}
"""No telemetry, and no hub: what is served lies here."""
# Else, on a processor, engine and worker are two processes that wait for each other in loops: two cores do little else.
ENGINE_WORKS = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
# Else a weak model fills its answer with the blanks that JSON allows; the answers that models learn from have none.
COMPACT_JSON = '{"backend": "xgrammar", "disable_any_whitespace": true}'


@dataclass(frozen=True)
class Served:
    """A server that answers."""

    url: str
    """The base URL for OpenAI clients: it ends in ``/v1``."""
    models: tuple[str, ...]
    """What may be asked: :data:`MODEL`, then the adapters."""
    log: Path
    key: str = field(repr=False)
    """What callers send as ``Authorization: Bearer``."""
    process: subprocess.Popen[bytes] = field(repr=False)
    """The guard; it ends when vLLM does."""

    def engine(self) -> str:
        """Return who serves, with its version.

        Raises:
            BackendError: It does not say.
        """
        try:
            told = httpx.get(f"{self.url.removesuffix('/v1')}/version", timeout=ANSWER_SECONDS, trust_env=False)
            version = told.raise_for_status().json()["version"]
        except httpx.HTTPError as error:
            raise BackendError(f"{self.url}: the server does not tell its version: {error}") from error
        return f"vllm {version}"

    def resident_mib(self) -> float:
        """Return the memory of all processes of the server, each with the pages that it shares; not that of an accelerator."""
        members = psutil.Process(self.process.pid).children(recursive=True)
        return float(round(sum(member.memory_info().rss for member in members) / _MIB, 1))

    def check(self) -> None:
        """Do nothing.

        Raises:
            BackendError: vLLM ended by itself.
        """
        if self.process.poll() is not None:
            self.wait()

    def wait(self) -> NoReturn:
        """Return never.

        Raises:
            BackendError: vLLM ended by itself.
        """
        raise BackendError(f"vLLM ended with code {self.process.wait()}; {_last_words(self.log)}")


class VllmServer:
    """vLLM in an environment of its own."""

    def __init__(self, settings: ServeSettings, python: Path, folder: Path) -> None:
        """Start nothing yet.

        Args:
            settings: The ``serve`` section of params.yaml.
            python: The interpreter of the environment.
            folder: Receives vLLM's cache, and the log of each server as ``PORT.log``.
        """
        self._settings, self._python, self._folder = settings, python, folder

    @contextmanager
    def serving(self, model: Path, adapters: Mapping[str, Path] | None = None, port: int = 0) -> Iterator[Served]:
        """Start a server, yield when it answers, end it and all that it started.

        Args:
            model: A folder of the Hugging Face format, quantized or not.
            adapters: Folders that PEFT wrote, by the names that they are served under.
            port: Of 127.0.0.1; 0 is any free one.

        Raises:
            ParamsError: There is no such environment.
            InputError: A folder holds no model, no adapter, or an adapter that vLLM cannot load.
            BackendError: The port is taken, vLLM ended before it answered, or did not answer in time. Says the end of its log.
        """
        adapters = adapters or {}
        if not self._python.is_file():
            raise ParamsError(
                f"serve.python: {self._python} is not there: `make setup-vllm` makes an environment for a processor"
            )
        if not (model / "config.json").is_file():
            raise InputError(f"{model}: no model lies there: config.json is missing")
        for adapter in adapters.values():
            _check_adapter(adapter)
        self._folder.mkdir(parents=True, exist_ok=True)
        with _held(port) as held:
            served = self._start(model, adapters, held)
            try:
                _wait_until_it_answers(served, self._settings.start_seconds)
                yield served
            finally:
                _stop(served.process)

    def _start(self, model: Path, adapters: Mapping[str, Path], port: int) -> Served:
        key, log = secrets.token_urlsafe(24), self._folder / f"{port}.log"
        guarded = [sys.executable, "-P", str(GUARD), str(os.getpid()), str(self._python), "-P"]
        with log.open("wb") as said:
            process = subprocess.Popen(
                [*guarded, *_arguments(model, self._settings, adapters, port)],
                env={**ENGINE_WORKS, **os.environ, **QUIET, "VLLM_CACHE_ROOT": str(self._folder / "cache"), "VLLM_API_KEY": key},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,  # a Ctrl-C in the terminal reaches Mimir alone
            )
        return Served(f"http://{HOST}:{port}/v1", (MODEL, *adapters), log, key, process)


def _check_adapter(adapter: Path) -> None:
    """Refuse what vLLM would refuse a minute later."""
    try:
        told = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{adapter}: no adapter lies there: adapter_config.json: {error}") from error
    if whole := told.get("modules_to_save"):
        raise InputError(f"{adapter}: it replaces {', '.join(whole)}, which vLLM cannot do: serve the merged model")


@contextmanager
def _held(port: int) -> Iterator[int]:
    """Yield ``port``, or any free one, which nobody else is given meanwhile. A server still can listen there."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            holder.bind((HOST, port))
        except OSError as error:
            raise BackendError(f"{HOST}:{port}: nobody can listen there now: {error.strerror}") from error
        yield int(holder.getsockname()[1])


def _arguments(model: Path, settings: ServeSettings, adapters: Mapping[str, Path], port: int) -> list[str]:
    # Not `vllm serve`: in the build for processors it asks for the metadata of a package of another name.
    arguments = ["-m", "vllm.entrypoints.openai.api_server", "--host", HOST, "--port", str(port)]
    arguments += ["--model", str(model.resolve()), "--served-model-name", MODEL, "--dtype", _dtype(settings)]
    arguments += ["--max-model-len", str(settings.context), "--structured-outputs-config", COMPACT_JSON, "--enforce-eager"]
    arguments += ["--gpu-memory-utilization", str(settings.memory_share)]
    arguments += ["--kv-cache-memory-bytes", str(settings.kv_cache_mib << 20)]
    arguments += [f"--{'' if settings.chunked_prefill else 'no-'}enable-chunked-prefill"]
    if adapters:
        arguments += ["--enable-lora", "--max-lora-rank", str(settings.max_lora_rank), "--lora-modules"]
        arguments += [f"{name}={adapter.resolve()}" for name, adapter in adapters.items()]
    return arguments


def _dtype(settings: ServeSettings) -> str:
    if settings.dtype != "auto":
        return settings.dtype
    from mimir_core.learning.training import can_use_bfloat16  # noqa: PLC0415  # torch takes seconds to import

    return "bfloat16" if can_use_bfloat16() else "float32"


def _wait_until_it_answers(served: Served, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    address, headers = served.url.removesuffix("/v1"), {"Authorization": f"Bearer {served.key}"}
    with httpx.Client(base_url=address, headers=headers, timeout=ANSWER_SECONDS, trust_env=False) as client:
        while not _answers(client, served.models):
            if (code := served.process.poll()) is not None:
                raise BackendError(f"vLLM ended with code {code} before it answered; {_last_words(served.log)}")
            if time.monotonic() > deadline:
                raise BackendError(f"vLLM did not answer within {seconds:g} s; {_last_words(served.log)}")
            time.sleep(0.2)


def _answers(client: httpx.Client, models: Sequence[str]) -> bool:
    """Whether the server is well, offers ``models``, and each writes a token: that a kernel is missing shows only then."""
    try:
        client.get("/health").raise_for_status()
        offered = client.get("/v1/models").raise_for_status().json()["data"]
        if not {model["id"] for model in offered}.issuperset(models):
            return False
        for model in models:
            client.post("/v1/completions", json={"model": model, "prompt": "a", "max_tokens": 1}).raise_for_status()
    except httpx.HTTPError:
        return False
    return True


def _last_words(log: Path) -> str:
    """Return the errors that the log names, the cause first, or else its last lines."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    errors = dict.fromkeys(error[0] for line in lines if "WARNING" not in line and (error := _NAMED_ERROR.search(line)))
    return "\n  ".join([f"{log} ends:", *(list(errors)[:LAST_LINES] or lines[-LAST_LINES:])])


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Let the guard end everything. It goes on by itself should a second Ctrl-C end this process meanwhile."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    if process.returncode is None or process.returncode < 0:  # the guard hangs, or was killed itself
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
