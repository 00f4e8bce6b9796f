"""``mimir serve ...``: a model behind an OpenAI-compatible address."""

import os
import shlex
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer

serve = typer.Typer(no_args_is_help=True, help="Serve a model to whatever speaks OpenAI's API.")

CHECK_SECONDS = 5
"""Between two looks at the server, and at who is the champion."""
TGI = "deployment/tgi/compose.yaml"


@serve.callback()
def _group() -> None:
    """Keep `model` a command of its own: of a group with one command, typer makes that command."""


@serve.command()
def model(
    path: Annotated[Path | None, typer.Argument(help="The model's folder; whoever is the champion when left out.")] = None,
    adapter: Annotated[list[str] | None, typer.Option(metavar="NAME=PATH", help="An adapter, served under its own name.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of 127.0.0.1; 0 is any free one.")] = 8000,
    tgi: Annotated[bool, typer.Option("--tgi", help="Only print the command that serves it by TGI, in Docker.")] = False,
) -> None:
    """Serve a model by vLLM until Ctrl-C; prints the address, the names to ask for and where the key lies.

    Without a folder the champion is served, and its successor when another model is promoted or this one is rolled back.
    """
    adapters = _read_adapters(adapter or [])
    if path is None and (adapters or tgi):
        raise typer.BadParameter("--adapter and --tgi need the folder of a model")
    if path and tgi:
        _print_tgi_command(path, adapters)
        return

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, stop)
    try:
        if path:
            _serve(path, adapters, port, lambda: True)
        else:
            _serve_champions(port)
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")


def _read_adapters(given: list[str]) -> dict[str, Path]:
    pairs = [text.partition("=") for text in given]
    if wrong := [text for text, (name, _, path) in zip(given, pairs, strict=True) if not (name and path)]:
        raise typer.BadParameter(f"--adapter takes NAME=PATH, got {wrong[0]!r}")
    return {name: Path(path) for name, _, path in pairs}


def _serve_champions(port: int) -> NoReturn:
    """Serve whoever is the champion; while that is the built-in reasoner, nobody."""
    from tasks import models  # noqa: PLC0415  # `mimir --help` stays fast

    while True:
        version = models.champion_version()
        if folder := models.champion_folder():
            _serve(folder, {}, port, partial(_is_champion, version))
        else:
            sys.stderr.write("the built-in reasoner is the champion: nothing is served until a model is promoted\n")
            while _is_champion(version):
                time.sleep(CHECK_SECONDS)


def _is_champion(version: int | None) -> bool:
    """Whether it still is; None stands for the built-in reasoner."""
    from tasks import models  # noqa: PLC0415  # `mimir --help` stays fast

    return models.champion_version(version) == version


def _serve(folder: Path, adapters: dict[str, Path], port: int, goes_on: Callable[[], bool]) -> None:
    from mimir_core.config import read_params  # noqa: PLC0415  # `mimir --help` stays fast
    from tasks import paths, wiring  # noqa: PLC0415

    sys.stderr.write(f"starting vLLM with {folder}: a minute or two\n")
    with wiring.model_server_from(read_params(paths.PARAMS)).serving(folder, adapters, port) as served:
        key = served.log.with_suffix(".key")
        key.unlink(missing_ok=True)
        with os.fdopen(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(f"{served.key}\n")
        try:
            sys.stdout.write(
                f"URL          {served.url}\nmodels       {', '.join(served.models)}\nkey          the line in {key}\n"
                f"log          {served.log}\nstop with    Ctrl-C\n"
            )
            sys.stdout.flush()
            while goes_on():
                served.check()
                time.sleep(CHECK_SECONDS)
        finally:
            key.unlink(missing_ok=True)


def _print_tgi_command(folder: Path, adapters: dict[str, Path]) -> None:
    from mimir_core.errors import InputError  # noqa: PLC0415  # `mimir --help` stays fast
    from tasks import paths  # noqa: PLC0415

    if adapters:
        raise typer.BadParameter("--tgi serves a model as it is: merge the adapter first")
    if not (folder / "config.json").is_file() or not folder.resolve().is_relative_to(paths.MODELS):
        raise InputError(f"{folder}: TGI is given the folder models/, and no model lies there")
    name = shlex.quote(str(folder.resolve().relative_to(paths.MODELS)))
    sys.stderr.write("TGI needs Docker and an NVIDIA GPU; set TGI_IMAGE and TGI_API_KEY. This only prints the command:\n")
    sys.stdout.write(f"MODEL={name} docker compose -f {paths.ROOT / TGI} up\n")
