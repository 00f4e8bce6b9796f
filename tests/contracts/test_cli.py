"""Every command explains itself, and every error has its exit code."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import yaml
from typer.testing import CliRunner

from deployment.cli import main
from mimir_core.errors import BackendError, InputError, MimirError, ParamsError

ROOT = Path(__file__).parents[2]
runner = CliRunner()


def _names(app: typer.Typer, before: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    own = [(*before, info.name or info.callback.__name__) for info in app.registered_commands if info.callback]
    deeper = [
        name
        for group in app.registered_groups
        if group.typer_instance
        for name in _names(group.typer_instance, (*before, str(group.name)))
    ]
    return own + deeper


@pytest.mark.parametrize("command", [(), *_names(main.app)], ids=" ".join)
def test_every_command_explains_itself(command: tuple[str, ...]) -> None:
    shown = runner.invoke(main.app, [*command, "--help"])
    assert shown.exit_code == 0
    words = shown.stdout.split("Usage:")[1].split("\n", 1)[1].split("Options")[0].strip(" ╭─\n")
    assert words


def test_the_commands_are_the_documented_ones() -> None:
    assert {name[0] for name in _names(main.app)} == {
        "stage",
        "version",
        "api",
        "bench",
        "diagnose",
        "detect",
        "nightly",
        "simulate",
        "search",
        "serve",
        "train",
        "feedback",
        "incidents",
        "keys",
        "knowledge",
        "loop",
        "models",
        "monitor",
        "up",
        "work",
        "doctor",
    }


def test_help_is_quick() -> None:
    # Processor time: a busy machine does not count.
    code = "import os; from deployment.cli import main; main.app = lambda: print(sum(os.times()[:2])); main.run()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 1


@pytest.mark.parametrize(
    "error", [InputError("orders.csv:3: not a number: 'x'"), ParamsError("bad key"), BackendError("no answer"), MimirError("odd")]
)
def test_an_error_is_one_line_and_its_exit_code(
    error: MimirError, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(main, "app", fail)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    with pytest.raises(SystemExit) as end:
        main.run()
    assert end.value.code == error.exit_code
    assert capsys.readouterr().err == f"mimir: {error}\n"


def test_an_error_sends_no_control_characters_to_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise InputError("app.log:1: \x1b]0;owned\x07")

    monkeypatch.setattr(main, "app", fail)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    with pytest.raises(SystemExit):
        main.run()
    said = capsys.readouterr().err
    assert "\x1b" not in said
    assert r"\x1b]0;owned" in said


@pytest.mark.parametrize("arguments", [["stage", "nonsense"], ["nonsense"], ["up", "--port", "x"], ["diagnose"]], ids=" ".join)
def test_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    assert runner.invoke(main.app, arguments).exit_code == 2


def test_ctrl_c_ends_with_130_and_no_traceback() -> None:
    # Whoever starts the tests in the background of a script has SIGINT ignored, and children inherit that.
    heed = "signal.signal(signal.SIGINT, signal.default_int_handler)"
    wait = "main.app = lambda: (print('ready', flush=True), time.sleep(60))"
    code = f"import signal, time; from deployment.cli import main; {heed}; {wait}; main.run()"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert (process.returncode, said) == (130, "")


def test_the_stages_are_those_of_dvc_and_each_is_a_task() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    assert {stage.value for stage in main.Stage} == set(stages)
    for name, stage in stages.items():
        assert stage["cmd"] == f"mimir stage {name}"
        assert (ROOT / "tasks" / f"{name}.py").is_file()
