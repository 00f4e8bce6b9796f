"""What people said of diagnoses -> examples in ``data/feedback``, and counts of what made none.

Comes in: the store. Goes out: one JSON line an example, one file a tenant, written whole each time. Surprise: "wrong" alone
teaches nothing, since nobody said what would have been right.
"""

import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, Protocol

from mimir_core.analysis.signs import SignTable, read_signs
from mimir_core.config import Params
from mimir_core.reasoning.correct import correct
from mimir_core.records import Diagnosis, Example, content_hash
from mimir_core.safety.policy import SafetyRules, read_safety_rules
from mimir_core.store.database import Database
from mimir_core.store.opinions import Reviewed, note_shown, read_opinions
from tasks.files import write_records


class Board(Protocol):
    """Where investigations are shown, and what people said of them."""

    def assess(self, run_id: str, verdict: str, actor: str, words: str) -> None:
        """Show an opinion beside the investigation of a run."""
        ...


async def export_feedback(database: Database, params: Params, out: Path, board: Board | None = None) -> dict[str, Any]:
    """Write the examples and return the counts: kept, and dropped by reason; opinions shown for the first time.

    Args:
        database: The store.
        params: All of params.yaml.
        out: The folder that receives ``TENANT.jsonl``.
        board: Receives each opinion once, where its investigation is shown.
    """
    table, rules = read_signs(), read_safety_rules()
    dropped: Counter[str] = Counter()
    kept: defaultdict[str, list[Example]] = defaultdict(list)
    shown = 0
    async for review in read_opinions(database):
        if board and review.mlflow_run_id and not review.is_shown:
            board.assess(review.mlflow_run_id, review.opinion.verdict, review.actor, _words(review))
            await note_shown(database, review)
            shown += 1
        taught = _lesson(review, table, rules, params)
        if isinstance(taught, str):
            dropped[taught] += 1
            continue
        example = Example(
            id="x" + content_hash([review.id, taught.model_dump(mode="json")]),
            pack=review.pack,
            diagnosis=taught,
            source="feedback",
            provenance=f"{review.opinion.verdict} by {review.actor} at {review.at.isoformat()}, incident {review.incident_id}",
            system=review.service,
        )
        kept[review.tenant].append(example)
    for tenant, examples in kept.items():
        name = tenant if re.fullmatch(r"[\w-]{1,80}", tenant) else content_hash(tenant)
        write_records(out / f"{name}.jsonl", examples)
    return {"kept": sum(map(len, kept.values())), "dropped": dict(dropped), "shown": shown}


def _words(review: Reviewed) -> str:
    cause = review.opinion.cause
    named = f"{cause.component}: {cause.fault_kind}" if cause else ""
    return "; ".join(filter(None, (named, *review.opinion.actions, review.opinion.comment)))


def _lesson(review: Reviewed, table: SignTable, rules: SafetyRules, params: Params) -> Diagnosis | str:
    """Return what is to be learned, or why nothing is."""
    opinion = review.opinion
    if opinion.verdict == "correct":
        return review.diagnosis
    if opinion.verdict == "wrong":
        return "wrong, and nobody said what is right"
    if opinion.cause is None:
        return "actions were corrected, the cause was not"
    cause = opinion.cause.component, opinion.cause.fault_kind
    return correct(review.pack, cause, table, rules, params.diagnose) or "no evidence about the corrected component"
