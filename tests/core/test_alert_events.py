"""Whom the alert events of an incident point to."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from mimir_core.analysis.alert_events import RankedInstances, count_events, guess_fault_kind, rank_instances, weigh_events
from mimir_core.analysis.signs import read_signs
from mimir_core.config import EventSettings
from mimir_core.errors import EmptyStageError, InputError
from mimir_core.records import FaultKind
from mimir_core.telemetry.event_files import AlertEvent, EventIncident, SignalKind, parse_incidents, read_lines

SETTINGS = EventSettings(pseudo_count=0.5, norm=2.0, log_weight=2.0)


def incident(*events: AlertEvent, instances: tuple[str, ...] = ("web", "db", "queue")) -> EventIncident:
    return EventIncident("case", instances, (), events, Counter())


def event(instance: str, name: str = "cpu", signal: SignalKind = "metrics") -> AlertEvent:
    return AlertEvent(signal, instance, name, "up")


def rank(case: EventIncident, others: list[EventIncident]) -> RankedInstances:
    return rank_instances(case, weigh_events(case, count_events(others), SETTINGS), SETTINGS)


# --- the ranking ----------------------------------------------------------------------------------------------------


def test_one_event_that_no_other_incident_showed_beats_many_that_all_show() -> None:
    usual = [event("web", name) for name in ("cpu", "memory", "latency", "errors")]
    case = incident(*usual, event("db", "disk"))
    assert rank(case, [incident(*usual)] * 10).ranking == ("db", "web", "queue")
    assert rank(case, []).ranking == ("web", "db", "queue")


def test_two_kinds_of_signal_that_agree_outweigh_two_metrics() -> None:
    case = incident(event("web", "p50"), event("web", "p90"), event("db", "p50"), event("db", "find", "traces"))
    assert rank(case, []).ranking[0] == "db"


def test_a_call_speaks_for_the_callee() -> None:
    assert rank(incident(AlertEvent("traces", "db", "find", "500", caller="web")), []).ranking[0] == "db"


def test_the_incident_itself_is_no_part_of_its_history() -> None:
    case, others = incident(event("web")), [incident(event("db"))] * 3
    history = count_events([case, *others]).without(case)
    assert weigh_events(case, history, SETTINGS) == weigh_events(case, count_events(others), SETTINGS)


def test_ties_go_to_more_events_and_then_to_the_order_of_the_file_not_to_names() -> None:
    assert rank(incident(instances=("z", "a", "m")), []).ranking == ("z", "a", "m")
    always = [event("m", "one"), event("m", "two")]
    settings = SETTINGS.model_copy(update={"pseudo_count": 1e-12})
    case = incident(*always, event("a", "one"), instances=("z", "a", "m"))
    weights = dict.fromkeys(case.events, 0.0)
    assert rank_instances(case, weights, settings).ranking == ("m", "a", "z")


def test_confidence_is_even_where_nothing_speaks_and_grows_with_the_lead() -> None:
    assert rank(incident(), []).confidence == pytest.approx(1 / 3)
    narrow = rank(incident(event("web", "a"), event("web", "b"), event("db")), [incident()] * 10)
    wide = rank(incident(event("web", "a"), event("web", "b", "logs"), event("db")), [incident()] * 10)
    assert 1 / 3 < narrow.confidence < wide.confidence <= 1


def test_the_fault_is_that_of_the_rarest_metric_and_unknown_where_no_metric_tells() -> None:
    usual = event("web", "heap_used")
    case = incident(usual, event("web", "cpu_usage"), event("db", "weather"))
    weights = weigh_events(case, count_events([incident(usual)] * 10), SETTINGS)
    assert guess_fault_kind("web", weights, read_signs()) is FaultKind.CPU
    assert guess_fault_kind("db", weights, read_signs()) is None


def test_a_metric_that_moved_the_good_way_is_no_fault() -> None:
    fell = AlertEvent("metrics", "web", "cpu_usage", "down")
    assert guess_fault_kind("web", {fell: 3.0}, read_signs()) is None


# --- the file -------------------------------------------------------------------------------------------------------

LINE: dict[str, Any] = {
    "case_id": "one",
    "nodes": ["web", "db"],
    "edges": [["web", "db"]],
    "events": {"metrics": [["web", "cpu", "up"]]},
}


def read(path: Path, *lines: object) -> list[EventIncident]:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return parse_incidents(read_lines(path), path)


def test_what_names_no_instance_or_is_said_twice_is_dropped_and_counted(tmp_path: Path) -> None:
    events = {
        "metrics": [["web", "cpu", "up"], ["web", "cpu", "up"], ["host-7", "cpu", "up"]],
        "traces": [["a-user", "web", "GET", 500], ["web", "", "GET", "slow"]],
        "logs": [["db", 74]],
    }
    (found,) = read(tmp_path / "shop.jsonl", {**LINE, "events": events, "edges": [["web", "db"], ["web", "host-7"]]})
    assert found.events == (
        AlertEvent("metrics", "web", "cpu", "up"),
        AlertEvent("traces", "web", "GET", "500", "a-user"),
        AlertEvent("logs", "db", "74"),
    )
    assert found.edges == (("web", "db"),)
    assert found.dropped == {
        "events of what is not in nodes": 2,
        "events that were there before": 1,
        "edges of what is not in nodes": 1,
    }


def test_the_truth_does_not_reach_the_method(tmp_path: Path) -> None:
    told = {**LINE, "root_cause_instance": "db", "root_cause_service": "db", "fault_type": "cpu"}
    assert read(tmp_path / "a.jsonl", told) == read(tmp_path / "b.jsonl", LINE)


def test_a_gzipped_file_is_told_by_its_content_and_a_broken_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "shop.jsonl"
    whole = gzip.compress(json.dumps(LINE).encode())
    path.write_bytes(whole)
    assert parse_incidents(read_lines(path), path)[0].case_id == "one"
    path.write_bytes(whole[:-12])
    with pytest.raises(InputError, match=r"shop\.jsonl: cannot be read"):
        read_lines(path)
    with pytest.raises(InputError, match=r"nothing\.jsonl: cannot be read"):
        read_lines(tmp_path / "nothing.jsonl")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"nodes": [', "is no JSON"),
        ("[1, 2]", "expected an object"),
        ({**LINE, "case_id": "two", "events": None}, "is no incident"),
        ({"case_id": "two", "events": {}}, "is no incident.*nodes"),
        ({**LINE, "case_id": "two", "nodes": ["web", "web"]}, "names one twice"),
        ({**LINE, "case_id": "two", "events": {"metrics": [["web", "cpu"]]}}, "expected 3 names"),
        ({**LINE, "case_id": "two", "events": {"logs": [["web", {}]]}}, "no list of names"),
        ({**LINE, "case_id": "two", "edges": [["web"]]}, "expected 2 names"),
        (LINE, "another incident is called one too"),
    ],
)
def test_a_line_that_is_no_incident_is_named(line: object, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"shop\.jsonl: line 3: .*{said}"):
        read(tmp_path / "shop.jsonl", LINE, "", line)


def test_an_empty_file_is_an_error_not_an_empty_report(tmp_path: Path) -> None:
    with pytest.raises(EmptyStageError, match="holds no incident"):
        read(tmp_path / "shop.jsonl", "")
