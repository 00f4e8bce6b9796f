"""Text -> a small language model, trained from scratch; or any model of the Hugging Face format, taken as it is.

Comes in: texts, or the name of a model. Goes out: a folder with tokenizer and weights (safetensors). The architecture is
Llama's (Touvron et al., 2023) with tied embeddings, the tokenizer a byte-level BPE (Radford et al., 2019), so that any byte
can be said, in which the key of a suspect or of a piece of evidence is one token. Surprises: the model starts with a circuit
that looks things up (lookup.py) and reads random tokens first; it reads questions and answers of the training split as
separate texts: it learns what both look like and how to look things up in a question, and nothing of which answer belongs to
which question; short texts in short windows come before long ones in long windows, because that shows it more of them in the
same time.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from math import ceil
from pathlib import Path
from typing import Any, TypeVar

import torch
from datasets import Dataset as Rows
from safetensors import SafetensorError
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
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
from mimir_core.learning.lookup import Window, exercise, give_lookup
from mimir_core.learning.training import Job, TrainingLog, train, usual_arguments

Item = TypeVar("Item")

END, PAD, TURN, TURN_END = "<|end|>", "<|pad|>", "<|turn|>", "<|turn_end|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}" + TURN + "{{ message['role'] }}\n{{ message['content'] }}" + TURN_END + "\n{% endfor %}"
    "{% if add_generation_prompt %}" + TURN + "assistant\n{% endif %}"
)
"""For models that bring none: after ChatML (OpenAI, 2023), with our own marks."""
_WORDS = r" ?\b[ce]\d{1,2}\b|\d+| ?\p{L}+| ?[^\s\p{L}\d]+|\s+(?!\S)|\s+"
"""What no token reaches beyond: a key, a number, a word, signs, blanks; after Radford et al."""
_ROTATION_BASE = 500_000.0
"""Of the positions (Su et al., "RoFormer", 2021); as Llama 3 has it: slow rotations let a token be found again far away."""
_SHORT_WINDOWS = 2
"""In a step, for each long one."""
_LEARNING_ENDS = 10
"""The learning rate falls in the last of so many parts of the run."""
_EXERCISE_WINDOW = 128
"""At most, in tokens: in long windows the exercise is not learned."""
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
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(_WORDS), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
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
    """Return a model with random weights, and among them a circuit that looks things up."""
    set_seed(seed)
    inner = -(-int(_INNER_FACTOR * settings.hidden) // _INNER_MULTIPLE) * _INNER_MULTIPLE
    model = LlamaForCausalLM(  # type: ignore[no-untyped-call]
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=settings.hidden,
            intermediate_size=inner,
            num_hidden_layers=settings.layers,
            num_attention_heads=settings.heads,
            max_position_embeddings=settings.context,
            rope_parameters={"rope_type": "default", "rope_theta": _ROTATION_BASE},
            tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            dtype="float32",
        )
    )
    give_lookup(model)
    return model


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
    exercises = _exercises(settings, range(len(tokenizer.all_special_ids), len(tokenizer)), dice)
    rows = [*exercises, *_rows(_windows(_shuffled(short, dice), tokenizer, settings.window), settings)]
    long = [window for _ in range(ceil(settings.epochs)) for window in _shuffled(windows[held_out:], dice)]
    rows += _rows(long[: ceil(settings.epochs * (len(windows) - held_out))], settings)
    model = make_model(tokenizer, settings, job.seed)
    arguments = TrainingArguments(
        **usual_arguments(job, _EVALUATIONS)
        | {
            "lr_scheduler_type": "warmup_stable_decay",
            "lr_scheduler_kwargs": {"num_decay_steps": -(-len(rows) // _LEARNING_ENDS)},
        },
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
        train_dataset=_as_table(rows),
        eval_dataset=_as_table([[window] for window in windows[:held_out]]),
        data_collator=_as_batch,
    )
    log = train(trainer, job)
    save(model, tokenizer, job.out)
    job.forget_checkpoints()
    read = sum(len(window.ids) for row in rows for window in row)
    return log, {"parameters": model.num_parameters(), "tokens": read, "texts": len(order), "short_texts": len(short)}


def _exercises(settings: BaseSettings, vocabulary: range, dice: random.Random) -> list[list[Window]]:
    length = min(_EXERCISE_WINDOW, settings.window)
    count = settings.batch * _SHORT_WINDOWS * settings.window // length
    return [[exercise(dice, vocabulary, length) for _ in range(count)] for _ in range(settings.exercises)]


def _rows(windows: Sequence[Window], settings: BaseSettings) -> list[list[Window]]:
    """Return what is read in each step: ``batch`` windows, of short ones more, but fewer tokens: what counts is steps."""
    length = len(windows[0].ids) if windows else settings.context
    most = max(settings.batch, settings.batch * _SHORT_WINDOWS * settings.window // length)
    return [list(windows[start : start + most]) for start in range(0, len(windows), most)]


def _as_table(rows: Iterable[Sequence[Window]]) -> Rows:
    return Rows.from_list([{"input_ids": [w.ids for w in row], "labels": [w.labels for w in row]} for row in rows])


def _as_batch(rows: Sequence[Mapping[str, Sequence[Sequence[int]]]]) -> dict[str, torch.Tensor]:
    """Return the windows of the one row of a step."""
    [row] = rows
    return {name: torch.tensor(row[name]) for name in ("input_ids", "labels")}


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


def _windows(texts: Iterable[str], tokenizer: PreTrainedTokenizerBase, context: int) -> list[Window]:
    """Cut the texts, one after the other, into windows of ``context`` tokens; what is left at the end is dropped."""
    ids = list(chain.from_iterable([*tokenizer(text).input_ids, tokenizer.bos_token_id] for text in texts))
    cut = (ids[start : start + context] for start in range(0, len(ids) - context + 1, context))
    return [Window(window, window) for window in cut]
