"""A merged model -> the same with four bits a weight, in two formats that vLLM loads.

Comes in: the folder of the merged model, and chats of the training split to calibrate on. Goes out: one folder a format, in
compressed-tensors. Methods: GPTQ (Frantar et al., 2022) and AWQ (Lin et al., 2023), both by llmcompressor, weights in groups
that share a scale, activations as they are (W4A16). Surprises: the head and the embeddings are not quantized, only rounded to
bfloat16; AWQ pins its calibration data in memory for a copy to an accelerator, which fails where there is none, so that there
it does not.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from compressed_tensors import ModelCompressor
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from datasets import Dataset as Rows
from llmcompressor.entrypoints.oneshot import oneshot
from llmcompressor.modifiers.awq import AWQModifier
from llmcompressor.modifiers.gptq import GPTQModifier
from llmcompressor.pipelines.cache import IntermediatesCache

from mimir_core.config import QuantizeSettings
from mimir_core.learning.base import load
from mimir_core.learning.finetune import as_tokens, context_of, fit
from mimir_core.records import Chat

FORMATS: dict[str, Callable[..., Any]] = {"gptq": GPTQModifier, "awq": AWQModifier}


def quantize(merged: Path, chats: Sequence[Chat], name: str, out: Path, settings: QuantizeSettings) -> None:
    """Write the model in ``merged`` to ``out`` in the format ``name`` (``gptq`` or ``awq``)."""
    loaded, tokenizer = load(merged)
    model: Any = loaded
    context = context_of(model)
    calibration = [as_tokens(chat, tokenizer) for chat in fit(chats, tokenizer, context).kept[: settings.calibration]]
    scheme = QuantizationScheme(
        targets=["Linear"],
        weights=QuantizationArgs(num_bits=4, type="int", symmetric=True, strategy="group", group_size=settings.group),
    )
    with _unpinned():
        oneshot(
            model=model,
            dataset=Rows.from_list([{"input_ids": ids, "attention_mask": [1] * len(ids)} for ids in calibration]),
            recipe=[FORMATS[name](config_groups={"group_0": scheme}, ignore=["lm_head"])],
            num_calibration_samples=len(calibration),
            max_seq_length=context,
            shuffle_calibration_samples=False,
        )
    # First the integers, then the rounding of the rest: the other way round, some weights would round to another integer.
    ModelCompressor.from_pretrained_model(model).compress_model(model)
    model.to(torch.bfloat16)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


def size_of(folder: Path) -> int:
    """Return the bytes of the weights in ``folder``."""
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))


@contextmanager
def _unpinned() -> Iterator[None]:
    """Let llmcompressor's cache pin nothing where there is no accelerator to copy to."""
    if torch.accelerator.is_available():
        yield
        return
    with patch.object(IntermediatesCache, "pin_memory"):
        yield
