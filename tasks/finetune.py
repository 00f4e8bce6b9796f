"""What `mimir stage finetune`, and so `dvc repro`, runs: base and chats in; adapter, merged model and model card out."""

import gc
import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mimir_core.config import FinetuneSettings, Params
from mimir_core.learning.base import load
from mimir_core.learning.finetune import MERGED, context_of, fit
from mimir_core.learning.finetune import finetune as teach
from mimir_core.learning.measure import perplexity, read_choice, sample, score, trivial_choices, write_answers
from mimir_core.learning.model_card import write_model_card
from mimir_core.learning.splits import Split
from mimir_core.learning.training import Job, TrainingLog, checkpoint_folder
from mimir_core.records import Chat
from tasks import paths
from tasks.files import read_records
from tasks.training import tell

logger = logging.getLogger(__name__)

_DECIMALS = 3


def finetune(params: Params) -> None:
    """Write models/tuned and reports/finetune.json."""
    settings, seed = params.sizes.finetune, params.model.seed
    chats = read_chats()
    log, counts = teach_base(chats, settings, seed, paths.TUNED)
    measured = measure({"base": paths.BASE, "tuned": paths.TUNED / MERGED}, chats, settings.measured, seed)
    report = tell("finetune", log, settings, {"method": settings.method, **counts, "held_out": measured}, params)
    (paths.TUNED / "README.md").write_text(write_model_card(report, params), encoding="utf-8")
    logger.info("finetune: loss %s after %s steps; perplexity %s", log.losses[-1][1], log.steps, measured["perplexity"])


def read_chats() -> dict[Split, list[Chat]]:
    """Return the data set."""
    return {split: read_records(paths.SFT / f"{split.value}.jsonl", Chat) for split in Split}


def teach_base(
    chats: Mapping[Split, Sequence[Chat]], settings: FinetuneSettings, seed: int, out: Path
) -> tuple[TrainingLog, dict[str, int]]:
    """Teach the base model, or go on where a run that was killed left off; return how it went, and counts."""
    told = [[chat.id for chat in chats[Split.TRAIN]], settings.model_dump(), seed, _weights_hash(paths.BASE)]
    return teach(paths.BASE, chats, settings, Job(out, checkpoint_folder(paths.CHECKPOINTS, "finetune", told), seed))


def measure(models: Mapping[str, Path], chats: Mapping[Split, Sequence[Chat]], count: int, seed: int) -> dict[str, Any]:
    """Measure each model, and what needs none, on held-out chats, with the engine's hints and without."""
    test = sample(chats[Split.TEST], count, seed)
    views = {"hints": [chat for chat in test if chat.hinted], "no_hints": [chat for chat in test if not chat.hinted]}
    trivial = trivial_choices(chats[Split.TRAIN], seed)
    choices = {
        name: {view: score(chats, [choose(chat) for chat in chats]) for view, chats in views.items()}
        for name, choose in trivial.items()
    }
    perplexities: dict[str, float] = {}
    for name, folder in models.items():
        model, tokenizer = load(folder)
        perplexities[name] = round(perplexity(model, tokenizer, fit(test, tokenizer, context_of(model)).kept), _DECIMALS)
        choices[name] = {
            view: score(
                chats,
                [
                    read_choice(answer, chat)
                    for answer, chat in zip(write_answers(model, tokenizer, chats, 16), chats, strict=True)
                ],
            )
            for view, chats in views.items()
        }
        logger.info("finetune: %s: perplexity %s, chooses right %s", name, perplexities[name], choices[name]["no_hints"])
        del model
        gc.collect()
    return {"chats": {view: len(chats) for view, chats in views.items()}, "perplexity": perplexities, "root_cause": choices}


def _weights_hash(folder: Path) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in sorted(folder.glob("*.safetensors")))).hexdigest()
