"""The gate promotes what is better beyond the noise, and refuses everything else with the reason."""

import json
import re
from pathlib import Path

import pytest
import yaml
from gates import CASES, PARAMS, Change, Project, hits, made_chats

from mimir_core.errors import InputError, ParamsError
from mimir_core.learning.champion import Challenger, Champion
from mimir_core.learning.gate_policy import read_policy
from mimir_core.records import Chat
from tasks import paths
from tasks.files import read_document
from tasks.gate import gate

POLICY = paths.ROOT / PARAMS.gate.policy


def crown(project: Project, right: int, *, cases_hash: str = "c0", seed: int = 2) -> None:
    """Make a model that names the cause of ``right`` cases the champion, and give the challenger weights of its own."""
    project.measure("tuned", hits(right))
    project.teach(seed)
    project.judge()
    model = read_document(paths.CHALLENGER, Challenger).model_copy(update={"cases_hash": cases_hash})
    paths.CHAMPION.write_text(Champion(reasoner="model", version=1, model=model).model_dump_json())
    project.teach(seed=1)
    project.measure("tuned", hits(30))


JUDGED_MAIN = yaml.safe_load(POLICY.read_text())["main"] | {"metric": "judged_cause"}


def said(*, may: bool, in_the_step: bool) -> dict[str, object]:
    """What calibration says of a judge, of all steps and of one."""

    def grades(counts: bool) -> dict[str, object]:
        return {"may_gate": counts, "reason": "" if counts else "kappa 0.1"}

    return {**grades(may), "steps": {"cause": grades(in_the_step)}, "graded": {"answers": 80}}


def grade(project: Project, **grades: list[float | None]) -> None:
    """Write down what a judge says of the cause, of the first cases of each variant."""
    for variant, of_cases in grades.items():
        rows = [row for row in project.rows if row["variant"] == variant]
        for row, given in zip(rows, of_cases, strict=False):
            row["scores"]["judged_cause"] = given


def with_policy(project: Project, folder: Path, **changed: object) -> None:
    policy = yaml.safe_load(POLICY.read_text()) | changed
    file = folder / "policy.yaml"
    file.write_text(yaml.safe_dump(policy))
    project.params = PARAMS.model_copy(update={"gate": PARAMS.gate.model_copy(update={"policy": str(file)})})


def test_a_better_challenger_is_promoted_and_every_rule_says_why_the_same_each_time(project: Project) -> None:
    verdict = project.judge()
    assert (verdict.decision, verdict.champion, verdict.challenger) == ("promote", "builtin", "tuned")
    assert verdict.reason == (
        "promote: root_cause_top1 is better by 0.45 than that of builtin, 95 % interval 0.3 to 0.6 over 40 cases"
    )
    untold = [name for name, ruling in verdict.rules.items() if ruling.passed is None]
    assert untold == ["data_like_the_champions"]
    assert all(ruling.reason for ruling in verdict.rules.values())
    written = [(paths.REPORTS / "gate.json").read_bytes(), paths.CHALLENGER.read_bytes()]
    project.judge()
    assert [(paths.REPORTS / "gate.json").read_bytes(), paths.CHALLENGER.read_bytes()] == written


def short(project: Project) -> None:
    project.report["cases"] = 20
    project.measure("builtin", hits(2, cases=20))
    project.measure("tuned", hits(18, cases=20))


def half_scored(project: Project) -> None:
    scores = {case: score if number < 20 else None for number, (case, score) in enumerate(hits(30).items())}
    project.measure("tuned", scores)
    project.measure("builtin", {case: None if score is None else 0.0 for case, score in scores.items()})


REFUSALS: dict[str, tuple[Change, str, str]] = {
    "worse": (lambda one: one.measure("tuned", hits(8)), "builtin: gain", "better by -0.1 than that of builtin; 0.02 is asked"),
    "within the noise": (
        lambda one: one.measure("tuned", {**hits(12), "x20": 1.0}),
        "builtin: outside_the_noise",
        "better by 0.025 than that of builtin, 95 % interval 0 to 0.075",
    ),
    "better and worse by turns": (
        lambda one: one.measure("tuned", {f"x{case}": float(6 <= case < 21) for case in range(CASES)}),
        "builtin: outside_the_noise",
        "interval -0.1",
    ),
    "loses elsewhere": (
        lambda one: one.measure("tuned", hits(30), schema_valid=0.8),
        "builtin: schema_valid",
        "schema_valid is 0.8, that of builtin 0.9; 0.02 may be lost",
    ),
    "less is better": (
        lambda one: one.measure("tuned", hits(30), unsupported_claims=0.2),
        "builtin: unsupported_claims",
        "unsupported_claims is 0.2, that of builtin 0.1",
    ),
    "figure is null": (
        lambda one: one.measure("tuned", hits(30), overconfidence=None),
        "builtin: overconfidence",
        "overconfidence of tuned is missing",
    ),
    "figure is null of the rival": (
        lambda one: one.measure("builtin", hits(12), abstention=None),
        "builtin: abstention",
        "abstention of builtin is missing",
    ),
    "figure is missing": (
        lambda one: one.report["variants"]["tuned"].pop("fault_kind"),
        "builtin: fault_kind",
        "fault_kind of tuned is missing",
    ),
    "figure is nan": (
        lambda one: one.measure("tuned", hits(30), safe_actions=float("nan")),
        "builtin: safe_actions",
        "safe_actions of tuned is no number: nan",
    ),
    "figure is a word": (
        lambda one: one.measure("tuned", hits(30), overconfidence="low"),
        "builtin: overconfidence",
        "is no number: 'low'",
    ),
    "main figure is null": (
        lambda one: one.measure("tuned", hits(30), root_cause_top1=None),
        "builtin: gain",
        "root_cause_top1 of tuned is missing",
    ),
    "a score is nan": (
        lambda one: one.measure("tuned", {**hits(30), "x3": float("nan")}, root_cause_top1=0.75),
        "builtin: gain",
        "root_cause_top1 of case x3: tuned has nan, builtin 1.0",
    ),
    "a score is missing on one side": (
        lambda one: one.measure("tuned", {**hits(30), "x39": None}),
        "builtin: gain",
        "root_cause_top1 of case x39: tuned has None, builtin 0.0",
    ),
    "few cases have a score": (half_scored, "builtin: gain", "20 cases are scored by root_cause_top1, 30 are asked"),
    "few cases": (short, "enough_cases", "20 cases were evaluated, 30 are asked"),
    "variant is missing": (
        lambda one: one.report["variants"].pop("tuned"),
        "builtin: same_cases",
        "tuned was not evaluated",
    ),
    "variant has no cases": (
        lambda one: one.rows.__delitem__(slice(CASES, None)),
        "builtin: same_cases",
        "tuned was not evaluated",
    ),
    "nothing was answered": (lambda one: one.rows.clear(), "builtin: same_cases", "tuned was not evaluated"),
    "other cases": (
        lambda one: one.measure("tuned", {f"y{case}": 1.0 for case in range(CASES)}),
        "builtin: same_cases",
        "tuned answered 40 cases, builtin 40, 0 of them are the same; the report counts 40",
    ),
    "a case is left out": (
        lambda one: one.measure("tuned", hits(30, cases=39)),
        "every_variant_answered_every_case",
        "39 of 79 rows break it, the first is tuned x0",
    ),
    "a case is scored twice": (lambda one: one.rows.append(one.rows[-1]), "a_case_is_scored_once", "2 of 81 rows break it"),
    "a score is no share": (
        lambda one: one.measure("tuned", {**hits(30), "x5": 7.0}),
        "scores_are_shares",
        "1 of 80 rows break it, the first is tuned x5",
    ),
    "a variant nobody reported": (
        lambda one: one.rows.extend([{**row, "variant": "ghost"} for row in one.rows[:CASES]]),
        "variants_are_those_of_the_report",
        "the first is ghost x0",
    ),
    "the data set is another": (
        lambda one: one.write_dataset_report(chats={"train": {"gold": 1}}),
        "chats_are_those_of_the_report",
        "data/sft holds {'train'",
    ),
    "the prompt is another": (
        lambda one: one.write_dataset_report(prompt="0ld"),
        "prompt_is_the_one_in_use",
        "the data set asks with 0ld",
    ),
    "few chats": (
        lambda one: one.chats.update({split: chats[:9] for split, chats in one.chats.items()}) or one.write_dataset_report(),
        "enough_chats",
        "train: 9 of 100, dev: 9 of 10, test: 9 of 30",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_it_refuses_and_says_which_rule_and_why(project: Project, name: str) -> None:
    change, rule, reason = REFUSALS[name]
    change(project)
    verdict = project.judge()
    assert verdict.decision == "refuse"
    assert verdict.rules[rule].passed is False
    assert reason in verdict.rules[rule].reason
    assert verdict.reason.startswith("refused: ")
    assert "\n" not in verdict.reason


def test_a_challenger_must_beat_the_champion_too(project: Project) -> None:
    crown(project, right=29)
    verdict = project.judge()
    assert verdict.decision == "refuse"
    assert re.fullmatch(r"version 1 \([0-9a-f]{12}\)", verdict.champion)
    assert (verdict.rules["builtin: gain"].passed, verdict.rules["champion: outside_the_noise"].passed) == (True, False)
    crown(project, right=14)
    verdict = project.judge()
    assert (verdict.decision, verdict.rules["champion: gain"].value) == ("promote", 0.4)
    assert verdict.rules["data_like_the_champions"].reason == "0 of 5 columns drifted from the champion's data: none"


def test_a_champion_that_was_measured_on_other_cases_is_no_rival_and_the_reason_says_what_to_do(project: Project) -> None:
    crown(project, right=14, cases_hash="before")
    verdict = project.judge()
    assert verdict.decision == "refuse"
    assert verdict.reason.startswith("refused: champion: same_cases: the champion was not measured on these cases: roll back")


def test_the_champion_is_not_promoted_again(project: Project) -> None:
    crown(project, right=14, seed=1)
    assert project.judge().reason.startswith("refused: news: the champion is this very model")


def test_a_data_set_of_another_kind_than_the_champions_is_refused(project: Project) -> None:
    crown(project, right=14)
    project.chats = {split: [of_another_kind(chat) for chat in chats] for split, chats in made_chats(seed=3, words=200).items()}
    project.write_dataset_report()
    verdict = project.judge()
    assert verdict.decision == "refuse"
    assert verdict.reason == (
        "refused: data_like_the_champions: 3 of 5 columns drifted from the champion's data: words, evidence, source"
    )
    assert paths.DRIFT_PAGE.is_file()


def of_another_kind(chat: Chat) -> Chat:
    question = chat.messages[1].model_copy(update={"content": f"{chat.messages[1].content}\ne3 more"})
    return chat.model_copy(update={"source": "feedback", "messages": (chat.messages[0], question, chat.messages[2])})


def test_too_few_incidents_to_tell_drift_are_refused(project: Project, tmp_path: Path) -> None:
    crown(project, right=14)
    with_policy(project, tmp_path, drift={"min_rows": 500, "significance": 0.05, "drift_share": 0.5})
    assert "172 incidents are too few to tell drift" in project.judge().reason


@pytest.mark.parametrize(
    ("judges", "passed", "reason"),
    [
        ({"ok": said(may=True, in_the_step=True)}, False, "judged_cause is 0.1"),
        ({"ok": said(may=True, in_the_step=True) | {"graded": {"answers": 0}}}, False, "the judge ok graded no answer"),
        ({"ok": said(may=False, in_the_step=True)}, None, "ok may not gate: kappa 0.1"),
        ({"ok": said(may=True, in_the_step=False)}, None, "ok may not gate cause: kappa 0.1"),
        ({"ok": said(may=True, in_the_step=True) | {"graded": None}}, False, "the judge ok graded no answer"),
        ({}, False, "the judge ok graded no answer"),
    ],
)
def test_a_judge_counts_only_where_it_may_gate(
    project: Project, tmp_path: Path, judges: dict[str, object], passed: bool | None, reason: str
) -> None:
    guards = {"judged_cause": {"better": "higher", "max_loss": 0.02}}
    with_policy(project, tmp_path, guards=guards, judges={"judged_cause": "ok"})
    project.report["judge"] = judges
    grade(project, tuned=[0.1] * 30, builtin=[0.9] * 30)
    verdict = project.judge()
    assert verdict.decision == ("promote" if passed is None else "refuse")
    assert verdict.rules["builtin: judged_cause"].passed is passed
    assert reason in verdict.rules["builtin: judged_cause"].reason


def test_a_judge_compares_the_cases_that_it_graded_of_both_and_too_few_refuse(project: Project, tmp_path: Path) -> None:
    guards = {"judged_cause": {"better": "higher", "max_loss": 0.02}}
    with_policy(project, tmp_path, guards=guards, judges={"judged_cause": "ok"}, min_cases=10)
    project.report["judge"] = {"ok": said(may=True, in_the_step=True)}
    grade(project, tuned=[None] * 20 + [0.5] * 10, builtin=[1.0] * 20 + [0.5] * 10)
    verdict = project.judge()
    assert verdict.rules["builtin: judged_cause"].reason == "judged_cause is 0.5, that of builtin 0.5; 0.02 may be lost"
    assert verdict.decision == "promote"
    grade(project, tuned=[None] * 21 + [0.5] * 9, builtin=[1.0] * 20 + [0.5] * 10)
    verdict = project.judge()
    assert verdict.rules["builtin: judged_cause"].reason == "9 cases of both are graded by ok, 10 are asked"
    assert verdict.decision == "refuse"


def test_grades_of_another_run_are_not_compared(project: Project, tmp_path: Path) -> None:
    crown(project, right=14)
    guards = {"judged_cause": {"better": "higher", "max_loss": 0.02}}
    with_policy(project, tmp_path, guards=guards, judges={"judged_cause": "ok"})
    project.report["judge"] = {"ok": said(may=True, in_the_step=True)}
    grade(project, tuned=[0.5] * 30, builtin=[0.5] * 30)
    ruling = project.judge().rules["champion: judged_cause"]
    assert (ruling.passed, ruling.reason) == (None, "it was graded in another run, by another judge maybe")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("mian", {}, "mian: Extra inputs are not permitted"),
        ("min_cases", 0, "min_cases"),
        ("override", ["root"], "override.0"),
        ("judges", {"tone": "ok"}, "'tone' is no guard"),
        ("judges", {"fault_kind": "ok"}, "'fault_kind' is measured, and no judge's opinion"),
        (
            "guards",
            {"judged_cause": {"better": "higher", "max_loss": 0}},
            "'judged_cause' is a judge's opinion: `judges` must name",
        ),
        ("main", JUDGED_MAIN, "'judged_cause' is a judge's opinion, which decides nothing alone"),
    ],
)
def test_a_policy_that_is_no_policy_stops_the_stage(project: Project, tmp_path: Path, key: str, value: object, said: str) -> None:
    with_policy(project, tmp_path, **{key: value})
    with pytest.raises(ParamsError, match=said):
        gate(project.params)


def test_a_report_that_cannot_be_read_is_an_error_that_names_the_key(project: Project) -> None:
    del project.report["cases_hash"]
    with pytest.raises(InputError, match=r"evaluate.json: is no Evaluation: cases_hash: Field required"):
        project.judge()
    (paths.REPORTS / "evaluate.json").unlink()
    with pytest.raises(InputError, match="the stage that writes it has not run"):
        gate(project.params)


@pytest.mark.parametrize(
    "content", [{"reasoner": "model"}, {"reasoner": "builtin", "version": 1}, {"reasoner": "model", "version": 1}, {"who": 1}]
)
def test_a_champion_that_is_told_by_half_is_refused(project: Project, content: dict[str, object]) -> None:
    paths.CHAMPION.write_text(json.dumps(content))
    with pytest.raises(InputError, match="is no Champion"):
        project.judge()


def test_the_policy_and_the_champion_that_ship_can_be_read() -> None:
    assert read_policy(POLICY).main.metric == "root_cause_top1"
    assert read_document(paths.ROOT / "models" / "champion.json", Champion)
