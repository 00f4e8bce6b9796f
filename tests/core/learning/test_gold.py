"""What people wrote is read whole or not at all: whatever does not follow is refused, with the file and the place."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from mimir_core.analysis.signs import SignTable
from mimir_core.config import Params
from mimir_core.errors import InputError
from mimir_core.learning.checks import find_alike
from mimir_core.learning.gold import GoldSystem, read_gold, read_gold_system
from mimir_core.reasoning.verify import verify
from mimir_core.records import EvidenceKind, Example, Verdict
from mimir_core.safety.policy import SafetyRules

GOLD = Path(__file__).parents[3] / "data" / "gold"


@pytest.fixture(scope="module")
def files() -> dict[Path, GoldSystem]:
    return {file: read_gold_system(file) for file in sorted(GOLD.glob("*.yaml"))}


@pytest.fixture(scope="module")
def systems(files: dict[Path, GoldSystem]) -> list[GoldSystem]:
    return list(files.values())


@pytest.fixture(scope="module")
def gold(files: dict[Path, GoldSystem], table: SignTable, rules: SafetyRules) -> list[Example]:
    with pytest.MonkeyPatch.context() as patch:  # to read each file once
        patch.setattr("mimir_core.learning.gold.read_gold_system", files.__getitem__)
        return read_gold(GOLD, table, rules)


def an_incident() -> dict[str, Any]:
    """One incident that is as it should be."""
    return {
        "id": "qd-1",
        "title": "ledger answers slowly",
        "service": "ledger",
        "severity": "critical",
        "at": "2026-03-01T02:00:00Z",
        "alert": "LedgerSlow",
        "facts": {
            "slow": {"kind": "metric", "component": "ledger", "subject": "latency_p95_ms", "before": 80, "after": 2400},
            "full": {"kind": "log", "component": "vault-db", "line": "could not extend file: No space left", "after": 71},
            "disk": {"kind": "metric", "component": "vault-db", "subject": "disk_used_percent", "before": 91, "after": 100},
            "cpu": {"kind": "metric", "component": "ledger", "subject": "cpu_cores", "before": 1.2, "after": 1.2},
            "rate": {"kind": "metric", "component": "ledger", "subject": "requests_per_s", "before": 40, "after": 41},
            "page": {"kind": "runbook", "subject": "Disk is full", "line": "Look for old segments before growing the volume."},
        },
        "verdict": "cause_found",
        "symptoms": ["slow"],
        "hypotheses": [
            {
                "component": "vault-db",
                "fault_kind": "disk",
                "holds": True,
                "because": "The volume reached 100 percent and 71 writes were refused.",
                "supporting": ["disk", "full"],
            },
            {
                "component": "ledger",
                "fault_kind": "cpu",
                "holds": False,
                "because": "It computes no more than it did, 1.2 cores all along.",
                "contradicting": ["cpu"],
            },
        ],
        "checks": [{"command": "df -h /var/lib", "shows": "which directory grew"}],
        "actions": ["clean_disk"],
    }


def write(folder: Path, *incidents: dict[str, Any], **more: Any) -> Path:
    file = folder / "quillbank.yaml"
    written = {"system": "quillbank", "about": "a bank", "incidents": list(incidents), **more}
    file.write_text(yaml.safe_dump(written, sort_keys=False), encoding="utf-8")
    return file


def test_enough_incidents_ship_and_each_has_an_id_of_its_own(gold: list[Example]) -> None:
    assert len(gold) >= 150
    assert len({example.id for example in gold}) == len({example.provenance for example in gold}) == len(gold)


def test_the_three_verdicts_and_two_causes_at_once_are_among_what_ships(gold: list[Example]) -> None:
    assert {example.diagnosis.verdict for example in gold} == set(Verdict)
    assert any(len(example.diagnosis.causes) > 1 for example in gold)


def test_each_incident_refutes_something_with_a_fact(gold: list[Example]) -> None:
    for example in gold:
        causes = {(cause.component, cause.fault_kind) for cause in example.diagnosis.causes}
        refuted = [h for h in example.diagnosis.hypotheses if h.contradicting and (h.component, h.fault_kind) not in causes]
        assert refuted, example.provenance


def test_no_two_incidents_say_the_same(systems: list[GoldSystem], params: Params) -> None:
    texts = {f"{system.system} {incident.id}": incident.words for system in systems for incident in system.incidents}
    assert find_alike(texts, params.dataset.max_alike) == []


def test_every_diagnosis_that_ships_passes_the_checker_as_it_is(gold: list[Example]) -> None:
    for example in gold:
        verified = verify(example.diagnosis, example.pack)
        assert not verified.rejected, example.provenance
        assert verified.diagnosis == example.diagnosis


def test_every_diagnosis_that_ships_is_finished(gold: list[Example]) -> None:
    for example in gold:
        diagnosis = example.diagnosis
        assert "-" not in (diagnosis.headline, diagnosis.reason), example.provenance
        assert diagnosis.citations
        assert diagnosis.incident_id == example.pack.incident.id


def test_a_file_name_and_a_system_are_the_same_word(systems: list[GoldSystem]) -> None:
    assert [system.system for system in systems] == [file.stem for file in sorted(GOLD.glob("*.yaml"))]


def test_an_incident_that_is_as_it_should_be_becomes_an_example(tmp_path: Path, table: SignTable, rules: SafetyRules) -> None:
    write(tmp_path, an_incident())
    (example,) = read_gold(tmp_path, table, rules)
    assert (example.source, example.system, example.provenance) == ("gold", "quillbank", "quillbank.yaml, qd-1")
    assert [(cause.component, cause.fault_kind.value) for cause in example.diagnosis.causes] == [("vault-db", "disk")]
    assert example.pack.evidence[0].kind is EvidenceKind.ALERT


def test_a_runbook_is_never_what_a_cause_rests_on(tmp_path: Path, table: SignTable, rules: SafetyRules) -> None:
    write(tmp_path, an_incident())
    (example,) = read_gold(tmp_path, table, rules)
    kinds = {example.pack.find(item).kind for cause in example.diagnosis.causes for item in cause.evidence_ids}
    assert kinds == {EvidenceKind.METRIC, EvidenceKind.LOG}


def test_the_same_files_give_the_same_examples(tmp_path: Path, table: SignTable, rules: SafetyRules) -> None:
    write(tmp_path, an_incident())
    assert read_gold(tmp_path, table, rules) == read_gold(tmp_path, table, rules)


def _weighs(number: int, **changes: Any) -> dict[str, Any]:
    incident = an_incident()
    incident["hypotheses"][number] |= changes
    return incident


def _with_fact(key: str, **changes: Any) -> dict[str, Any]:
    incident = an_incident()
    incident["facts"][key] |= changes
    return incident


OPEN = {"verdict": "undetermined"}
BAD = {
    "unknown key": (an_incident() | {"colour": "red"}, "incidents.0.colour"),
    "unknown key of a fact": (_with_fact("slow", unti="ms"), "incidents.0.facts.slow.unti"),
    "cited fact is missing": (an_incident() | {"symptoms": ["nowhere"]}, "incidents.0: .*cites nowhere"),
    "number that no fact has": (_weighs(0, because="The volume is full and refused 72 writes."), "qd-1: vault-db disk: says 72"),
    "number of a fact that is not cited": (_weighs(1, because="At 1.2 cores it takes 2400 ms."), "qd-1: .*says 2400"),
    "cause found, and nothing holds": (_weighs(0, holds=False), "incidents.0: .*cause_found, and 0 hypotheses hold"),
    "undetermined, and something holds": (an_incident() | OPEN | {"missing": ["a log"]}, "incidents.0: .*1 hypotheses hold"),
    "undetermined, and nothing is missing": (_weighs(0, holds=False) | OPEN, "incidents.0: .*nothing is missing"),
    "healthy, with an action": (_weighs(0, holds=False) | {"verdict": "healthy"}, "incidents.0: .*needs no action"),
    "cause without an action": (an_incident() | {"actions": []}, "incidents.0: .*needs one"),
    "holds without support": (_weighs(0, supporting=[]), "incidents.0: .*without a supporting fact"),
    "nothing is refuted": (_weighs(1, contradicting=[], supporting=["cpu"]), "incidents.0: .*refutes no hypothesis"),
    "verdict that there is not": (an_incident() | {"verdict": "perhaps"}, "incidents.0.verdict"),
    "time without a zone": (an_incident() | {"at": "2026-03-01T02:00:00"}, "incidents.0.at"),
    "symptom is a runbook": (an_incident() | {"symptoms": ["page"]}, "qd-1: claims do not follow"),
    "cause that nothing cited is about": (_weighs(0, component="mailer"), "qd-1"),
    "action that is not on the list": (an_incident() | {"actions": ["delete_all"]}, "qd-1.*delete_all"),
}


@pytest.mark.parametrize(("incident", "place"), BAD.values(), ids=list(BAD))
def test_what_is_not_as_it_should_be_is_refused_with_file_and_place(
    incident: dict[str, Any], place: str, tmp_path: Path, table: SignTable, rules: SafetyRules
) -> None:
    file = write(tmp_path, incident)
    with pytest.raises(InputError, match=place) as raised:
        read_gold(tmp_path, table, rules)
    assert str(file) in str(raised.value)


def test_an_id_that_two_incidents_share_is_refused(tmp_path: Path, table: SignTable, rules: SafetyRules) -> None:
    file = write(tmp_path, an_incident(), an_incident() | {"title": "ledger answers slowly once more"})
    with pytest.raises(InputError, match="qd-1") as raised:
        read_gold(tmp_path, table, rules)
    assert str(file) in str(raised.value)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("system: a\nabout: b\nincidents: [", "line 3"),
        ("system: a\nsystem: b\n", "'system' is there twice.*line 1"),
        ("system: a\nincidents:\n- facts:\n    slow: {}\n    slow: {}\n", "'slow' is there twice.*line 4"),
        ("system: a\nabout: b\nincidents: []\n", "incidents"),
        ("system: a\nabout: b\nincidents:\n- {? [x, y] : 1}\n", "unhashable key.*line 4"),
        ("- one\n- two\n", "dictionary"),
        ("", "dictionary"),
    ],
    ids=["cut short", "key twice", "fact twice", "no incident", "a list as a key", "a list", "nothing"],
)
def test_a_file_that_is_no_system_is_refused_by_name(
    text: str, place: str, tmp_path: Path, table: SignTable, rules: SafetyRules
) -> None:
    file = tmp_path / "quillbank.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=f"(?s){place}") as raised:
        read_gold(tmp_path, table, rules)
    assert str(file) in str(raised.value)


def test_bytes_that_are_no_text_are_refused_by_name(tmp_path: Path, table: SignTable, rules: SafetyRules) -> None:
    (tmp_path / "quillbank.yaml").write_bytes(b"system: \xff\xfe")
    with pytest.raises(InputError, match=r"quillbank\.yaml"):
        read_gold(tmp_path, table, rules)


def test_yaml_that_would_run_code_runs_none(tmp_path: Path, table: SignTable, rules: SafetyRules) -> None:
    trace = tmp_path / "trace"
    (tmp_path / "quillbank.yaml").write_text(f"system: !!python/object/apply:pathlib.Path.touch ['{trace}']\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"quillbank\.yaml"):
        read_gold(tmp_path, table, rules)
    assert not trace.exists()
