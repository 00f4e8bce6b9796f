"""What the machine has and lacks.

Comes in: the machine. Goes out: one :class:`Finding` a part, with what to do about those that are missing.
Surprises: a part that only some features need is optional; without it Mimir still works.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from mimir_core.config import read_params
from mimir_core.errors import MimirError
from tasks import paths, wiring

DISK_GIB = 2.0
"""Free space below which a run may end in the middle."""
PROGRAM_SECONDS = 10


class Finding(NamedTuple):
    """One part of the machine."""

    part: str
    problem: str
    """Empty when all is well."""
    detail: str
    """What was found, or how to get it."""
    optional: bool = False


def examine() -> Iterator[Finding]:
    """Look at every part, the needed ones first. Each is looked at when it is asked for."""
    yield _python()
    yield _packages(paths.ROOT / "requirements" / "core.txt")
    yield _params()
    yield _weights()
    yield _disk()
    yield _dvc()
    yield _knowledge()
    yield _program("docker", "docker info", "builds and runs the images")
    yield _program("kubectl", "kubectl version --client", "prints what `mimir diagnose` reads")
    yield _program("chromium", "chromium --version", "shows the pages in a browser without a screen")
    yield _program("gpu", "nvidia-smi", "makes training and serving faster")
    yield _vllm()


def _python() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", "" if sys.version_info[:2] == (3, 11) else "wrong version", f"{found}; 3.11 is needed")


def _packages(lock: Path) -> Finding:
    """Compare what is installed with the lock file; a build's local part (`+cpu`) does not count."""
    wanted = dict(re.findall(r"^([\w.-]+)==([^\s;+]+)", lock.read_text(encoding="utf-8"), re.MULTILINE))
    off = [f"{name} {wanted[name]}" for name in wanted if _installed(name) != wanted[name]]
    shown = ", ".join(off[:5]) + (f" and {len(off) - 5} more" if len(off) > 5 else "")
    return Finding(
        "packages", "differ from the lock" if off else "", f"make setup: {shown}" if off else f"{len(wanted)} as locked"
    )


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name).partition("+")[0]
    except metadata.PackageNotFoundError:
        return None


def _params() -> Finding:
    try:
        read_params(paths.PARAMS)
    except MimirError as error:
        return Finding("params.yaml", "invalid", str(error))
    return Finding("params.yaml", "", "valid")


def _disk() -> Finding:
    free = shutil.disk_usage(paths.ROOT).free / 2**30
    return Finding("disk", "" if free >= DISK_GIB else "nearly full", f"{free:.1f} GiB free; {DISK_GIB:.0f} are needed")


def _dvc() -> Finding:
    there = (paths.ROOT / ".dvc").is_dir() and (paths.ROOT / "dvc.yaml").is_file()
    return Finding("dvc", "" if there else "missing", "dvc.yaml and .dvc" + ("" if there else ": restore them from git"))


def _weights() -> Finding:
    """Find the embedding model and hash its weights, as the index stage does; nothing is loaded."""
    try:
        return Finding("embedding model", "", wiring.embedder_from(read_params(paths.PARAMS).index).model)
    except MimirError as error:
        return Finding("embedding model", "cannot be used", str(error))


def _knowledge() -> Finding:
    for version in wiring.knowledge_index().versions():
        if version.is_current:
            return Finding("knowledge", "", f"version {version.tag}, {version.chunks} chunks", optional=True)
    return Finding("knowledge", "not published", "make run publishes it", optional=True)


def _program(name: str, command: str, reason: str) -> Finding:
    """Run ``command``, which changes nothing: a program that is there may still not work."""
    try:
        code = subprocess.run(command.split(), capture_output=True, timeout=PROGRAM_SECONDS, check=False).returncode
    except FileNotFoundError:
        return Finding(name, "not found", reason, optional=True)
    except subprocess.TimeoutExpired:
        code = -1
    return Finding(name, f"`{command}` fails" if code else "", reason, optional=True)


def _vllm() -> Finding:
    try:
        found = (paths.ROOT / read_params(paths.PARAMS).serve.python).is_file()
    except MimirError as error:
        return Finding("vllm", "cannot be looked for", str(error), optional=True)
    return Finding("vllm", "" if found else "not installed", "make setup-vllm: serves a model of your own", optional=True)
