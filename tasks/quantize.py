"""What `mimir stage quantize`, and so `dvc repro`, runs: the merged model in, GPTQ and AWQ out, and what each loses."""

import gc
import logging
from typing import Any

import torch

from mimir_core.config import Params
from mimir_core.learning.base import load
from mimir_core.learning.finetune import MERGED, context_of, fit, four_bits
from mimir_core.learning.measure import perplexity, read_choice, sample, score, write_answers
from mimir_core.learning.quantize import FORMATS, size_of
from mimir_core.learning.quantize import quantize as shrink
from mimir_core.learning.splits import Split
from mimir_core.records import Chat
from tasks import paths
from tasks.files import read_records, write_report

logger = logging.getLogger(__name__)

_DECIMALS = 3


def quantize(params: Params) -> None:
    """Write models/quantized and reports/quantize.json."""
    training, dev, test = (read_records(paths.SFT / f"{split.value}.jsonl", Chat) for split in Split)
    merged, asked = paths.TUNED / MERGED, sample(test, params.sizes.quantize.measured, params.model.seed)
    for name in FORMATS:
        shrink(merged, training, name, paths.QUANTIZED / name, params.sizes.quantize)
    variants: dict[str, tuple[Any, dict[str, Any]]] = {
        "bf16": (merged, {"dtype": torch.bfloat16}),
        "nf4": (merged, {"quantization_config": four_bits()}),
        **{name: (paths.QUANTIZED / name, {}) for name in FORMATS},
    }
    rows = {name: _measure(folder, options, dev, asked) for name, (folder, options) in variants.items()}
    write_report(paths.REPORTS / "quantize.json", {"profile": params.profile, "variants": rows})
    logger.info("quantize: %s", {name: (row["mib"], row["perplexity"]) for name, row in rows.items()})


def _measure(folder: Any, options: dict[str, Any], dev: list[Chat], test: list[Chat]) -> dict[str, Any]:
    loaded, tokenizer = load(folder, **options)
    model: Any = loaded
    size = model.get_memory_footprint()
    if model.dtype is torch.bfloat16:
        # The weights stay rounded; processors without bfloat16 compute in it six times as slowly. Not `model.float()`: it refuses
        # a quantized model.
        torch.nn.Module.float(model)
    readable = fit(test, tokenizer, context_of(model)).kept
    answers = write_answers(model, tokenizer, readable, 16)
    row = {
        "mib": round(size / 2**20, 2),
        "file_mib": round(size_of(folder) / 2**20, 2),
        "perplexity": round(perplexity(model, tokenizer, fit(dev, tokenizer, context_of(model)).kept), _DECIMALS),
        "root_cause": score(readable, [read_choice(answer, chat) for answer, chat in zip(answers, readable, strict=True)]),
    }
    del model
    gc.collect()
    return row
