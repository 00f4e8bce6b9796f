# noqa: INP001  # no package: this file is copied beside a part of mimir_core and run there
"""Teach the base of this archive with its data and settings; write result/ and result.tar.gz.

What it does is what `mimir stage finetune` does, by the same code: it lies beside this file, in mimir_core/.
"""

import argparse
import logging
import os
import shutil
import sys
import time
from importlib import metadata
from pathlib import Path

from pydantic import TypeAdapter

from mimir_core.config import read_settings
from mimir_core.errors import InputError, MimirError
from mimir_core.learning import archive
from mimir_core.learning.archive import Point, Result, TrainingSettings
from mimir_core.learning.splits import Split
from mimir_core.records import Chat

HERE = Path(__file__).resolve().parent
OUT = HERE / "result"
PACKED = HERE / "result.tar.gz"
LIBRARIES = ("torch", "transformers", "trl", "peft", "bitsandbytes", "accelerate")
IS_FIRST = os.environ.get("RANK", "0") == "0"
"""Of the processes that `accelerate launch` starts, one for each GPU, the first one writes."""


def main() -> None:
    """Read the command line, train, and say in one line what went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resume", action="store_true", help="go on from the newest checkpoint of a run that was cut short")
    parser.add_argument("--limit", type=int, help="use so many chats of each split: a try-out, not to be imported")
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    if "LOCAL_RANK" not in os.environ:  # one process, one GPU: only `accelerate launch` uses several
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")
    try:
        train(asked.limit, resume=asked.resume)
    except MimirError as error:
        sys.stderr.write(f"train: {error}\n")
        sys.exit(error.exit_code)


def train(limit: int | None, *, resume: bool) -> None:
    """Train on what lies here, and pack what came of it.

    Raises:
        InputError: A file was changed, checkpoints are there and ``resume`` was not asked for, or training failed.
    """
    from mimir_core.learning.finetune import finetune  # noqa: PLC0415  # `--help` stays fast
    from mimir_core.learning.training import Job, checkpoint_folder  # noqa: PLC0415

    archive.check_manifest(HERE)
    settings = read_settings(HERE / archive.SETTINGS, TypeAdapter(TrainingSettings))
    sources = {
        "settings": archive.hash_file(HERE / archive.SETTINGS),
        "data": archive.hash_files(HERE / "data"),
        "base": archive.hash_files(HERE / "base"),
    }
    checkpoints = checkpoint_folder(HERE / "checkpoints", "finetune", [sources, limit])
    if any(checkpoints.glob("checkpoint-*")) and not resume:
        raise InputError(f"{checkpoints}: a run was cut short here: go on with --resume, or remove the folder")
    if IS_FIRST:
        shutil.rmtree(OUT, ignore_errors=True)
    chats = {split: read_chats(split)[:limit] for split in (Split.TRAIN, Split.DEV)}
    base = HERE / "base" if sources["base"] else Path(settings.base)
    job = Job(OUT, checkpoints, settings.seed)
    began = time.monotonic()
    log, counts = finetune(base, chats, settings.finetune, job)
    if not IS_FIRST:
        return
    result = Result.model_validate(
        sources
        | log.report()
        | {
            "limit": limit,
            "counts": counts,
            "curve": [Point.model_validate(row) for row in log.curve()],
            "resumed_at": log.resumed_at,
            "repeated_steps": log.repeated_steps,
            "seconds": round(time.monotonic() - began, 1),
            "machine": name_machine(),
            "versions": {name: metadata.version(name) for name in LIBRARIES},
        }
    )
    weights = (archive.FULL_WEIGHTS,) if settings.finetune.method == "full" else (archive.ADAPTER_CONFIG, archive.ADAPTER_WEIGHTS)
    keep(weights, result)
    sys.stdout.write(f"{PACKED}: loss {result.loss}, {result.dev_loss} on the dev split, {result.steps} steps\n")


def keep(weights: tuple[str, ...], result: Result) -> None:
    """Leave in result/ what comes back, and pack it; the merged model is made anew where the adapter is imported."""
    (OUT / archive.RESULT).write_text(archive.write_json(result.model_dump(mode="json")), encoding="utf-8")
    members = {name: OUT / name for name in (archive.RESULT, *weights)}
    for path in sorted(OUT.rglob("*"), reverse=True):
        if path.is_file() and path not in members.values():
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    manifest = archive.pack(members, PACKED)
    (OUT / archive.MANIFEST).write_text(archive.write_json(manifest), encoding="utf-8")


def read_chats(split: Split) -> list[Chat]:
    """Read one chat a line."""
    with (HERE / "data" / f"{split.value}.jsonl").open(encoding="utf-8") as lines:
        return [Chat.model_validate_json(line) for line in lines]


def name_machine() -> str:
    """Return what trained: `2 x NVIDIA H100`, or `processor`."""
    import torch  # noqa: PLC0415  # takes seconds

    return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}" if torch.cuda.is_available() else "processor"


if __name__ == "__main__":
    main()
