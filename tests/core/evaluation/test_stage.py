"""The stage writes what people and the gate read; the same input gives the same bytes."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlflow
import pytest
from held_out import CHOICE, HEALTHY, RIGHT, UNDETERMINED, WEB, Write

from mimir_core.backends.mlflow_runs import MlflowEvaluation
from mimir_core.config import Params
from mimir_core.errors import BackendError, InputError
from mimir_core.evaluation.evaluate import hash_cases
from mimir_core.evaluation.generations import Generation
from mimir_core.evaluation.judge_calibration import ConstantJudge
from mimir_core.learning.gate import CaseScores, Evaluation
from mimir_core.learning.gate_data import check_outcomes
from mimir_core.records import Chat, Example
from tasks import paths, wiring
from tasks.evaluate import evaluate
from tasks.files import read_document, read_records, write_records

MARKUP = "ablation:<script>alert(1)</script>|"


@pytest.fixture
def generations(write: Write) -> list[Generation]:
    """The tuned model is right everywhere, the base model never; somebody sent markup for a name."""
    wrong = {**CHOICE, "causes": [{"suspect": WEB, "fault_kind": "latency"}]}
    true = {"a": RIGHT, "b": RIGHT, "c": HEALTHY, "d": UNDETERMINED}
    said = [write("tuned", case, true[case], guided=guided) for case in "abcd" for guided in (False, True)]
    said += [write("base", case, wrong, guided=guided) for case in "abcd" for guided in (False, True)]
    said += [write("ablation:top_k=0", case, true[case]) for case in "abcd"]
    return [*said, write("tuned", "a", RIGHT).model_copy(update={"variant": MARKUP})]


@pytest.fixture
def project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cases: list[Example], generations: list[Generation], params: Params
) -> Params:
    """What the stages before would have written."""
    for name in ("SFT", "ALTERED", "HELD_OUT", "GENERATIONS", "OUTCOMES", "REPORTS", "MLFLOW"):
        monkeypatch.setattr(paths, name, tmp_path / getattr(paths, name).relative_to(paths.ROOT))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MIMIR_JUDGE_URL", raising=False)
    told = {"source": "gold", "system": "shop", "hinted": False, "suspects": {"c1": "shop-queue", "c2": "shop-db"}}
    chats = [Chat(id=f"t{c.id}", provenance=c.provenance, causes=("c2",), first="c2", messages=(), **told) for c in cases]
    for split in ("train", "test"):
        write_records(paths.SFT / f"{split}.jsonl", chats)
    write_records(paths.HELD_OUT, cases)
    write_records(paths.ALTERED, [])
    write_records(paths.GENERATIONS, generations)
    return params.model_copy(update={"evaluate": params.evaluate.model_copy(update={"track": False})})


def report() -> Any:
    return json.loads((paths.REPORTS / "evaluate.json").read_text())


def written() -> dict[str, bytes]:
    files = [*paths.REPORTS.glob("evaluate.*"), paths.OUTCOMES]
    return {file.name: file.read_bytes() for file in files}


def test_the_gate_reads_the_report_and_the_outcomes(project: Params, cases: list[Example]) -> None:
    evaluate(project)
    evaluation, outcomes = read_document(paths.REPORTS / "evaluate.json", Evaluation), read_records(paths.OUTCOMES, CaseScores)
    assert (evaluation.cases, evaluation.cases_hash, evaluation.judge) == (4, hash_cases(cases), {})
    asked: list[str] = []

    class Checker:
        def find_broken(self, rows: Any, rules: Any) -> list[Any]:
            asked.extend(rule.claim for rule in rules)
            counts = [row["cases"] for row in rows]
            assert len({row["id"] for row in rows}) == len(rows)
            assert set(counts) == {4}
            assert {row["variant"] for row in rows} == set(evaluation.variants)
            return []

    assert all(ruling.passed for ruling in check_outcomes(outcomes, evaluation, "root_cause_top1", Checker()).values())
    assert "every_variant_answered_every_case" in asked


def test_the_report_names_what_is_there_and_why_the_rest_is_not(project: Params) -> None:
    evaluate(project)
    told = report()
    assert list(told["variants"]) == ["builtin", "base", "tuned", "random_in_pack", "constant", "first_in_pack"]
    assert list(told["ablations"]) == ["ablation:top_k=0"]
    assert (told["variants"]["tuned"]["root_cause_top1"], told["variants"]["base"]["root_cause_top1"]) == (1.0, 0.0)
    assert set(told["absent"]) == {"base_cot", "tuned_no_rag", "tuned_no_hints", "gptq", "awq", MARKUP, "judge", "drift"}
    assert "MIMIR_JUDGE_URL" in told["absent"]["judge"]
    assert told["differences"]["tuned - base"]["interval"] == [1.0, 1.0]
    assert told["differences"]["tuned_no_hints - random_in_pack"]["gain"] is None


def test_the_same_input_gives_the_same_bytes(project: Params) -> None:
    evaluate(project)
    first = written()
    evaluate(project)
    assert written() == first
    assert set(first) == {"evaluate.json", "evaluate.md", "evaluate.html", "outcomes.jsonl"}


def test_people_read_the_figures_and_no_markup_of_strangers(project: Params) -> None:
    evaluate(project)
    page, tables = written()["evaluate.html"].decode(), written()["evaluate.md"].decode()
    assert "<script" not in page
    assert tables.count("<script") == tables.count("\\<script") > 0
    assert "&lt;script&gt;" in page
    assert "default-src 'none'" in page
    assert page.count("<svg") >= 9
    assert page.count('class="whisker"') > page.count("<svg")
    assert "| tuned | 1.00 [1.00, 1.00] |" in tables
    assert "| *random\\_in\\_pack* |" in tables
    assert "tuned names the cause more often than base: by 1.00" in tables.replace("\\", "")
    assert "cannot be told: they have no case in common" in tables


def test_a_held_out_case_without_a_chat_is_refused(project: Params, cases: list[Example]) -> None:
    write_records(paths.HELD_OUT, [*cases, cases[0].model_copy(update={"id": "e", "provenance": "elsewhere"})])
    with pytest.raises(InputError, match="no chat of the held-out case e"):
        evaluate(project)


def test_a_judge_that_is_configured_is_held_against_the_grades_given_by_hand(
    project: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = project.model_copy(update={"evaluate": project.evaluate.model_copy(update={"judge": "kind"})})
    assert wiring.judge_from(named) is None
    monkeypatch.setattr(wiring, "judge_from", lambda _params: ConstantJudge())
    evaluate(named)
    judges = report()["judge"]
    assert list(judges) == ["kind", "constant", "random", "overlap"]
    assert judges["kind"]["may_gate"] is False
    assert not read_document(paths.REPORTS / "evaluate.json", Evaluation).judge["kind"].may_gate


def test_the_judge_grades_what_was_answered_and_people_read_what_its_grades_are_worth(
    project: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiring, "judge_from", lambda _params: ConstantJudge())
    evaluate(
        project.model_copy(
            update={
                "evaluate": project.evaluate.model_copy(update={"judge": "kind"}),
                "judge": project.judge.model_copy(update={"cases": 2}),
            }
        )
    )
    graded = report()["judge"]["kind"]["graded"]
    assert (graded["cases"], graded["answers"], graded["votes"]) == (2, 4, 4 * project.judge.votes)  # builtin and tuned
    assert {name for name, figures in report()["variants"].items() if figures["judged_checks"] == 1.0} == {"builtin", "tuned"}
    lines = [one.scores["judged_cause"] for one in read_records(paths.OUTCOMES, CaseScores) if one.variant == "tuned"]
    assert sorted(lines, key=str) == [1.0, 1.0, None, None]
    page, tables = written()["evaluate.html"].decode(), written()["evaluate.md"].decode()
    assert "| tuned | 1.00 [1.00, 1.00] | 1.00" in tables.partition("What it says of the five steps")[2]
    assert "| kind | 0.00 |" in tables
    assert "kind: kappa 0.00; its grades decide nothing (kappa 0.00, judge.min_kappa 0.6)." in page
    assert "<figcaption>judged_cause</figcaption>" in page


def test_a_judge_that_is_away_is_counted_and_asked_no_more(project: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    class Away:
        def ask_all(self, chats: Sequence[Any], schema: Any) -> list[BackendError]:
            assert schema
            return [BackendError("nobody there") for _ in chats]

    monkeypatch.setattr(wiring, "judge_from", lambda _params: Away())
    evaluate(project.model_copy(update={"evaluate": project.evaluate.model_copy(update={"judge": "far"})}))
    judged = report()["judge"]["far"]
    assert (judged["coverage"], judged["lost_votes"]) == (0.0, {"failed": judged["votes"]})
    assert "graded" not in judged
    assert report()["variants"]["tuned"]["judged_cause"] is None


def test_trainings_of_other_seeds_stand_beside_the_tuned_model(project: Params, write: Write) -> None:
    generations = [*read_records(paths.GENERATIONS, Generation), *(write("ablation:seed=2", case, HEALTHY) for case in "abcd")]
    write_records(paths.GENERATIONS, generations)
    evaluate(project)
    assert report()["ablations"]["ablation:seed=2"]["root_cause_top1"] == 0.0
    said = "Over 2 trainings that differ by their seed alone, root_cause_top1 of tuned is 0.50, from 0.00 to 1.00."
    assert said in written()["evaluate.md"].decode().replace("\\", "")
    assert said in written()["evaluate.html"].decode()


def test_mlflow_has_a_run_for_each_variant_and_the_reports(project: Params, empty_mlflow: Path) -> None:
    paths.MLFLOW.mkdir(parents=True)
    shutil.copy(empty_mlflow, paths.MLFLOW)
    evaluate(project.model_copy(update={"evaluate": project.evaluate.model_copy(update={"track": True})}))
    client = mlflow.MlflowClient(f"sqlite:///{paths.MLFLOW / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("evaluate")
    assert experiment is not None
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {"evaluate", *report()["variants"], *report()["ablations"]}
    assert runs["tuned"].data.metrics["root_cause_top1"] == 1.0
    artifacts = {file.path for file in client.list_artifacts(runs["evaluate"].info.run_id)}
    assert artifacts == {"evaluate.json", "evaluate.md", "evaluate.html"}


def test_a_tracker_that_is_away_costs_no_score(project: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    class Away(MlflowEvaluation):
        def record(self, *_told: object) -> str:
            raise BackendError("mlflow is away")

    monkeypatch.setattr(wiring, "evaluation_board_from", lambda _params: Away(None, paths.MLFLOW))
    evaluate(project)
    assert report()["cases"] == 4
