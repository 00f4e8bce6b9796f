"""A base model and chats -> an adapter, and the model with the adapter merged in.

Comes in: a folder of the Hugging Face format, chats of the training and of the dev split. Goes out: ``adapter`` (not where all
weights are trained) and ``merged``, both safetensors. Method: QLoRA (Dettmers et al., 2023): the base in NF4 with double
quantization, low-rank adapters (Hu et al., 2021) on all linear layers; the loss is that of the answers alone. Surprises: whom an
answer blames is one token of some two hundred, and counts as many of them, else it is guessed to the end; the embeddings stay
those of the base, since a server that adds adapters cannot take others; chats that are longer than the model's context are
dropped and counted, never cut.
"""

import os
import re
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import torch
from datasets import Dataset as Rows
from peft import LoraConfig, PeftModel, prepare_model_for_kbit_training
from torch.nn.functional import cross_entropy
from transformers import BitsAndBytesConfig, EarlyStoppingCallback, PreTrainedModel, PreTrainedTokenizerBase
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from mimir_core.config import FinetuneSettings
from mimir_core.errors import EmptyStageError
from mimir_core.learning.base import load, save
from mimir_core.learning.splits import Split
from mimir_core.learning.training import IGNORED, Job, TrainingLog, can_use_bfloat16, train, usual_arguments
from mimir_core.records import Chat

ADAPTER, MERGED = "adapter", "merged"
CHOICE = re.compile(r'"hypotheses":\[\{"suspect":"(\w+)"(?=(?:(?!"symptoms":).)*"verdict":"cause_found")')
"""Where an answer (``reasoning/steps``, as JSON) names whom it will blame, if anybody; others may follow in the text."""


class Fitting(NamedTuple):
    """Chats that the model can read whole, and how many it cannot."""

    kept: list[Chat]
    too_long: int


def four_bits() -> BitsAndBytesConfig:
    """Return how a base is quantized for QLoRA."""
    return BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16 if can_use_bfloat16() else torch.float32,
    )


def fit(chats: Sequence[Chat], tokenizer: PreTrainedTokenizerBase, context: int) -> Fitting:
    """Return the chats of at most ``context`` tokens, and the count of the others."""
    kept = [chat for chat in chats if len(as_tokens(chat, tokenizer)) <= context]
    return Fitting(kept, len(chats) - len(kept))


def as_tokens(chat: Chat, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return question and answer as the model reads them."""
    return list(tokenizer.apply_chat_template(as_turns(chat, tokenizer), return_dict=False))


def as_turns(chat: Chat, tokenizer: PreTrainedTokenizerBase) -> list[dict[str, str]]:
    """Return the messages with the tokenizer's own marks taken apart: evidence that holds one must not begin a turn."""
    turns = []
    for message in chat.messages:
        content = message.content
        for mark in tokenizer.all_special_tokens:
            content = content.replace(mark, f"{mark[:1]} {mark[1:]}")
        turns.append({"role": message.role, "content": content})
    return turns


def context_of(model: PreTrainedModel) -> int:
    """Return how many tokens a model can read."""
    return int(model.config.max_position_embeddings)


def finetune(
    base: Path, chats: Mapping[Split, Sequence[Chat]], settings: FinetuneSettings, job: Job
) -> tuple[TrainingLog, dict[str, int]]:
    """Teach the model in ``base`` the answers of the training split; return how it went, and counts.

    Args:
        base: The folder of the base model.
        chats: What is learned, and the dev split, on which training is watched: it ends early when the loss there falls no more,
            and the best weights stay.
        settings: The ``finetune`` section of the profile.
        job: Its ``out`` receives ``adapter`` and ``merged``.

    Raises:
        EmptyStageError: No chat fits into the model's context.
    """
    is_quantized, is_full = settings.method == "qlora", settings.method == "full"
    quantized = {"quantization_config": four_bits(), "device_map": _device()}
    model, tokenizer = load(base, **(quantized if is_quantized else {}))
    context = context_of(model)
    learned, watched = (fit(chats[split], tokenizer, context) for split in (Split.TRAIN, Split.DEV))
    if not learned.kept or not watched.kept:
        raise EmptyStageError(
            f"finetune: {base} reads {context} tokens; {learned.too_long} and {watched.too_long} chats are longer, "
            f"{len(learned.kept)} and {len(watched.kept)} are left to learn from and to watch"
        )
    prepare: Any = prepare_model_for_kbit_training if is_quantized else lambda model, **_: model
    trainer = AnswersTrainer(
        choice_weight=settings.choice_weight,
        model=prepare(model, use_gradient_checkpointing=False),
        args=SFTConfig(
            **usual_arguments(job, settings.evaluations),
            num_train_epochs=settings.epochs,
            per_device_train_batch_size=settings.batch,
            per_device_eval_batch_size=settings.batch,
            gradient_accumulation_steps=settings.accumulate,
            gradient_checkpointing=False,
            learning_rate=settings.learning_rate,
            max_length=context,
            packing=settings.packing,
            completion_only_loss=True,
            load_best_model_at_end=True,
            metric_for_best_model="eval_loss",
            report_to=[],
        ),
        train_dataset=rows_of(learned.kept, tokenizer),
        eval_dataset=rows_of(watched.kept, tokenizer),
        processing_class=tokenizer,
        peft_config=None if is_full else _adapter(settings),
        callbacks=[EarlyStoppingCallback(settings.patience)],
    )
    taught: Any = trainer.model
    trainable = sum(int(weights.numel()) for weights in taught.parameters() if weights.requires_grad)
    log = train(trainer, job)
    trainer.accelerator.wait_for_everyone()
    if trainer.is_world_process_zero():
        if is_full:
            save(taught, tokenizer, job.out / MERGED)
        else:
            for adapter in taught.peft_config.values():  # a path of this machine would differ on every other
                adapter.base_model_name_or_path = "/".join(base.parts[-2:])
            taught.save_pretrained(job.out / ADAPTER, save_embedding_layers=False)  # "auto" asks a hub
            (job.out / ADAPTER / "README.md").unlink(missing_ok=True)  # it names a path too; ours lies beside the folder
            merge(base, job.out / ADAPTER, job.out / MERGED)
        job.forget_checkpoints()
    counts = {"chats": len(learned.kept), "watched": len(watched.kept), "trainable_parameters": trainable}
    return log, counts | {"too_long": learned.too_long, "watched_too_long": watched.too_long}


class AnswersTrainer(SFTTrainer):
    """Learns answers: what stands for their choice counts more than any other token, and the question costs no logits."""

    def __init__(self, *, choice_weight: float, **told: Any) -> None:
        """Return a trainer in which the choice counts as ``choice_weight`` tokens; with 1 the loss is that of TRL."""
        super().__init__(**told)
        self._choice_weight = choice_weight

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Return the weighted sum of the losses of the answers' tokens, divided by their number."""
        expected = inputs.pop("labels")[:, 1:]
        is_answer = expected != IGNORED
        places = is_answer.any(0).nonzero()[:, 0]
        outputs = model(**inputs, use_cache=False, logits_to_keep=places)
        wanted = expected[:, places]
        losses = cross_entropy(outputs.logits.flatten(0, 1).float(), wanted.flatten(), ignore_index=IGNORED, reduction="none")
        loss = losses @ weigh(wanted, self.processing_class, self._choice_weight).flatten().to(losses.device)
        if num_items_in_batch is None:
            loss = loss / is_answer.sum()
        else:  # the tokens of all processes, over which the gradient will be averaged
            loss = loss / num_items_in_batch * self.accelerator.num_processes
        return (loss, outputs) if return_outputs else loss


def weigh(expected: torch.Tensor, tokenizer: Any, choice_weight: float) -> torch.Tensor:
    """Return how much each token counts: ``choice_weight`` where a part of an answer's choice stands, else 1.

    Args:
        expected: Tokens of answers, and :data:`IGNORED` between them; shape (rows, tokens).
        tokenizer: What they can be read with.
        choice_weight: How many tokens one of the choice counts as.
    """
    weights = torch.ones(expected.shape)
    for row, tokens in zip(weights, expected.tolist(), strict=True):
        pieces = ["" if token == IGNORED else tokenizer.decode([token]) for token in tokens]
        ends = list(accumulate(map(len, pieces)))
        for found in CHOICE.finditer("".join(pieces)):
            row[bisect_right(ends, found.start(1)) : bisect_left(ends, found.end(1)) + 1] = choice_weight
    return weights


def merge(base: Path, adapter: Path, out: Path) -> None:
    """Add an adapter to the weights of its base, unquantized, and write the sum."""
    model, tokenizer = load(base)
    merged: Any = PeftModel.from_pretrained(model, adapter)
    save(merged.merge_and_unload(), tokenizer, out)


def _adapter(settings: FinetuneSettings) -> LoraConfig:
    return LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


def rows_of(chats: Sequence[Chat], tokenizer: PreTrainedTokenizerBase) -> Rows:
    """Return the chats as TRL reads them."""
    turns = [as_turns(chat, tokenizer) for chat in chats]
    return Rows.from_list([{"prompt": messages[:-1], "completion": messages[-1:]} for messages in turns])


def _device() -> dict[str, Any]:
    """Return where a quantized base lies: whole on the device of this process, of which `accelerate launch` starts several."""
    return {"": int(os.environ.get("LOCAL_RANK", "0")) if torch.cuda.is_available() else "cpu"}
