"""A server leaves no process behind, however it ends; a small fake stands in for vLLM."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from mimir_core.backends import guard
from mimir_core.backends.vllm_server import HOST, MODEL, Served, VllmServer, _held
from mimir_core.config import read_params
from mimir_core.errors import BackendError, InputError, ParamsError
from tasks import paths

PYTHON = Path(sys.executable)
SETTINGS = read_params(paths.PARAMS).serve
SERVE = """
import signal, sys, time
from pathlib import Path
from mimir_core.backends.vllm_server import VllmServer
from mimir_core.config import read_params
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored by children of a script's background
settings = read_params(Path(sys.argv[1])).serve.model_copy(update={"dtype": "float32"})
with VllmServer(settings, Path(sys.executable), Path(sys.argv[3])).serving(Path(sys.argv[2])) as served:
    print(served.process.pid, flush=True)
    time.sleep(600)
"""


def an_adapter(folder: Path, **told: Any) -> Path:
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps(told))
    return folder


def family_of(guarding: int) -> list[psutil.Process]:
    """Return the guard, the server and its engine."""
    process = psutil.Process(guarding)
    return [process, *process.children(recursive=True)]


def left_of(family: list[psutil.Process]) -> list[psutil.Process]:
    """Return who does not end."""
    deadline = time.monotonic() + 2 * guard.GRACE_SECONDS
    while alive := [member for member in family if member.is_running() and member.status() != psutil.STATUS_ZOMBIE]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    return alive


def ask(served: Served, key: str) -> int:
    return httpx.get(f"{served.url}/models", headers={"Authorization": f"Bearer {key}"}, trust_env=False).status_code


# --- while it runs ------------------------------------------------------------------------------------------------


def test_it_answers_those_who_have_the_key_and_nobody_sees_the_key(server: VllmServer, model: Path, tmp_path: Path) -> None:
    adapters = {"night": an_adapter(tmp_path / "night", r=8)}
    with server.serving(model, adapters) as served:
        assert served.models == (MODEL, "night")
        assert (ask(served, served.key), ask(served, "guessed")) == (200, 401)
        family = family_of(served.process.pid)
        assert len(family) == 3
        assert not [word for member in family for word in member.cmdline() if served.key in word]
        assert served.key not in repr(served)
    assert left_of(family) == []


def test_nobody_else_gets_the_port_but_a_server_can_listen_there() -> None:
    with _held(0) as port:
        with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
            stranger.bind((HOST, port))
        with socket.create_server((HOST, port)), socket.create_connection((HOST, port)):
            pass


def test_a_port_that_is_taken_is_told_at_once(server: VllmServer, model: Path) -> None:
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        with (
            pytest.raises(BackendError, match=f"{HOST}:{port}: nobody can listen there"),
            server.serving(model, port=port),
        ):
            pass


# --- how it ends --------------------------------------------------------------------------------------------------


def test_an_error_in_the_block_rises_and_leaves_nothing(server: VllmServer, model: Path) -> None:
    family = []

    def fail() -> None:
        with server.serving(model) as served:
            family.extend(family_of(served.process.pid))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert len(family) == 3
    assert left_of(family) == []


def test_who_ignores_sigterm_is_killed(server: VllmServer, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_VLLM", "stubborn")
    with server.serving(model) as served:
        family = family_of(served.process.pid)
    assert left_of(family) == []


def test_a_server_that_dies_while_it_starts_is_told_with_its_last_words(
    server: VllmServer, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_VLLM", "dies")
    before = psutil.Process().children()
    with pytest.raises(BackendError) as told, server.serving(model):
        pass
    assert re.search(r"ended with code 1 before it answered; \S+\.log ends:", str(told.value))
    assert str(told.value).endswith("ValueError: no memory for so long a context")
    assert left_of([child for child in psutil.Process().children() if child not in before]) == []


@pytest.mark.usefixtures("server")
def test_a_server_that_never_answers_is_given_up(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_VLLM", "silent")
    before = psutil.Process().children()
    impatient = SETTINGS.model_copy(update={"dtype": "float32", "start_seconds": 0.5})
    with (
        pytest.raises(BackendError, match=r"did not answer within 0\.5 s"),
        VllmServer(impatient, PYTHON, tmp_path).serving(model),
    ):
        pass
    assert left_of([child for child in psutil.Process().children() if child not in before]) == []


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_nothing_is_left_when_mimir_is_ended(number: signal.Signals, model: Path, tmp_path: Path) -> None:
    parent = start_mimir(model, tmp_path)
    assert parent.stdout
    family = family_of(int(parent.stdout.readline()))
    assert len(family) == 3
    parent.send_signal(number)
    parent.communicate(timeout=30)
    assert left_of(family) == []


@pytest.mark.parametrize("victim", [0, 1, 2], ids=["guard", "server", "engine"])
def test_nothing_is_left_when_a_member_is_killed(victim: int, server: VllmServer, model: Path) -> None:
    with server.serving(model) as served:
        family = family_of(served.process.pid)
        family[victim].kill()
        if victim < 2:
            with pytest.raises(BackendError, match="vLLM ended with code"):
                served.wait()
    assert left_of(family) == []


def start_mimir(model: Path, folder: Path) -> "subprocess.Popen[str]":
    """Start a process that serves until it is ended."""
    return subprocess.Popen(
        [sys.executable, "-c", SERVE, str(paths.PARAMS), str(model), str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


# --- what cannot be served ----------------------------------------------------------------------------------------


def test_without_an_environment_it_says_how_to_make_one(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="make setup-vllm"), VllmServer(SETTINGS, tmp_path / "python", tmp_path).serving(model):
        pass


def test_what_is_no_model_or_no_adapter_is_refused_before_the_start(server: VllmServer, model: Path, tmp_path: Path) -> None:
    whole = an_adapter(tmp_path / "whole", modules_to_save=["embed_tokens"])
    refused: list[tuple[Path, dict[str, Path], str]] = [
        (tmp_path, {}, "no model lies there"),
        (model, {"night": tmp_path}, "no adapter lies there"),
        (model, {"night": whole}, "it replaces embed_tokens, .* serve the merged model"),
    ]
    for folder, adapters, reason in refused:
        with pytest.raises(InputError, match=reason), server.serving(folder, adapters):
            pass
