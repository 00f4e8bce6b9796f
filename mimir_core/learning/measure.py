"""A model and held-out chats -> how well it knows the answers, and whether it chooses the right suspect.

Comes in: a model, and chats that it never learned from. Goes out: the perplexity of the answers, and choices. Surprises: a
choice is read from what the model writes when it is left alone (greedy, no grammar), so that an answer which cannot be read is
a wrong one and is counted; beside every model stand choices that need none: at random, always the most frequent key, always the
engine's first.
"""

import math
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from mimir_core.evaluation.diagnosis import share
from mimir_core.learning.finetune import as_tokens, as_turns
from mimir_core.learning.training import IGNORED
from mimir_core.records import Chat, content_hash

_CAUSE = re.compile(r'"causes":\[\{"suspect":"(c\d+)"')
_ANSWER_TOKENS = 512


@torch.no_grad()
def perplexity(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, chats: Sequence[Chat]) -> float:
    """Return exp of the mean loss a token of the answers, given their questions.

    Args:
        model: Any causal language model.
        tokenizer: Its tokenizer.
        chats: Each fits into the model's context.
    """
    model.train(mode=False)
    loss, tokens = 0.0, 0
    for chat in chats:
        ids = torch.tensor([as_tokens(chat, tokenizer)], device=model.device)
        labels = ids.clone()
        asked = question_tokens(chat, tokenizer)
        labels[0, : len(asked)] = IGNORED
        count = ids.shape[1] - len(asked)
        loss += float(model(input_ids=ids, labels=labels).loss) * count
        tokens += count
    return math.exp(loss / tokens)


@torch.no_grad()
def write_answers(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, chats: Sequence[Chat], batch: int) -> list[str]:
    """Let the model answer each question, greedily."""
    model.train(mode=False)
    tokenizer.padding_side = "left"
    answers: list[str] = []
    for start in range(0, len(chats), batch):
        questions = [question_tokens(chat, tokenizer) for chat in chats[start : start + batch]]
        padded: Any = tokenizer.pad({"input_ids": questions}, return_tensors="pt").to(model.device)
        generate: Any = model.generate
        written = generate(**padded, max_new_tokens=_ANSWER_TOKENS, do_sample=False, pad_token_id=tokenizer.pad_token_id)
        answers += tokenizer.batch_decode(written[:, padded["input_ids"].shape[1] :], skip_special_tokens=True)
    return answers


def sample(chats: Sequence[Chat], count: int, seed: int) -> list[Chat]:
    """Return both views, with hints and without, of ``count`` incidents, or of all where there are fewer."""
    incidents = sorted({chat.provenance for chat in chats}, key=lambda name: content_hash([seed, name], 64))[:count]
    return [chat for chat in chats if chat.provenance in incidents]


def question_tokens(chat: Chat, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the question as the model reads it, up to where its answer begins."""
    messages = as_turns(chat, tokenizer)[:-1]
    return list(tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False))


def read_choice(answer: str, chat: Chat) -> str | None:
    """Return the first suspect that ``answer`` blames, or None when it blames nobody who was asked about."""
    found = _CAUSE.search(answer)
    return found[1] if found and found[1] in chat.suspects else None


def trivial_choices(training: Sequence[Chat], seed: int) -> dict[str, Callable[[Chat], str | None]]:
    """Return what needs no model: a suspect at random, the key that is most often right in training, the engine's first."""
    keys = Counter(chat.causes[0] for chat in training if chat.causes)
    usual = max(keys, key=lambda key: (keys[key], key)) if keys else "c1"
    return {
        "random_in_pack": lambda chat: random.Random(f"{seed} {chat.id}").choice(list(chat.suspects)),  # noqa: S311
        "constant": lambda chat: usual if usual in chat.suspects else None,
        "first_in_pack": lambda chat: chat.first,
    }


def score(chats: Sequence[Chat], choices: Sequence[str | None]) -> dict[str, Any]:
    """Return the share of right choices among chats with a cause, with its interval, and how many could not be read."""
    asked = [(chat, key) for chat, key in zip(chats, choices, strict=True) if chat.causes]
    return {"top1": share([key in chat.causes for chat, key in asked]), "unread": sum(key is None for _, key in asked)}
