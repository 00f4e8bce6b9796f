"""What `mimir stage evaluate`, and so `dvc repro`, runs: held-out cases and generations in, scores and reports out.

Surprise: no model is asked here, but a judge where one is configured; that alone makes two runs differ.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from mimir_core.analysis.signs import SignTable, read_signs
from mimir_core.config import Params
from mimir_core.errors import BackendError, InputError
from mimir_core.evaluation.evaluate import Evaluated, hash_cases
from mimir_core.evaluation.evaluate import evaluate as score
from mimir_core.evaluation.evaluate_page import render_page
from mimir_core.evaluation.evaluate_tables import compare_pairs, write_tables
from mimir_core.evaluation.generations import Generation
from mimir_core.evaluation.grading import Grader
from mimir_core.evaluation.judge_calibration import report_judges
from mimir_core.evaluation.variants import Altered, choose_cases
from mimir_core.learning.gate import CaseScores
from mimir_core.learning.judged import read_judged
from mimir_core.learning.measure import trivial_choices
from mimir_core.learning.splits import Split
from mimir_core.reasoning.diagnose import diagnose
from mimir_core.records import Chat, Example
from mimir_core.safety.policy import SafetyRules, read_safety_rules
from tasks import paths, wiring
from tasks.files import read_records, write_records, write_report

logger = logging.getLogger(__name__)

_NO_JUDGE = "none was asked: evaluate.judge names a model at MIMIR_JUDGE_URL"
_NO_DRIFT = "the gate looks for it: reports/gate.json, data_like_the_champions"


def evaluate(params: Params) -> None:
    """Write reports/evaluate.json, .md and .html, and data/outcomes.jsonl."""
    table, rules = read_signs(), read_safety_rules()
    examples = choose_cases(read_records(paths.HELD_OUT, Example), params.sizes.deploy.cases)
    judges, grader = calibrate_judge(examples, params, table, rules)
    evaluated = score(
        examples,
        read_records(paths.ALTERED, Altered),
        read_records(paths.GENERATIONS, Generation),
        name_trivially(examples, params.model.seed),
        lambda pack: diagnose(pack, table, rules, params.diagnose),
        rules,
        params.prompt,
        grader,
    )
    compared = compare_pairs(evaluated)
    if grader:
        judges[params.evaluate.judge]["graded"] = grader.told()
    report = {
        "profile": params.profile,
        "cases": len(examples),
        "cases_hash": hash_cases(examples),
        "variants": {name: measured.figures for name, measured in evaluated.variants.items()},
        "differences": {f"{one.one} - {one.other}": one.told for one in compared},
        "ablations": {name: measured.figures for name, measured in evaluated.ablations.items()},
        "judge": judges,
        "drift": {},
        "absent": {**evaluated.absent, **({} if judges else {"judge": _NO_JUDGE}), "drift": _NO_DRIFT},
    }
    write_report(paths.REPORTS / "evaluate.json", report)
    (paths.REPORTS / "evaluate.md").write_text(write_tables(report, compared), encoding="utf-8")
    (paths.REPORTS / "evaluate.html").write_text(render_page(report, compared), encoding="utf-8")
    write_records(paths.OUTCOMES, outcomes_of(evaluated))
    _show(report, params)
    logger.info("evaluate: %s cases; %s", len(examples), " ".join(one.sentence for one in compared))


def name_trivially(examples: list[Example], seed: int) -> dict[str, dict[str, str | None]]:
    """Return the component that each trivial choice names, by case: asked with the chats of data/sft, as after `finetune`.

    Raises:
        InputError: A held-out case made no chat.
    """
    training, test = (read_records(paths.SFT / f"{split.value}.jsonl", Chat) for split in (Split.TRAIN, Split.TEST))
    chats = {chat.provenance: chat for chat in reversed(test)}
    if lost := [example.id for example in examples if example.provenance not in chats]:
        raise InputError(f"{paths.SFT}: no chat of the held-out case {lost[0]}: run `dvc repro dataset`")
    named: dict[str, dict[str, str | None]] = {}
    for name, choose in trivial_choices(training, seed).items():
        keys = {example.id: (chats[example.provenance], choose(chats[example.provenance])) for example in examples}
        named[name] = {case: chat.suspects[key] if key else None for case, (chat, key) in keys.items()}
    return named


def calibrate_judge(
    examples: Sequence[Example], params: Params, table: SignTable, rules: SafetyRules
) -> tuple[dict[str, Any], Grader | None]:
    """Return what the judge's grades are worth, beside three that read no word, and what grades with it.

    Nothing where no judge is configured; one that could not grade anything is asked no more.
    """
    if (judge := wiring.judge_from(params)) is None:
        return {}, None
    graded = read_judged(paths.GOLD / "judge", paths.GOLD, table, rules, params.prompt)
    judges = report_judges(graded, {params.evaluate.judge: judge}, params.judge)
    if not judges[params.evaluate.judge]["coverage"]:
        return judges, None
    return judges, Grader(judge, params.judge.votes, {one.id for one in choose_cases(examples, params.judge.cases)})


def outcomes_of(evaluated: Evaluated) -> list[CaseScores]:
    """Return the scores of each variant and case, as the gate reads them."""
    return [
        CaseScores(case=case, variant=name, scores=dict(scores))
        for name, measured in evaluated.variants.items()
        for case, scores in measured.scores.items()
    ]


def _show(report: Mapping[str, Any], params: Params) -> None:
    """Show it in MLflow; a tracker that is away costs the picture, never the scores."""
    if not (board := wiring.evaluation_board_from(params)):
        return
    told = {name: report[name] for name in ("profile", "cases", "cases_hash")}
    files = [paths.REPORTS / f"evaluate.{kind}" for kind in ("json", "md", "html")]
    try:
        board.record(told, {**report["variants"], **report["ablations"]}, files)
    except BackendError as error:
        logger.warning("%s", error)
