"""Text -> a small language model, trained from scratch; or any model of the Hugging Face format, taken as it is.

Comes in: texts, or the name of a model. Goes out: a folder with tokenizer and weights (safetensors). The architecture is
Llama's (Touvron et al., 2023) with tied embeddings, the tokenizer a byte-level BPE (Radford et al., 2019), so that any byte can
be said. Surprises: the model reads questions and answers of the training split as separate texts: it learns what both look like
and how to look things up in a question, and nothing of which answer belongs to which question; it reads short texts in short
windows before long ones in long windows, because that shows it more of them in the same time.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import torch
from datasets import Dataset as Rows
from safetensors import SafetensorError
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
    set_seed,
)

from mimir_core.config import BaseSettings
from mimir_core.errors import BackendError, EmptyStageError, InputError
from mimir_core.learning.training import Job, TrainingLog, train, usual_arguments

Item = TypeVar("Item")

END, PAD, TURN, TURN_END = "<|end|>", "<|pad|>", "<|turn|>", "<|turn_end|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}" + TURN + "{{ message['role'] }}\n{{ message['content'] }}" + TURN_END + "\n{% endfor %}"
    "{% if add_generation_prompt %}" + TURN + "assistant\n{% endif %}"
)
"""For models that bring none: after ChatML (OpenAI, 2023), with our own marks."""
_INNER_FACTOR = 8 / 3
"""Width of the gated feed-forward layers (Shazeer, "GLU variants improve Transformer", 2020), rounded up to a multiple of"""
_INNER_MULTIPLE = 128
_DEV_SHARE = 0.05
_EVALUATIONS = 10
_CANNOT_CONNECT = "couldn't connect"
"""What transformers says when neither the hub nor its cache answers."""


def make_tokenizer(texts: Iterable[str], settings: BaseSettings) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE on ``texts``."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    marks = [END, PAD, TURN, TURN_END]
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=settings.vocabulary,
            special_tokens=marks,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        eos_token=TURN_END,
        bos_token=END,
        pad_token=PAD,
        additional_special_tokens=[TURN],
        model_max_length=settings.context,
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def make_model(tokenizer: PreTrainedTokenizerBase, settings: BaseSettings, seed: int) -> LlamaForCausalLM:
    """Return a model with random weights."""
    set_seed(seed)
    inner = -(-int(_INNER_FACTOR * settings.hidden) // _INNER_MULTIPLE) * _INNER_MULTIPLE
    return LlamaForCausalLM(  # type: ignore[no-untyped-call]
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=settings.hidden,
            intermediate_size=inner,
            num_hidden_layers=settings.layers,
            num_attention_heads=settings.heads,
            max_position_embeddings=settings.context,
            tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            dtype="float32",
        )
    )


def train_base(
    short: Sequence[str], texts: Sequence[str], spoken: Sequence[str], settings: BaseSettings, job: Job
) -> tuple[TrainingLog, dict[str, int]]:
    """Train a model on ``short``, then on ``texts``, write it and its tokenizer, and return how it went and how large it is.

    Args:
        short: What is read first, once.
        texts: Documents; a twentieth of their windows is held out to watch the loss.
        spoken: What the tokenizer is made for beside them, each as often as it will be read.
        settings: The ``base`` section of the profile.
        job: Its ``out`` receives tokenizer and model.

    Raises:
        EmptyStageError: The texts do not fill a window.
    """
    dice = random.Random(job.seed)  # noqa: S311  # an order, not a secret
    order = _shuffled(texts, dice)
    tokenizer = make_tokenizer([*order, *spoken], settings)
    windows = _windows(order, tokenizer, settings.context)
    held_out = max(1, round(_DEV_SHARE * len(windows)))
    if len(windows) <= held_out:
        raise EmptyStageError(
            f"base: {len(order)} texts fill {len(windows)} windows of {settings.context} tokens; there is nothing to learn from"
        )
    # A row is what one window of the context holds: short windows come as many at once.
    most = settings.batch * settings.context // settings.window
    first = _windows(_shuffled(short, dice), tokenizer, settings.window)
    rows = [first[start : start + most] for start in range(0, len(first) - most + 1, most)]
    for _ in range(settings.epochs):
        again = _shuffled(windows[held_out:], dice)
        rows += [again[start : start + settings.batch] for start in range(0, len(again), settings.batch)]
    model = make_model(tokenizer, settings, job.seed)
    arguments = TrainingArguments(
        **usual_arguments(job, _EVALUATIONS),
        num_train_epochs=1,
        per_device_train_batch_size=1,
        per_device_eval_batch_size=1,
        train_sampling_strategy="sequential",
        learning_rate=settings.learning_rate,
        weight_decay=0.1,
        adam_beta2=0.95,
        report_to=[],
    )
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=Rows.from_dict({"input_ids": rows}),
        eval_dataset=Rows.from_dict({"input_ids": [[window] for window in windows[:held_out]]}),
        data_collator=_as_batch,
    )
    log = train(trainer, job)
    save(model, tokenizer, job.out)
    job.forget_checkpoints()
    read = sum(len(window) for row in rows for window in row)
    return log, {"parameters": model.num_parameters(), "tokens": read, "texts": len(order), "short_texts": len(short)}


def _as_batch(rows: Sequence[Mapping[str, Sequence[Sequence[int]]]]) -> dict[str, torch.Tensor]:
    """Return the windows of the one row of a step: each token is to be foretold from those before it."""
    [row] = rows
    ids = torch.tensor(row["input_ids"])
    return {"input_ids": ids, "labels": ids}


def _shuffled(items: Iterable[Item], dice: random.Random) -> list[Item]:
    order = list(items)
    dice.shuffle(order)
    return order


def load(name: str | Path, **options: Any) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Return a causal language model and its tokenizer, by folder or by the id of a hub.

    Raises:
        InputError: There is none, or its weights are pickles.
        BackendError: The hub cannot be reached.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
        model = AutoModelForCausalLM.from_pretrained(name, use_safetensors=True, **options)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        kind = BackendError if _CANNOT_CONNECT in str(error) else InputError
        raise kind(f"{name}: no causal language model can be loaded from there: {str(error).splitlines()[0]}") from error
    if tokenizer.chat_template is None:
        tokenizer.chat_template = CHAT_TEMPLATE
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return model, tokenizer


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, out: Path) -> None:
    """Write model and tokenizer; weights as safetensors.

    Raises:
        BackendError: The disk is full.
    """
    try:
        model.save_pretrained(out)
        tokenizer.save_pretrained(out)
    except (OSError, SafetensorError) as error:
        raise BackendError(f"{out}: the model cannot be written: {error}") from error


def _windows(texts: Iterable[str], tokenizer: PreTrainedTokenizerBase, context: int) -> list[list[int]]:
    """Cut the texts, one after the other, into windows of ``context`` tokens; what is left at the end is dropped."""
    ids = list(chain.from_iterable([*tokenizer(text).input_ids, tokenizer.bos_token_id] for text in texts))
    return [ids[start : start + context] for start in range(0, len(ids) - context + 1, context)]
