"""The data card: what a data set holds, where it comes from, what it is not good for."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from mimir_core.learning.dataset import Dataset
from mimir_core.learning.splits import Split
from mimir_core.records import Chat

_CARD = Path(__file__).with_name("data_card.md")


def write_card(dataset: Dataset, prompt: str) -> str:
    """Return the card of ``dataset``, whose questions were asked in the version ``prompt``."""
    sources = Counter(chat.source for members in dataset.chats.values() for chat in members)
    return _CARD.read_text(encoding="utf-8").format(
        splits="\n".join(_row(split, members) for split, members in dataset.chats.items()),
        dropped="\n".join(f"- {count}: {reason}" for reason, count in sorted(dataset.dropped.items())) or "- nothing",
        prompt=prompt,
        **{source: sources[source] for source in ("simulated", "gold", "feedback")},
    )


def count_chats(chats: Mapping[Split, Sequence[Chat]]) -> dict[str, dict[str, int]]:
    """Return chats by split and source."""
    return {split.value: dict(sorted(Counter(chat.source for chat in members).items())) for split, members in chats.items()}


def _row(split: Split, members: Sequence[Chat]) -> str:
    incidents, systems = ({getattr(chat, name) for chat in members} for name in ("provenance", "system"))
    found = sum(bool(chat.causes) for chat in members)
    hinted = sum(chat.hinted for chat in members)
    return f"| {split.value} | {len(members)} | {len(incidents)} | {len(systems)} | {hinted} | {found} | {len(members) - found} |"
