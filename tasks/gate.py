"""What `mimir stage gate`, and so `dvc repro`, runs: what was measured in, a verdict out, and what a later gate has to know."""

import logging

from mimir_core.config import Params
from mimir_core.learning.archive import hash_files
from mimir_core.learning.champion import Challenger, Champion, hash_model
from mimir_core.learning.gate import CaseScores, Evaluation, compare, decide, is_news, scored
from mimir_core.learning.gate_data import DatasetReport, check_chats, check_drift, check_outcomes, incident_rows
from mimir_core.learning.gate_policy import read_policy
from mimir_core.learning.splits import Split
from mimir_core.reasoning.prompt import prompt_version
from mimir_core.records import Chat, content_hash
from mimir_core.safety.policy import read_safety_rules
from tasks import paths, wiring
from tasks.files import read_document, read_records, write_report

logger = logging.getLogger(__name__)


def gate(params: Params) -> None:
    """Write reports/gate.json and models/challenger.json; a refusal is a result."""
    variant, policy = params.gate.challenger, read_policy(paths.ROOT / params.gate.policy)
    evaluation = read_document(paths.REPORTS / "evaluate.json", Evaluation)
    outcomes = read_records(paths.OUTCOMES, CaseScores)
    chats = {split: read_records(paths.SFT / f"{split.value}.jsonl", Chat) for split in Split}
    report = read_document(paths.REPORTS / "dataset.json", DatasetReport)
    champion = read_document(paths.CHAMPION, Champion)
    ours, builtin = scored(variant, evaluation, outcomes), scored("builtin", evaluation, outcomes)
    challenger = Challenger(
        variant=variant,
        profile=evaluation.profile,
        weights=hash_model(paths.CANDIDATES[variant]),
        data=content_hash(hash_files(paths.SFT, "*.jsonl"), 64),
        cases_hash=evaluation.cases_hash,
        figures=ours.numbers,
        outcomes=ours.cases,
        incidents=incident_rows(chats),
    )
    drift = wiring.drift_reporter_from(policy.drift)
    rules = {
        "news": is_news(challenger, champion),
        **check_chats(chats, report, prompt_version(read_safety_rules()), policy.min_chats),
        "data_like_the_champions": check_drift(challenger.incidents, champion, drift, policy.drift, paths.DRIFT_PAGE),
        **check_outcomes(outcomes, evaluation, policy.main.metric, wiring.checker()),
        **compare(ours, builtin, champion, evaluation, policy),
    }
    verdict = decide(rules, challenger, champion, policy)
    write_report(paths.REPORTS / "gate.json", verdict.model_dump(mode="json"))
    paths.CHALLENGER.write_text(challenger.model_dump_json() + "\n", encoding="utf-8")
    logger.info("gate: %s", verdict.reason)
