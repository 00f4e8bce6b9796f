"""What is evaluated: which served model is asked what, and what needs no model.

Comes in: an example and the name of a variant. Goes out: the prompt, so that who asks (``deploy``) and who scores (``evaluate``)
mean the same by its keys. Surprises: the seed of a prompt is the example's id, so that all variants see the suspects in the same
order; without passages there is room for as much more of the other evidence; the five steps are what the tuned models learned, so
``base_cot`` is the base model asked the same, and ``base`` is asked for its choice alone.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from pydantic import ValidationError

from mimir_core.config import PromptSettings, Settings
from mimir_core.errors import InputError
from mimir_core.reasoning.prompt import Prompt, focus, write_prompt
from mimir_core.reasoning.steps import Blamed, Steps
from mimir_core.records import EvidencePack, Example, FaultKind, Record, Verdict, content_hash
from mimir_core.safety.policy import SafetyRules

_CHOOSE = Path(__file__).with_name("prompts") / "choose.md"
_ABLATION = re.compile(r"ablation:(\w+)=(\d{1,6}|[a-z_]+)")
_TOP_K = "top_k"
"""What people call the number of passages."""
_SEED = "seed"
"""Of the training."""
OF_A_SEED = f"ablation:{_SEED}="
"""How the names of variants begin that differ by it."""
OF_THE_INDEX = ("chunk_words", "embedding")
"""What decides which passages there are to be shown: the cases themselves are others."""


class Choice(Settings):
    """An answer without the steps that lead to it."""

    verdict: Verdict
    causes: tuple[Blamed, ...]


class Altered(Record):
    """A held-out case as an ablation of the index shows it."""

    variant: str
    case: str
    pack: EvidencePack


class Variant(NamedTuple):
    """A served model, and how it is asked."""

    served: str
    """``base``, ``tuned``, ``gptq``, ``awq``, or what :func:`name_seed` says."""
    hints: bool = True
    """Whether it is told how the evidence engine ranks the suspects."""
    form: type[Steps] | type[Choice] = Steps
    """Of its answer."""
    shown: Mapping[str, int] = MappingProxyType({})
    """Where the prompt shows other amounts than the ``prompt`` section of params.yaml says."""


VARIANTS: Mapping[str, Variant] = {
    "base": Variant("base", form=Choice),
    "base_cot": Variant("base"),
    "tuned": Variant("tuned"),
    "tuned_no_rag": Variant("tuned", shown={"max_passages": 0}),
    "tuned_no_hints": Variant("tuned", hints=False),
    "gptq": Variant("gptq"),
    "awq": Variant("awq"),
}
"""What a server is asked."""

BUILTIN = "builtin"
"""The built-in reasoner, over the whole pack."""

TRIVIAL = ("random_in_pack", "constant", "first_in_pack")
"""What needs no reasoner at all: it names one suspect and says nothing else."""


def variant_of(name: str) -> Variant:
    """Return what is asked under ``name``: one of :data:`VARIANTS`, or the tuned model with one thing changed.

    >>> variant_of("ablation:top_k=0").shown, variant_of("ablation:max_evidence=6").shown
    ({'max_passages': 0}, {'max_evidence': 6})
    >>> variant_of("ablation:seed=2").served
    'seed_2'

    Raises:
        InputError: There is no such variant.
    """
    if name in VARIANTS:
        return VARIANTS[name]
    found = _ABLATION.fullmatch(name)
    if found and found[1] in OF_THE_INDEX:
        return Variant("tuned")
    if found and found[1] == _SEED and found[2].isdecimal():
        return Variant(name_seed(int(found[2])))
    key = "max_passages" if found and found[1] == _TOP_K else found and found[1]
    if found is None or key not in PromptSettings.model_fields or not found[2].isdecimal():
        raise InputError(f"{name!r:.80} is no variant of the evaluation")
    return Variant("tuned", shown={str(key): int(found[2])})


def ablations_of(tried: Mapping[str, Iterable[int | str]], seeds: Iterable[int]) -> list[str]:
    """Return the names of the variants with one thing changed: what is asked, or the seed of the training.

    >>> ablations_of({"top_k": (0, 1), "embedding": ("hashed_words",)}, [2])
    ['ablation:top_k=0', 'ablation:top_k=1', 'ablation:embedding=hashed_words', 'ablation:seed=2']
    """
    changed = [f"ablation:{key}={value}" for key, values in tried.items() for value in values]
    return [*changed, *(f"{OF_A_SEED}{seed}" for seed in seeds)]


def name_seed(seed: int) -> str:
    """Return what the tuned model of another seed is called where it is served.

    >>> name_seed(2)
    'seed_2'
    """
    return f"seed_{seed}"


def choose_cases(examples: Sequence[Example], count: int) -> list[Example]:
    """Return ``count`` of the held-out cases, or all where there are fewer; which ones the hashes of their ids decide."""
    chosen = sorted((example.id for example in examples), key=lambda case: content_hash(case, 64))[:count]
    return [example for example in examples if example.id in chosen]


def alter(examples: Iterable[Example], variant: str, altered: Iterable[Altered]) -> list[Example]:
    """Return the cases as ``variant`` shows them."""
    packs = {one.case: one.pack for one in altered if one.variant == variant}
    return [example.model_copy(update={"pack": packs.get(example.id, example.pack)}) for example in examples]


def write_question(example: Example, variant: Variant, rules: SafetyRules, prompts: PromptSettings) -> Prompt:
    """Return what ``variant`` is asked about ``example``.

    Args:
        example: With its whole pack.
        variant: Which part of it is shown, and what is to be answered.
        rules: Which actions may be proposed.
        prompts: The ``prompt`` section of params.yaml.

    Raises:
        InputError: An ablation shows fewer things than a prompt can.
    """
    try:
        settings = PromptSettings.model_validate({**prompts.model_dump(), **variant.shown})
    except ValidationError as error:
        raise InputError(f"{dict(variant.shown)}: {error.errors()[0]['msg']}") from error
    prompt = write_prompt(focus(example.pack, settings), example.id, rules, hints=variant.hints)
    return prompt if variant.form is Steps else prompt._replace(system=_choose())


def _choose() -> str:
    kinds = ", ".join(kind.value for kind in FaultKind if kind is not FaultKind.NONE)
    return _CHOOSE.read_text(encoding="utf-8").replace("{kinds}", kinds).strip()
