"""The model card: what a tuned model was made of, how well it did, what it is not for."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mimir_core.config import Params

_CARD = Path(__file__).with_name("model_card.md")


def write_model_card(report: Mapping[str, Any], params: Params) -> str:
    """Return the card for what ``report`` (reports/finetune.json) tells."""
    return _CARD.read_text(encoding="utf-8").format(
        **{name: report[name] for name in ("method", "profile", "chats", "trainable_parameters", "steps", "too_long")},
        base=params.model.base,
        seed=params.model.seed,
        measured=_table(report["held_out"]),
        settings=json.dumps(params.sizes.finetune.model_dump(), indent=1),
    )


def _table(measured: Mapping[str, Any]) -> str:
    lines = ["| model | perplexity | top1 with hints | top1 without | unread |", "| --- | --- | --- | --- | --- |"]
    for name, views in measured["root_cause"].items():
        unread = sum(view["unread"] for view in views.values())
        cells = (name, measured["perplexity"].get(name, ""), _share(views["hints"]), _share(views["no_hints"]), unread)
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def _share(view: Mapping[str, Any]) -> str:
    top = view["top1"]
    return f"{top['share']:.2f} ({top['interval'][0]:.2f}-{top['interval'][1]:.2f}, n {top['of']})" if top else "-"
