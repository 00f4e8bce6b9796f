"""What lets a small model look things up within minutes: a circuit that it starts with, and an exercise that keeps it.

Comes in: a Llama of random weights; dice. Goes out: the same model with induction heads (Olsson et al., "In-context learning
and induction heads", 2022): heads of the first layer bring to each token the one before it, heads of the second find where
the current token stood before and bring what followed; and windows of random tokens in which nothing but that foretells what
comes. Weights that are set to what training would make of them: Trockman and Kolter, "Mimetic initialization of self-
attention layers", 2023. Surprises: text alone teaches endings and turns of phrase first and wears the circuit away, so the
exercise comes before it; a model of one layer or one head gets no circuit.
"""

import random
from typing import Any, NamedTuple

import torch
from torch.nn.functional import pad
from transformers import LlamaForCausalLM

from mimir_core.learning.training import IGNORED

_CONSTANT, _BROUGHT = 5.0, 4.0
"""As multiples of the spread of the weights: the coordinate that all embeddings share, and how strongly a head writes."""
_SHARPNESS = 20.0
"""Of the head that looks one token back, in logits."""
_FASTEST = (1.5, 1.0, 0.5, 0.5)
"""Its squared weights on the position's fastest rotations: they alone tell one token from the next."""
_MATCH = 1.5
"""Weight of a token that is found again."""
_OTHER_CONTENT = 0.1
"""What is left of the random weights of the heads that look one token back."""
_LINES = (2, 3, 4, 6, 8, 12)
_LONGEST_LINE = 10
_TIMES = 3
"""A line fits at least so often into a window, if all lines are of the longest."""


class Window(NamedTuple):
    """What a model reads at once, and what it is to foretell."""

    ids: list[int]
    labels: list[int]


@torch.no_grad()
def give_lookup(model: LlamaForCausalLM) -> None:
    """Set weights of the first two layers so that they copy what followed a token the last time; half of the heads take part."""
    config: Any = model.config
    layers = model.model.layers
    hidden, heads = config.hidden_size, config.num_attention_heads
    width, copies = hidden // heads, heads // 2
    if len(layers) < 2 or not copies:
        return
    spread = config.initializer_range
    for layer in layers:
        for head in range(heads):
            own, brought = slice(head * width, (head + 1) * width), _orthonormal(hidden, width)
            layer.self_attn.v_proj.weight[own] = brought
            layer.self_attn.o_proj.weight[:, own] = brought.T * _BROUGHT * spread
    embeddings = model.model.embed_tokens.weight
    embeddings[:, 0] = _CONSTANT * spread
    constant = _CONSTANT * spread / embeddings.pow(2).mean(-1).sqrt().mean()
    turns = config.rope_parameters["rope_theta"] ** (-torch.arange(0, width, 2) / width)
    strength = torch.zeros(width // 2)
    strength[: len(_FASTEST)] = torch.tensor(_FASTEST[: width // 2]).sqrt()
    strength *= (_SHARPNESS * width**0.5) ** 0.5 / constant
    directions = pad(_orthonormal(hidden - 1, hidden - 1), (1, 0))  # of the tokens, not of the coordinate that all share
    rows = min(width, (hidden - 1) // (2 * copies))
    before, again = layers[0].self_attn, layers[1].self_attn
    for head in range(copies):
        own = slice(head * width, (head + 1) * width)
        before.q_proj.weight[own] *= _OTHER_CONTENT
        before.k_proj.weight[own] *= _OTHER_CONTENT
        # Query and key are the same for every token, the key one turn ahead: they agree where the key is one position behind.
        before.q_proj.weight[own, 0] = torch.cat([strength, torch.zeros_like(strength)])
        before.k_proj.weight[own, 0] = torch.cat([strength * turns.cos(), strength * turns.sin()])
        of_token, of_former = (directions[start : start + rows] for start in (2 * head * rows, (2 * head + 1) * rows))
        part = slice(own.start, own.start + rows)
        before.v_proj.weight[part] = of_token
        before.o_proj.weight[:, part] = of_former.T * _BROUGHT * spread
        again.q_proj.weight[part] = of_token * _MATCH
        again.k_proj.weight[part] = of_former * _MATCH


def exercise(dice: random.Random, vocabulary: range, length: int) -> Window:
    """Return lines of random tokens that come back in another order until ``length`` tokens are full.

    The loss counts what can be known: of a line that was there before, all but the first token.
    """
    count = dice.choice(_LINES)
    longest = max(2, min(_LONGEST_LINE, length // (_TIMES * count)))
    lines = [[dice.choice(vocabulary) for _ in range(dice.randint(2, longest))] for _ in range(count)]
    ids = [token for line in lines for token in line]
    labels = [IGNORED] * len(ids)
    while len(ids) < length:
        dice.shuffle(lines)
        for first, *others in lines:
            ids += [first, *others]
            labels += [IGNORED, *others]
    return Window(ids[:length], labels[:length])


def _orthonormal(columns: int, rows: int) -> torch.Tensor:
    """Return ``rows`` random directions, each at right angles to the others; shape (rows, columns)."""
    directions: torch.Tensor = torch.linalg.qr(torch.randn(columns, rows))[0].T
    return directions
