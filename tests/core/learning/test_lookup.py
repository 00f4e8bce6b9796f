"""The circuit does what it says, and a model learns with it what one without it does not."""

import random
from itertools import pairwise

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, set_seed

from mimir_core.learning.lookup import exercise, give_lookup
from mimir_core.learning.training import IGNORED

VOCABULARY = range(4, 512)
LENGTH = 96


def new_model(layers: int = 2, heads: int = 4) -> LlamaForCausalLM:
    set_seed(1)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY.stop,
            hidden_size=128,
            intermediate_size=256,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            max_position_embeddings=LENGTH,
            tie_word_embeddings=True,
            rope_parameters={"rope_type": "default", "rope_theta": 500_000.0},
            attn_implementation="eager",
        )
    )


def windows(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    dice = random.Random(seed)
    made = [exercise(dice, VOCABULARY, LENGTH) for _ in range(count)]
    return torch.tensor([window.ids for window in made]), torch.tensor([window.labels for window in made])


def right(model: LlamaForCausalLM) -> float:
    """The share of what can be known that the model foretells."""
    ids, labels = windows(40, 99)
    with torch.no_grad():
        said = model(input_ids=ids).logits[:, :-1].argmax(-1)
    known = labels[:, 1:] != IGNORED
    return float((said == ids[:, 1:])[known].float().mean())


def train(model: LlamaForCausalLM, steps: int) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.001, betas=(0.9, 0.95))
    for step in range(steps):
        ids, labels = windows(8, step)
        model(input_ids=ids, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()


def test_what_can_be_known_stood_there_before() -> None:
    ids, labels = windows(50, 1)
    for row, row_labels in zip(ids.tolist(), labels.tolist(), strict=True):
        for place, label in enumerate(row_labels):
            if label != IGNORED:
                assert (row[place - 1], label) in list(pairwise(row[:place]))
        assert len(row) == LENGTH
        assert any(label != IGNORED for label in row_labels)


@pytest.mark.parametrize("heads", [2, 4, 8])
def test_the_heads_look_one_token_back_and_at_what_followed_the_same_token(heads: int) -> None:
    model = new_model(heads=heads)
    give_lookup(model)
    ids = torch.tensor([random.Random(1).sample(VOCABULARY, 30) * 2])
    with torch.no_grad():
        first, second = model(input_ids=ids, output_attentions=True).attentions
    back = first[0, 0].diagonal(offset=-1)
    assert float(back.mean()) > 0.9
    after_the_same = torch.tensor([float(second[0, 0, place, place - 29]) for place in range(30, 59)])
    assert float(after_the_same.mean()) > 5 / 45, "five times what attention to all tokens alike would give"


def test_a_model_with_the_circuit_learns_what_one_without_does_not() -> None:
    plain, given = new_model(), new_model()
    give_lookup(given)
    for model in (plain, given):
        train(model, 100)
    assert right(plain) < 0.1
    assert right(given) > 0.6


@pytest.mark.parametrize(("layers", "heads"), [(1, 4), (2, 1)])
def test_a_model_that_is_too_small_stays_as_it_is(layers: int, heads: int) -> None:
    model, untouched = new_model(layers, heads), new_model(layers, heads)
    give_lookup(model)
    assert all(torch.equal(one, other) for one, other in zip(model.parameters(), untouched.parameters(), strict=True))
