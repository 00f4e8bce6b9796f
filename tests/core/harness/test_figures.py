"""What a figure of the harness says, and what it leaves open."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from mimir_core.analysis.signs import SignTable
from mimir_core.config import Params
from mimir_core.errors import InputError
from mimir_core.evaluation.answers import Said
from mimir_core.evaluation.diagnosis import Truth
from mimir_core.harness.compare import compare
from mimir_core.harness.dry_run import obstacle_to
from mimir_core.harness.report import BenchReport, CaseResult, Figure, StageResult
from mimir_core.harness.scores import Known, find_helping, score_actions, score_cause
from mimir_core.harness.times import MMTD, MTTD, MTTR, median_of, time_case
from mimir_core.records import Action, Alert, Diagnosis, Evidence, EvidenceKind, EvidencePack, FaultKind, Incident, Verdict
from mimir_core.safety.policy import SafetyRules

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DISK = Known(Truth(causes=(("shop-db", FaultKind.DISK),)))
RIGHT = Said(Verdict.CAUSE_FOUND, (("shop-db", FaultKind.DISK),), actions=("clean_disk",))


def pack(**changed: object) -> EvidencePack:
    seen = Evidence(kind=EvidenceKind.LOG, component="shop-db", subject="DiskFull", origin="db.log", score=1.0)
    alert = Alert(name="Slow", labels={"namespace": "shop"})
    incident = Incident(id="i", title="slow", opened_at=NOON, alerts=(alert,))
    return EvidencePack(incident=incident, evidence=(seen,)).model_copy(update=changed)


def said(verdict: Verdict = Verdict.CAUSE_FOUND) -> Diagnosis:
    return Diagnosis(incident_id="i", verdict=verdict, headline="h", reason="r")


# --- scores ---------------------------------------------------------------------------------------------------------


def test_an_answer_that_did_not_come_is_wrong_and_a_case_without_truth_is_unscored(rules: SafetyRules) -> None:
    assert score_cause(RIGHT, DISK, rules)["root_cause"] is True
    assert score_cause(Said(None), DISK, rules) == {
        **dict.fromkeys(("root_cause", "root_cause_in_three", "fault_kind", "verdict"), False),
        "category": None,
        "invented_cause": None,
    }
    assert set(score_cause(RIGHT, Known(), rules).values()) == {None}


def test_an_action_helps_only_where_the_cause_is_right(rules: SafetyRules) -> None:
    helping = [rules.propose("clean_disk", component="shop-db", namespace="shop")]
    elsewhere = RIGHT._replace(causes=(("shop-web", FaultKind.DISK),))
    assert score_actions(RIGHT, DISK, helping, rules) == {"right_action": True, "safe_actions": 1.0}
    assert score_actions(elsewhere, DISK, helping, rules) == {"right_action": False, "safe_actions": 0.0}
    assert score_actions(RIGHT, DISK, [], rules)["right_action"] is None


def test_what_somebody_wrote_down_goes_before_what_the_table_says(table: SignTable, rules: SafetyRules, params: Params) -> None:
    told = DISK._replace(actions=("expand_volume",))
    assert [one.name for one in find_helping(pack(), told, table, rules, params.diagnose)] == ["expand_volume"]
    assert find_helping(pack(), Known(), table, rules, params.diagnose) == []


# --- dry run --------------------------------------------------------------------------------------------------------


def action(rules: SafetyRules, name: str, component: str = "shop-db", namespace: str = "shop") -> Action:
    return rules.propose(name, component=component, namespace=namespace)


def test_what_is_complete_could_be_executed(rules: SafetyRules) -> None:
    assert obstacle_to(action(rules, "restart_workload"), pack(), rules) == ""


@pytest.mark.parametrize(
    ("name", "component", "namespace", "obstacle"),
    [
        ("rotate_credentials", "shop-db", "shop", "no command"),
        ("restart_workload", "shop-db; reboot", "shop", "no command"),
        ("fix_probe", "shop-db", "shop", "opens an editor"),
        ("scale_out", "shop-db", "shop", "has a blank: <current \\+ 1>"),
        ("restart_workload", "shop-db", "NAMESPACE", "no namespace NAMESPACE"),
        ("restart_workload", "shop-web", "shop", "no component shop-web"),
    ],
)
def test_what_is_in_the_way_is_told(rules: SafetyRules, name: str, component: str, namespace: str, obstacle: str) -> None:
    told = obstacle_to(action(rules, name, component, namespace), pack(), rules)
    assert re.search(obstacle, told)


def test_what_is_not_on_the_allow_list_is_not_executed(rules: SafetyRules) -> None:
    strange = action(rules, "restart_workload").model_copy(update={"name": "drop_tables"})
    assert obstacle_to(strange, pack(), rules) == "it is not on the allow-list"


# --- times ----------------------------------------------------------------------------------------------------------


def test_each_time_runs_from_its_beginning_to_its_end() -> None:
    onset, over = NOON - timedelta(minutes=5), NOON + timedelta(hours=1)
    times = time_case(pack(onset=onset), said(), over, 2.0)
    assert {name: timed.seconds for name, timed in times.items()} == {MTTD: 2.0, MMTD: 302.0, MTTR: 3600.0}


def test_what_nobody_knows_is_no_time_and_says_why() -> None:
    times = time_case(pack(onset=NOON + timedelta(minutes=5)), said(Verdict.UNDETERMINED), None, 2.0)
    assert [timed.seconds for timed in times.values()] == [None, None, None]
    assert [timed.why_not for timed in times.values()] == [
        "the diagnosis names no answer",
        "the diagnosis tells no onset before the alert",
        "the truth tells no recovery after the alert",
    ]
    assert median_of([times[MTTR]]) == {"median_seconds": None, "counted": 0, "not_counted": {times[MTTR].why_not: 1}}


# --- comparison -----------------------------------------------------------------------------------------------------


def report(name: str, figures: dict[str, dict[str, Figure]], case_hash: str = "h") -> BenchReport:
    cases = tuple(
        CaseResult(
            case=case,
            case_hash=case_hash,
            is_held_out=False,
            stages={"rca": StageResult(seconds=1.0, figures=found, beside={}, result={})},
            times={},
        )
        for case, found in figures.items()
    )
    told = {"settings": {}, "started_at": NOON, "prompt_version": None, "index_version": None, "unread": {}, "summary": {}}
    return BenchReport(name=name, cases=cases, **told)


def test_runs_are_paired_by_case_and_only_where_both_have_a_figure() -> None:
    one = report("one", {f"c{i}": {"right": i < 2, "cost": None} for i in range(12)})
    other = report("other", {f"c{i}": {"right": True, "cost": 1.0} for i in range(10)})
    found = compare([one, other])
    assert (found.cases, found.left_out) == (10, {"one": 2, "other": 0})
    difference = found.differences["other"]["rca.right"]
    assert (difference.figure.value, difference.cases, difference.is_told_apart) == (0.8, 10, True)
    assert "rca.cost" not in found.differences["other"]
    assert not found.differences["other"]["rca.seconds"].is_told_apart


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (report("one", {"a": {}}), "two runs are called one"),
        (report("two", {"b": {}}), "one, two have no case in common"),
        (report("two", {"a": {}}, "changed"), "a: two answered another case of this name than one"),
    ],
)
def test_what_cannot_be_compared_is_refused(other: BenchReport, told: str) -> None:
    with pytest.raises(InputError, match=told):
        compare([report("one", {"a": {}}), other])
