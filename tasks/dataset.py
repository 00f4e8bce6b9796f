"""What `mimir stage dataset`, and so `dvc repro`, runs: solved, written and corrected incidents in, chats and a data card out."""

import logging

from mimir_core.analysis.signs import read_signs
from mimir_core.config import Params
from mimir_core.errors import EmptyStageError, InputError
from mimir_core.knowledge.checks import check_rows
from mimir_core.learning.checks import chat_rows, chat_rules, find_alike
from mimir_core.learning.data_card import count_chats, write_card
from mimir_core.learning.dataset import build_dataset
from mimir_core.learning.gold import read_gold, read_gold_system
from mimir_core.learning.lessons import Teacher
from mimir_core.learning.splits import Split
from mimir_core.reasoning.prompt import prompt_version
from mimir_core.records import Example, SolvedIncident
from mimir_core.safety.policy import read_safety_rules
from tasks import paths, wiring
from tasks.files import read_records, write_records, write_report

logger = logging.getLogger(__name__)


def dataset(params: Params) -> None:
    """Write data/sft, data/held_out.jsonl and reports/dataset.json; nothing is written when a check fails."""
    settings, table, rules = params.dataset, read_signs(), read_safety_rules()
    _check_gold(params)
    solved = read_records(paths.SIMULATED, SolvedIncident)
    corrections = [example for file in sorted(paths.FEEDBACK.glob("*.jsonl")) for example in read_records(file, Example)]
    written = [*read_gold(paths.GOLD, table, rules), *corrections]
    teachers = {held_out: Teacher(table, rules, params.diagnose, held_out) for held_out in (False, True)}
    built = build_dataset(solved, written, teachers.__getitem__, params.prompt, settings, params.sizes.dataset.views)
    if empty := [split.value for split in Split if not built.chats[split]]:
        raise EmptyStageError(f"dataset: nothing is left for {', '.join(empty)}: dropped {dict(built.dropped)}")
    check_rows("chats", chat_rows(built.chats), chat_rules(settings), wiring.checker())
    for split, chats in built.chats.items():
        write_records(paths.SFT / f"{split.value}.jsonl", chats)
    write_records(paths.HELD_OUT, built.held_out)
    (paths.SFT / "README.md").write_text(write_card(built, prompt_version(rules)), encoding="utf-8")
    counts = count_chats(built.chats)
    write_report(
        paths.REPORTS / "dataset.json",
        {"chats": counts, "prompt": prompt_version(rules), "dropped": dict(sorted(built.dropped.items()))},
    )
    logger.info("dataset: %s chats; dropped %s", counts, dict(built.dropped) or "nothing")


def _check_gold(params: Params) -> None:
    systems = [read_gold_system(file) for file in sorted(paths.GOLD.glob("*.yaml"))]
    texts = {f"{system.system} {incident.id}": incident.words for system in systems for incident in system.incidents}
    if alike := find_alike(texts, params.dataset.max_alike):
        score, one, other = alike[0]
        raise InputError(
            f"{paths.GOLD}: {len(alike)} pairs of incidents say the same, first of them {one} and {other} ({score:.2f})"
        )
