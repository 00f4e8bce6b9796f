"""The learning loop as DVC knows it: the stages in DVC's own order, each run by itself, timed and weighed.

Comes in: dvc.yaml, read by DVC. Goes out: what the stages write, ``var/loop.json`` with one row a stage, and what each stage said
in ``var/loop/NAME.log``. Surprises: time and memory differ from run to run, so that no report holds them; the memory is that of
the stage's own processes, without DVC's, each counted with the pages that it shares.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

from mimir_core.errors import BackendError, InputError, MimirError
from tasks import paths
from tasks.status import forget_failure, read_failure

SAMPLE_SECONDS = 0.2
"""How often the memory of a stage is looked at: a shorter peak may be missed."""
TAIL_LINES = 5
"""Lines of DVC's own output that are quoted when the stage wrote nothing down."""
_UNCHANGED = ("didn't change, skipping", "is cached - skipping run")
"""What DVC says when what it has is current, and when it takes the outs of an earlier run with the same input."""
_BUSY = ("Unable to acquire lock", "is busy, it is being blocked")
_MIB = 2**20


class Stage(NamedTuple):
    """A stage of dvc.yaml."""

    name: str
    outs: tuple[Path, ...]
    """All that it writes, reports and curves too."""


class Measured(NamedTuple):
    """One stage that was run."""

    stage: str
    state: str
    """``done``, ``cached`` or ``failed``."""
    seconds: float
    """With what DVC takes to look at the input and to store the outs."""
    peak_mib: float
    """0 when no process was started."""
    outs_mib: float
    error: MimirError | None
    """Why it failed."""


def read_stages(target: str | None = None) -> list[Stage]:
    """Return the stages in the order of ``dvc repro TARGET``: what a stage needs comes before it. All of them without a target.

    Raises:
        InputError: There is no such stage, or DVC cannot read dvc.yaml.
    """
    from dvc.exceptions import DvcException  # type: ignore[import-untyped]  # noqa: PLC0415  # half a second
    from dvc.repo import Repo  # type: ignore[import-untyped]  # noqa: PLC0415
    from dvc.repo.reproduce import plan_repro  # type: ignore[import-untyped]  # noqa: PLC0415

    try:
        with Repo(str(paths.ROOT)) as repo:
            ours = [stage for stage in repo.index.stages if stage.path_in_repo == "dvc.yaml"]  # no data that `dvc add` added
            known = {str(stage.name): stage for stage in ours}
            if target and target not in known:
                raise InputError(f"dvc.yaml: no stage {target!r}: there are {', '.join(known)}")
            planned = plan_repro(repo.index.graph, [known[target]] if target else None)
            return [Stage(stage.name, tuple(Path(out.fs_path) for out in stage.outs)) for stage in planned if stage in ours]
    except DvcException as error:
        raise InputError(f"dvc.yaml: {error}") from error


def stage_command(name: str) -> list[str]:
    """Return the command that runs a stage if DVC finds that it must."""
    return [sys.executable, "-m", "dvc", "repro", "--single-item", name]


def stage_environment() -> dict[str, str]:
    """Return the environment for it: ``mimir stage NAME`` must be found where the virtual environment is not activated."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}


def is_unchanged(lines: Iterable[str]) -> bool:
    """Whether DVC said that there was nothing to run.

    >>> is_unchanged(["Stage 'ingest' didn't change, skipping"]), is_unchanged(["Running stage 'ingest':"])
    (True, False)
    """
    return any(words in line for line in lines for words in _UNCHANGED)


def failure_of(name: str, lines: Sequence[str]) -> MimirError:
    """Return the error that the stage wrote down, or what DVC said when it could not start it."""
    if failure := read_failure(name, paths.STATUS):
        return failure
    said = " / ".join(line for line in lines[-TAIL_LINES:] if line)
    busy = any(words in said for words in _BUSY)
    return (BackendError if busy else MimirError)(f"dvc repro --single-item {name}: {said}")


def run_loop(target: str | None, say: Callable[[str], None]) -> list[Measured]:
    """Run the stages up to ``target`` until one fails, and write var/loop.json after each; the last one may hold an error."""
    stages = read_stages(target)
    measured: list[Measured] = []
    for number, stage in enumerate(stages, start=1):
        say(f"{number}/{len(stages)} {stage.name} ... ")
        measured.append(measure_stage(stage))
        say(f"{measured[-1].seconds:.1f} s, {measured[-1].state}\n")
        _write(measured)
        if measured[-1].error:
            break
    return measured


def measure_stage(stage: Stage) -> Measured:
    """Run one stage and measure it; what it says goes to its log."""
    forget_failure(stage.name, paths.STATUS)
    log = paths.VAR / "loop" / f"{stage.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    peak, began = 0, time.monotonic()
    with (
        log.open("w", encoding="utf-8") as said,
        subprocess.Popen(
            stage_command(stage.name), cwd=paths.ROOT, env=stage_environment(), stdout=said, stderr=subprocess.STDOUT
        ) as process,
    ):
        while process.poll() is None:
            peak = max(peak, _resident_bytes(process.pid))
            try:
                process.wait(SAMPLE_SECONDS)
            except subprocess.TimeoutExpired:
                continue
    seconds = time.monotonic() - began
    lines = log.read_text(encoding="utf-8").splitlines()
    error = failure_of(stage.name, lines) if process.returncode else None
    state = "failed" if error else "cached" if is_unchanged(lines) else "done"
    return Measured(stage.name, state, round(seconds, 1), round(peak / _MIB, 1), _size_mib(stage.outs), error)


def _resident_bytes(pid: int) -> int:
    """Return the resident memory of all that a process started; 0 when it is gone."""
    total = 0
    try:
        family = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return total
    for member in family:
        try:
            total += member.memory_info().rss
        except psutil.NoSuchProcess:
            continue  # it ended meanwhile
    return total


def _size_mib(outs: Iterable[Path]) -> float:
    files = [file for out in outs for file in ([out] if out.is_file() else out.rglob("*")) if file.is_file()]
    return round(sum(file.stat().st_size for file in files) / _MIB, 2)


def _write(measured: Iterable[Measured]) -> None:
    rows = [{**row._asdict(), "error": str(row.error) if row.error else None} for row in measured]
    (paths.VAR / "loop.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
