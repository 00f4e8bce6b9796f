"""`mimir serve model`, with a fake in the place of vLLM."""

import shutil
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from deployment.cli import main, serve
from deployment.cli.serve import TGI
from mimir_core.backends.vllm_server import Served, VllmServer
from mimir_core.errors import InputError
from tasks import models, paths, wiring

runner = CliRunner()


@pytest.fixture
def _own_signals() -> Iterator[None]:
    usual = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in usual.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_own_signals")
def test_the_key_lies_in_a_file_for_its_owner_alone_until_ctrl_c(
    server: VllmServer, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Path] = []

    def look(served: Served) -> None:
        key = served.log.with_suffix(".key")
        assert key.read_text() == f"{served.key}\n"
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        seen.append(key)
        raise KeyboardInterrupt

    monkeypatch.setattr(wiring, "model_server_from", lambda _params: server)
    monkeypatch.setattr(Served, "check", look)
    shown = runner.invoke(main.app, ["serve", "model", str(model), "--port", "0"])
    assert shown.exit_code == 0
    assert f"key          the line in {seen[0]}\n" in shown.stdout
    assert f"http://127.0.0.1:{seen[0].stem}/v1\nmodels       mimir\n" in shown.stdout
    assert not seen[0].exists()


@pytest.mark.usefixtures("_own_signals")
def test_the_champion_is_served_and_then_the_next_one_and_nobody_while_it_is_the_built_in_reasoner(
    server: VllmServer, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = iter([None, None, 1, 1, 1, 2, 2, 2])  # asked at the start of each turn, then until it is another
    looked: list[int | None] = []
    started: list[Path] = []

    def champion(_known: int | None = None) -> int | None:
        looked.append(next(versions, "over"))  # type: ignore[arg-type]
        if looked[-1] == "over":
            raise KeyboardInterrupt
        return looked[-1]

    def folder() -> Path | None:
        version = looked[-1]
        if version is None:
            return None
        started.append(Path(shutil.copytree(model, model.with_name(f"champion-{version}-{len(started)}"))))
        return started[-1]

    monkeypatch.setattr(wiring, "model_server_from", lambda _params: server)
    monkeypatch.setattr(models, "champion_version", champion)
    monkeypatch.setattr(models, "champion_folder", folder)
    monkeypatch.setattr(serve, "CHECK_SECONDS", 0)
    shown = runner.invoke(main.app, ["serve", "model", "--port", "0"])
    assert shown.exit_code == 0
    assert [line.split()[3] for line in shown.stderr.splitlines() if "starting" in line] == [f"{path}:" for path in started]
    assert "the built-in reasoner is the champion" in shown.stderr
    assert shown.stdout.count("URL ") == len(started) == 2


@pytest.mark.parametrize("more", [["--tgi"], ["--adapter", "night=path"]])
def test_what_is_about_one_folder_needs_one(more: list[str]) -> None:
    assert runner.invoke(main.app, ["serve", "model", *more]).exit_code == 2


def test_tgi_is_given_the_folder_of_the_model_within_what_its_compose_file_mounts(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "MODELS", model.parent)
    shown = runner.invoke(main.app, ["serve", "model", str(model), "--tgi"])
    assert shown.stdout == f"MODEL=model docker compose -f {paths.ROOT / TGI} up\n"
    service = yaml.safe_load((paths.ROOT / TGI).read_text())["services"]["tgi"]
    assert any(word.startswith("--model-id=/models/${MODEL:") for word in service["command"])
    assert service["volumes"] == ["../../models:/models:ro"]


def test_tgi_is_given_no_folder_that_it_cannot_see(model: Path) -> None:
    assert isinstance(runner.invoke(main.app, ["serve", "model", str(model), "--tgi"]).exception, InputError)


@pytest.mark.parametrize("adapter", ["night", "night=", "=path"])
def test_an_adapter_has_a_name_and_a_path(adapter: str) -> None:
    assert runner.invoke(main.app, ["serve", "model", "--adapter", adapter]).exit_code == 2
