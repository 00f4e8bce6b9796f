"""A night's rows, what must hold of them, and whether they are like those of other nights."""

import random
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from made_nights import stored

from mimir_core.config import Params, read_params
from mimir_core.errors import InputError
from mimir_core.evaluation.nights import ColumnDrift, NightCheck, find_broken, find_drift, night_row, night_rules
from mimir_core.records import FaultKind, Verdict
from mimir_core.rules import Row
from mimir_core.store.nights import StoredDiagnosis
from tasks import paths, wiring

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PARAMS: Params = read_params(paths.PARAMS)
Edit = Callable[[StoredDiagnosis], None]

BREAKS: dict[str, list[Edit]] = {
    "diagnoses_are_of_their_incident": [lambda one: one.diagnosis.update(incident_id="another")],
    "severities_are_known": [lambda one: one.pack["incident"].update(severity="dire")],
    "verdicts_are_known": [lambda one: one.diagnosis.update(verdict="perhaps", causes=[])],
    "fault_kinds_are_known": [lambda one: one.diagnosis["causes"][0].update(fault_kind="</script>")],
    "confidences_are_probabilities": [
        lambda one: one.diagnosis["causes"][0].update(confidence=1.01),
        lambda one: one.diagnosis["causes"][0].update(confidence=-0.01),
    ],
    "a_cause_is_named_where_one_was_found": [
        lambda one: one.diagnosis.update(causes=[]),
        lambda one: one.diagnosis.update(verdict="healthy"),
        lambda one: one.diagnosis.update(verdict="undetermined"),
    ],
    "packs_are_bounded": [lambda one: one.pack.update(evidence=one.pack["evidence"] * (PARAMS.diagnose.max_evidence + 1))],
    "citations_are_in_the_pack": [
        lambda one: one.diagnosis["causes"][0]["evidence_ids"].append("e0"),
        lambda one: one.diagnosis["citations"].append({"number": 1, "evidence_id": "e0", "origin": "x"}),
        lambda one: one.diagnosis["hypotheses"].append({"supporting": [{"evidence_ids": ["e0"]}]}),
    ],
    "latencies_are_no_less_than_nothing": [lambda one: one.run.update(latency_ms=-1.0)],
}


def made(count: int, seed: int, *, slow: float = 1.0, undetermined: float = 0.2) -> list[Row]:
    lots = random.Random(seed)
    return [
        night_row(
            stored(
                f"i{number}",
                NOON,
                verdict=Verdict.UNDETERMINED if lots.random() < undetermined else Verdict.CAUSE_FOUND,
                kind=lots.choice([FaultKind.CPU, FaultKind.MEMORY, FaultKind.CRASH]),
                confidence=lots.betavariate(4, 2),
                seconds=slow * lots.lognormvariate(0, 0.4),
            )
        )
        for number in range(count)
    ]


def test_a_diagnosis_becomes_a_row_of_plain_columns() -> None:
    row = night_row(stored("i1", NOON, kind=FaultKind.MEMORY, confidence=0.8, seconds=2.5))
    counts = {name: count for name, count in row.items() if name.endswith("_evidence")}
    assert sum(counts.values()) == counts["metric_evidence"] == 1
    assert {name: value for name, value in row.items() if name not in counts} == {
        "incident": "i1",
        "severity": "warning",
        "alerts": 2,
        "evidence": 1,
        "sources_failed": 2,
        "sources_without_data": 1,
        "verdict": "cause_found",
        "fault_kind": "memory",
        "degraded": 0,
        "confidence": 0.8,
        "causes": 1,
        "rejected_claims": 3,
        "latency_seconds": 2.5,
        "verdict_misfits": 0,
        "cited_but_missing": 0,
        "of_another_incident": 0,
    }


def test_where_nothing_is_wrong_no_fault_kind_is() -> None:
    row = night_row(stored("i1", NOON, verdict=Verdict.HEALTHY))
    assert (row["fault_kind"], row["confidence"], row["causes"]) == ("none", 0.0, 0)


def test_no_text_of_a_stranger_gets_into_a_row() -> None:
    one, word = stored("i1", NOON), "</script><script>alert(1)</script>"
    one.diagnosis.update(verdict=word)
    one.diagnosis["causes"][0].update(fault_kind=word)
    one.pack["incident"].update(severity=word, title=word)
    one.pack["evidence"][0].update(subject=word)
    assert word not in str(night_row(one))


@pytest.mark.parametrize(("claim", "edit"), [(claim, edit) for claim, edits in BREAKS.items() for edit in edits])
def test_each_rule_can_be_broken_and_names_the_incident(claim: str, edit: Edit) -> None:
    night = [stored(f"i{number}", NOON) for number in range(3)]
    edit(night[1])
    assert find_broken([night_row(one) for one in night], PARAMS.diagnose, wiring.checker()) == {claim: ["i1"]}


def test_no_rule_is_without_a_row_that_breaks_it() -> None:
    assert [rule.claim for rule in night_rules(PARAMS.diagnose)] == list(BREAKS)


def test_a_sound_night_breaks_no_rule() -> None:
    assert find_broken(made(20, seed=1), PARAMS.diagnose, wiring.checker()) == {}


def test_nights_of_one_make_do_not_drift_and_a_shifted_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *where, **_: asked.append(where))
    reporter, page = wiring.drift_reporter_from(PARAMS.monitor), tmp_path / "new" / "report.html"
    reference = made(1200, seed=1)
    alike = find_drift(reference, made(60, seed=2), reporter, PARAMS.monitor, page)
    assert {column.column for column in alike if column.has_drifted} == set()
    assert "latency_seconds" in page.read_text(encoding="utf-8")
    shifted = find_drift(reference, made(60, seed=3, slow=2, undetermined=0.8), reporter, PARAMS.monitor, page)
    drifted = {column.column: column.method for column in shifted if column.has_drifted}
    assert drifted == {
        "verdict": "chisquare",
        "fault_kind": "chisquare",
        "confidence": "ks",
        "causes": "ks",
        "latency_seconds": "ks",
    }
    assert all(0 <= column.chance <= 1 for column in (*alike, *shifted))
    assert not asked


@pytest.mark.parametrize(("before", "tonight"), [(29, 30), (30, 29), (0, 0)])
def test_of_too_few_rows_nothing_is_said_and_nothing_written(before: int, tonight: int, tmp_path: Path) -> None:
    reporter, page = wiring.drift_reporter_from(PARAMS.monitor), tmp_path / "report.html"
    assert find_drift(made(before, seed=1), made(tonight, seed=2), reporter, PARAMS.monitor, page) == []
    assert not page.exists()


def checked(rows: int = 40, broken: dict[str, list[str]] | None = None, drifted: int = 0, columns: int = 4) -> NightCheck:
    drift = [ColumnDrift(f"c{number}", "ks", number / 100, number < drifted) for number in range(columns)]
    return NightCheck(rows, 900, broken or {}, drift, 0.5, None)


def test_the_headline_says_what_there_is_to_say() -> None:
    assert checked(0, columns=0).headline == "nothing was diagnosed"
    assert checked(3, columns=0).headline == "3 diagnosed, 0 rules broken, too few rows to tell drift: 3 tonight, 900 before"
    assert checked(drifted=1).headline == "40 diagnosed, 0 rules broken, 1 of 4 columns drifted"
    warning = "40 diagnosed, 0 rules broken, 2 of 4 columns drifted; warning: this night is unlike those before"
    assert checked(drifted=2).headline == warning


def test_broken_rules_stop_and_name_the_first_incidents() -> None:
    with pytest.raises(InputError) as raised:
        checked(broken={"verdicts_are_known": ["a", "b", "c", "d"], "packs_are_bounded": ["e"]}).stop_if_broken()
    assert str(raised.value) == (
        "the night breaks 2 rules:\nverdicts_are_known: broken by 4: a, b, c\npacks_are_bounded: broken by 1: e"
    )
    checked(drifted=4).stop_if_broken()
