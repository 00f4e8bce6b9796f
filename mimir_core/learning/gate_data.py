"""What must hold of the data behind an evaluation, or the gate refuses.

Comes in: the lines of ``data/outcomes.jsonl``, the chats of the data set, its report, the champion. Goes out: rulings. Surprises:
drift is looked for between incidents, one row each, since the chats of one incident are views of the same; the built-in reasoner
learned from no data, so nothing drifted from it.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from mimir_core.config import DriftSettings
from mimir_core.evaluation.nights import DriftReporter
from mimir_core.knowledge.chunk import count_words
from mimir_core.learning.champion import Champion
from mimir_core.learning.data_card import count_chats
from mimir_core.learning.gate import CaseScores, Evaluation, Ruling
from mimir_core.learning.splits import Split
from mimir_core.reasoning.steps import Steps
from mimir_core.records import Chat
from mimir_core.rules import Checker, Row, Rule

_EVIDENCE = re.compile(r"^e\d+ ", re.MULTILINE)


class DatasetReport(BaseModel):
    """What the gate reads of reports/dataset.json."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    chats: dict[str, dict[str, int]]
    prompt: str


def check_outcomes(outcomes: Sequence[CaseScores], evaluation: Evaluation, metric: str, checker: Checker) -> dict[str, Ruling]:
    """Hold the scores against the report that was made of them; where there are none, no variant was evaluated."""
    if not outcomes:
        return {}
    counts = Counter(row.variant for row in outcomes)
    rows = [
        {
            "id": f"{row.variant} {row.case}",
            "variant": row.variant,
            "cases": counts[row.variant],
            "score": row.scores.get(metric),
        }
        for row in outcomes
    ]
    rules = [
        Rule("a_case_is_scored_once", "id", "unique"),
        Rule("variants_are_those_of_the_report", "variant", "one_of", values=tuple(evaluation.variants)),
        Rule("every_variant_answered_every_case", "cases", "between", minimum=evaluation.cases, maximum=evaluation.cases),
        Rule("scores_are_shares", "score", "between", minimum=0, maximum=1),
    ]
    broken = {rule.claim: at for rule, at in checker.find_broken(rows, rules)}
    return {rule.claim: _ruling(broken.get(rule.claim, []), rows) for rule in rules}


def check_chats(
    chats: Mapping[Split, Sequence[Chat]], report: DatasetReport, prompt: str, min_chats: Mapping[Split, int]
) -> dict[str, Ruling]:
    """Hold the data set against its report, and against the prompt that is in use."""
    counts = count_chats(chats)
    few = [f"{split}: {len(chats[split])} of {least}" for split, least in min_chats.items() if len(chats[split]) < least]
    return {
        "chats_are_those_of_the_report": Ruling(
            value=str(counts), limit=str(report.chats), passed=counts == report.chats, reason=f"data/sft holds {counts}"
        ),
        "prompt_is_the_one_in_use": Ruling(
            value=report.prompt, limit=prompt, passed=report.prompt == prompt, reason=f"the data set asks with {report.prompt}"
        ),
        "enough_chats": Ruling(value=len(few), limit=0, passed=not few, reason=", ".join(few) or "every split has enough"),
    }


def check_drift(
    incidents: Sequence[Row], champion: Champion, reporter: DriftReporter, settings: DriftSettings, page: Path
) -> Ruling:
    """Tell whether the incidents that were learned from are of another kind than the champion's, and draw them on ``page``."""
    if champion.model is None:
        return Ruling(value=None, limit=settings.drift_share, passed=None, reason="the built-in reasoner learned from no data")
    theirs = champion.model.incidents
    if (rows := min(len(incidents), len(theirs))) < settings.min_rows:
        return Ruling(value=rows, limit=settings.min_rows, passed=False, reason=f"{rows} incidents are too few to tell drift")
    columns = reporter.write_report(theirs, incidents, page)
    drifted = [column.column for column in columns if column.has_drifted]
    share = round(len(drifted) / len(columns), 4)
    reason = f"{len(drifted)} of {len(columns)} columns drifted from the champion's data: {', '.join(drifted) or 'none'}"
    return Ruling(value=share, limit=settings.drift_share, passed=share < settings.drift_share, reason=reason)


def incident_rows(chats: Mapping[Split, Sequence[Chat]]) -> list[dict[str, str | int]]:
    """Return one row an incident, by its first chat."""
    first = {chat.provenance: chat for members in chats.values() for chat in reversed(members)}
    return [_row(chat) for _, chat in sorted(first.items())]


def _row(chat: Chat) -> dict[str, str | int]:
    question, answer = chat.messages[1].content, Steps.model_validate_json(chat.messages[-1].content)
    return {
        "source": chat.source,
        "fault_kind": answer.causes[0].fault_kind.value if answer.causes else answer.verdict.value,
        "words": count_words(question),
        "evidence": len(_EVIDENCE.findall(question)),
        "suspects": len(chat.suspects),
    }


def _ruling(at: Sequence[int], rows: Sequence[Row]) -> Ruling:
    reason = f"{len(at)} of {len(rows)} rows break it" + (f", the first is {rows[at[0]]['id']}" if at else "")
    return Ruling(value=len(at), limit=0, passed=not at, reason=reason)
