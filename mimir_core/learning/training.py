"""One training run that survives being killed: checkpoints by what they depend on, and what was repeated.

Comes in: a trainer of the transformers library and a folder for its checkpoints. Goes out: the losses, and how it came about.
Surprises: a checkpoint counts only when the list of its hashes was written after it, so that one that a kill or a full disk cut
short is skipped and counted, not loaded; steps that were done before the kill and are done again are counted too. Checkpoints are
read with torch's ``weights_only``: nothing in them is executed.
"""

import hashlib
import json
import logging
import math
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments, set_seed
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from mimir_core.errors import BackendError, InputError
from mimir_core.records import content_hash

logger = logging.getLogger(__name__)

IGNORED = -100
"""The label of a token whose loss does not count, as torch has it."""
SUMS = "sha256.json"
_LAST_STEP = "last-step"
_DECIMALS = 4
KEPT = 2
"""Checkpoints of a run that stay; one more is there while it is written."""
_OPTIMIZER_COPIES = 2
"""AdamW's moments of each weight that learns."""
_TORCH_WRITER = "inline_container"
"""In what torch says when it cannot write a file."""
_LOGGED, _WARMUP = 0.05, 0.05
"""Shares of all steps: between two lines of progress, and in which the learning rate rises."""
_ALMOST_ALL = 0.999
"""As a share of all steps, rounded up; 1 would mean one step."""


class Job(NamedTuple):
    """Where a training run writes, and what decides its chance."""

    out: Path
    """Receives what was made."""
    checkpoints: Path
    """Where a killed run goes on from."""
    seed: int

    def forget_checkpoints(self) -> None:
        """Remove them: what was made is written."""
        shutil.rmtree(self.checkpoints, ignore_errors=True)


class TrainingLog(NamedTuple):
    """How a run went."""

    losses: list[tuple[int, float]]
    """Step and loss of training."""
    dev_losses: list[tuple[int, float]]
    steps: int
    resumed_at: int
    """The step of the checkpoint that it went on from; 0 where it began anew."""
    repeated_steps: int
    """Steps that had been done already when the run before was killed, and were done again."""
    skipped_checkpoints: int
    """Newer checkpoints that were incomplete or changed."""

    def report(self) -> dict[str, Any]:
        """Return what a report says of it: the same for a run that was killed as for one that was not."""
        return {"steps": self.steps, "loss": self.losses[-1][1], "dev_loss": min(loss for _, loss in self.dev_losses)}

    def curve(self) -> list[dict[str, Any]]:
        """Return one row a step at which a loss was taken; None where only the other one was."""
        train, dev = dict(self.losses), dict(self.dev_losses)
        return [{"step": step, "train": train.get(step), "dev": dev.get(step)} for step in sorted({*train, *dev})]


def checkpoint_folder(root: Path, stage: str, content: Any) -> Path:
    """Return the folder for the checkpoints of a run that depends on ``content``: another content, another folder."""
    return root / stage / content_hash(content, 16)


def can_use_bfloat16() -> bool:
    """Whether this machine computes in bfloat16: on a processor without the instructions it takes six times as long."""
    return torch.cuda.is_available() or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001  # torch asks itself so


def usual_arguments(job: Job, evaluations: int) -> dict[str, Any]:
    """Return what all runs have in common, for :class:`transformers.TrainingArguments`.

    Args:
        job: Where it writes.
        evaluations: How often the loss of what is held out is taken, and a checkpoint written.
    """
    on_gpu = torch.cuda.is_available()
    every = min(_ALMOST_ALL, 1 / evaluations)
    return {
        "output_dir": str(job.checkpoints),
        "seed": job.seed,
        "data_seed": job.seed,
        "bf16": can_use_bfloat16(),
        "use_cpu": not on_gpu,
        "logging_steps": _LOGGED,
        "logging_nan_inf_filter": False,
        "eval_strategy": "steps",
        "eval_steps": every,
        "save_strategy": "steps",
        "save_steps": every,
        "save_total_limit": KEPT,
        "lr_scheduler_type": "cosine",
        "warmup_steps": _WARMUP,
        "disable_tqdm": True,
        "dataloader_pin_memory": on_gpu,
        "push_to_hub": False,
    }


def train(trainer: Trainer, job: Job) -> TrainingLog:
    """Train to the end, from the newest good checkpoint if there is one. The checkpoints stay until what was made is written.

    Raises:
        InputError: The loss is no number any more.
        BackendError: The disk is full.
    """
    folder = job.checkpoints
    _check_room(trainer, folder)
    checkpoint, skipped = find_checkpoint(folder)
    done = _read_step(folder)
    resumed_at = _step_of(checkpoint) if checkpoint else 0
    if checkpoint:
        logger.info("training goes on at step %s; %s steps are repeated", resumed_at, max(0, done - resumed_at))
    set_seed(job.seed)
    trainer.remove_callback(PrinterCallback)  # it writes to stdout, which is for results
    trainer.add_callback(_Watch(folder))
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except (OSError, RuntimeError, SafetensorError) as error:
        if isinstance(error, RuntimeError) and _TORCH_WRITER not in str(error):
            raise
        raise BackendError(f"{folder}: the checkpoint cannot be written: {error}") from error
    history = trainer.state.log_history
    losses = [(int(row["step"]), round(float(row["loss"]), _DECIMALS)) for row in history if "loss" in row]
    dev = [(int(row["step"]), round(float(row["eval_loss"]), _DECIMALS)) for row in history if "eval_loss" in row]
    if lost := [step for step, loss in (*losses, *dev) if not math.isfinite(loss)]:
        raise InputError(f"the loss is no number any more at step {min(lost)}: lower the learning rate")
    return TrainingLog(losses, dev, trainer.state.global_step, resumed_at, max(0, done - resumed_at), skipped)


def find_checkpoint(folder: Path) -> tuple[Path | None, int]:
    """Return the newest checkpoint that is as it was written, and how many newer ones are not."""
    found = sorted(folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*"), key=_step_of, reverse=True)
    for skipped, checkpoint in enumerate(found):
        if _is_whole(checkpoint):
            return checkpoint, skipped
        logger.warning("%s: is incomplete or was changed; it is not used", checkpoint)
        shutil.rmtree(checkpoint, ignore_errors=True)
    return None, len(found)


def _check_room(trainer: Trainer, folder: Path) -> None:
    """Refuse to begin where the checkpoints that are kept would not fit."""
    weights = [(w.numel() * w.element_size(), w.requires_grad) for w in _model_of(trainer).parameters()]
    one = sum(size * (1 + _OPTIMIZER_COPIES * learns) for size, learns in weights)
    needed = (KEPT + 1) * one
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise BackendError(f"{folder}: {free >> 20} MiB are free, the checkpoints of this run need {needed >> 20} MiB: make room")


def _model_of(trainer: Trainer) -> torch.nn.Module:
    assert isinstance(trainer.model, torch.nn.Module)  # noqa: S101  # only a trainer that makes its model later has none
    return trainer.model


class _Watch(TrainerCallback):
    """Seals each checkpoint, remembers the last step, and tells how far the run is."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:  # noqa: ARG002
        """Write the list of hashes beside what was saved."""
        if state.is_world_process_zero:
            _seal(self._folder / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}")

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:  # noqa: ARG002
        """Remember the step, so that those which a kill loses can be counted."""
        if state.is_world_process_zero:
            (self._folder / _LAST_STEP).write_text(str(state.global_step), encoding="utf-8")

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:  # noqa: ARG002
        """Tell the loss."""
        logs = kwargs.get("logs", {})
        for name in ("loss", "eval_loss"):
            if name in logs:
                logger.info("step %s of %s: %s %.3f", state.global_step, state.max_steps, name, float(logs[name]))


def _seal(checkpoint: Path) -> None:
    sums = {file.name: _sum(file) for file in sorted(checkpoint.iterdir()) if file.is_file()}
    (checkpoint / SUMS).write_text(json.dumps(sums), encoding="utf-8")


def _is_whole(checkpoint: Path) -> bool:
    try:
        sums = json.loads((checkpoint / SUMS).read_text(encoding="utf-8"))
        return all(_sum(checkpoint / name) == expected for name, expected in sums.items())
    except (OSError, ValueError, AttributeError):
        return False


def _sum(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def _read_step(folder: Path) -> int:
    try:
        return int((folder / _LAST_STEP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0
