"""``mimir serve ...``: a model behind an OpenAI-compatible address."""

import os
import shlex
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

serve = typer.Typer(no_args_is_help=True, help="Serve a model to whatever speaks OpenAI's API.")

TGI = "deployment/tgi/compose.yaml"


@serve.callback()
def _group() -> None:
    """Keep `model` a command of its own: of a group with one command, typer makes that command."""


@serve.command()
def model(
    path: Annotated[Path | None, typer.Argument(help="The model's folder; models/tuned/merged when left out.")] = None,
    adapter: Annotated[list[str] | None, typer.Option(metavar="NAME=PATH", help="An adapter, served under its own name.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of 127.0.0.1; 0 is any free one.")] = 8000,
    tgi: Annotated[bool, typer.Option("--tgi", help="Only print the command that serves it by TGI, in Docker.")] = False,
) -> None:
    """Serve a model by vLLM until Ctrl-C; prints the address, the names to ask for and where the key lies."""
    from tasks import paths  # noqa: PLC0415  # `mimir --help` stays fast

    folder, adapters = path or paths.MERGED, _read_adapters(adapter or [])
    if tgi:
        _print_tgi_command(folder, adapters)
    else:
        _serve_by_vllm(folder, adapters, port)


def _read_adapters(given: list[str]) -> dict[str, Path]:
    pairs = [text.partition("=") for text in given]
    if wrong := [text for text, (name, _, path) in zip(given, pairs, strict=True) if not (name and path)]:
        raise typer.BadParameter(f"--adapter takes NAME=PATH, got {wrong[0]!r}")
    return {name: Path(path) for name, _, path in pairs}


def _serve_by_vllm(folder: Path, adapters: dict[str, Path], port: int) -> None:
    from mimir_core.config import read_params  # noqa: PLC0415  # `mimir --help` stays fast
    from tasks import paths, wiring  # noqa: PLC0415

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, stop)
    sys.stderr.write(f"starting vLLM with {folder}: a minute or two\n")
    try:
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
                served.wait()
            finally:
                key.unlink(missing_ok=True)
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")


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
