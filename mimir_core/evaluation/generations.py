"""What models wrote about the held-out cases, in order: ``data/generations.jsonl``.

Comes in: the generations as ``deploy`` wrote them down. Goes out: for each variant the answers to each case. Surprises: what
answers no held-out case, or one that was answered before, is not scored and is counted; a case that nobody was asked about is
missing, which is not the same as an answer that failed.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from pydantic import Field

from mimir_core.records import Record


class Generation(Record):
    """One answer of a served model, or why there is none."""

    variant: str
    case: str
    """The id of the held-out example."""
    guided: bool
    """Whether the server held it to the JSON schema."""
    text: str
    input_tokens: int = Field(ge=0)
    output_tokens: int = Field(ge=0)
    seconds: float = Field(ge=0, allow_inf_nan=False)
    """From the request to the last token."""
    failed: str | None = Field(default=None, min_length=1)
    """Why the server gave no answer; None where it did."""

    @property
    def answer(self) -> str:
        """What can be read of it: nothing where it failed, whatever had come by then."""
        return "" if self.failed else self.text


@dataclass
class Answers:
    """What one variant answered, by case."""

    guided: dict[str, Generation] = field(default_factory=dict)
    unguided: dict[str, Generation] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    """Generations that are not scored, by reason."""


def sort_generations(generations: Iterable[Generation], cases: Collection[str]) -> dict[str, Answers]:
    """Return the answers of each variant to ``cases``, the first where one was answered twice."""
    sorted_: dict[str, Answers] = {}
    for one in generations:
        answers = sorted_.setdefault(one.variant, Answers())
        known = answers.guided if one.guided else answers.unguided
        if one.case not in cases:
            answers.refused["its case is not held out"] += 1
        elif one.case in known:
            answers.refused["its case was answered before"] += 1
        else:
            known[one.case] = one
    return sorted_
