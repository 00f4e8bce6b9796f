"""The first screen says what was seen: the alert's own words, states, what brought a system back, and who drives a fault."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mimir_core.analysis.pack import EvidenceEngine
from mimir_core.analysis.signs import read_signs
from mimir_core.config import read_params
from mimir_core.reasoning.diagnose import diagnose
from mimir_core.records import Alert, Diagnosis, Incident, Verdict
from mimir_core.safety.policy import read_safety_rules
from mimir_core.telemetry.signals import QueryLoad, Signals, Statement, StatementSource

PARAMS = read_params(Path(__file__).parents[2] / "params.yaml")
TABLE = read_signs()
FINE = Statement("kubernetes", "web", "web-0  1/1  Running  0  3d", "pods.txt", state="fine")
FULL = "write failed: no space left on device"
WRITES = QueryLoad("db", "INSERT INTO audit SELECT * FROM trail", 8.0, {"IO:DataFileWrite": 8.0}, "load.json")
READS = QueryLoad("db", "SELECT 1", 2.0, {"IO:DataFileRead": 2.0}, "load.json")


def _diagnose(
    service: str,
    *statements: Statement,
    alerts: tuple[Alert, ...] = (),
    loads: tuple[QueryLoad, ...] = (),
    metrics: pd.DataFrame | None = None,
) -> Diagnosis:
    incident = Incident(id="i", title=service, service=service, alerts=alerts)
    signals = Signals(incident, statements=list(statements), query_loads=list(loads))
    if metrics is not None:
        signals = replace(signals, metrics=metrics, metrics_origin="metrics.csv")
    pack = EvidenceEngine(lambda _query, _top_k: [], TABLE, PARAMS).build_pack(signals)
    return diagnose(pack, TABLE, read_safety_rules(), PARAMS.diagnose).diagnosis


def _said(component: str, text: str, source: StatementSource = "log") -> Statement:
    return Statement(source, component, text, "case.txt")


def _texts(diagnosis: Diagnosis) -> str:
    return "\n".join(claim.text for claim in diagnosis.symptoms)


def test_an_alert_is_told_in_its_own_words() -> None:
    words = "Cart answers 12% of its requests with an error"
    alert = Alert(name="ErrorsHigh", starts_at=datetime(2026, 3, 1, tzinfo=UTC), annotations={"summary": f"{words}."})
    assert _texts(_diagnose("cart", _said("cart", FULL), alerts=(alert,))).startswith(f"cart: alert ErrorsHigh: {words}")


def test_where_nothing_moved_the_states_are_the_symptoms_and_the_likely_cause_is_none_of_them() -> None:
    rows = ("web-0  0/1  CrashLoopBackOff  7  9m", "container app Last State: Terminated, Reason: OOMKilled")
    diagnosis = _diagnose("web", *(_said("web", row, "kubernetes") for row in rows))
    assert _texts(diagnosis) == f"web: {TABLE.signs['CrashLoopBackOff'].means}"


def test_of_what_is_fine_and_yet_undetermined_it_is_said_that_it_is_fine() -> None:
    diagnosis = _diagnose("web", FINE)
    assert diagnosis.verdict is Verdict.UNDETERMINED
    assert _texts(diagnosis) == "web reports itself fine"


def test_a_healthy_answer_says_which_limit_will_be_met() -> None:
    rows = np.arange(480)
    table = {
        ("web", "latency_p95_ms"): 50 + np.random.default_rng(1).normal(0, 1, len(rows)),
        ("db", "disk_used_percent"): 88 + rows * 0.01 + np.random.default_rng(2).normal(0, 0.3, len(rows)),
    }
    index = pd.date_range("2026-03-01", periods=len(rows), freq="30s", tz="UTC")
    diagnosis = _diagnose("web", FINE, metrics=pd.DataFrame(table, index))
    assert diagnosis.verdict is Verdict.HEALTHY
    assert diagnosis.symptoms[-1].text.startswith("db disk_used_percent moves +1.19 an hour and meets 100 in 6")


@pytest.mark.parametrize(
    ("helper", "line", "words"),
    [
        ("autoscaler", "Scale-up: setting group pool-a size to 4 for pod shop/web-0", "nodes were added"),
        ("web", "Finished applying modification to allocated storage", "its storage was enlarged"),
        ("web", "Rollback was a success! Happy Helming!", "a rollout was undone"),
    ],
)
def test_what_brought_it_back_is_told_and_suspected_of_nothing(helper: str, line: str, words: str) -> None:
    past = _said("web", "Warning FailedScheduling: 0/3 nodes are available: 3 Insufficient memory.", "kubernetes")
    diagnosis = _diagnose("web", FINE, past, _said("web", "listening on 8080"), _said(helper, line))
    assert diagnosis.verdict is Verdict.HEALTHY
    assert f"{helper}: {words}" in diagnosis.reason
    assert "Over now: web: no node can take the pod" in diagnosis.reason
    assert {hypothesis.component for hypothesis in diagnosis.hypotheses} == {"web"}


def test_what_brought_another_component_back_is_no_news() -> None:
    other = _said("autoscaler", "Scale-up: setting group pool-a size to 4 for pod shop/cart-0")
    assert "nodes were added" not in _texts(_diagnose("web", FINE, _said("web", "listening on 8080"), other))


def test_a_full_disk_is_told_with_who_writes_and_cites_it() -> None:
    diagnosis = _diagnose("db", _said("db", FULL), loads=(WRITES, READS))
    assert (
        "a disk is full: no space left on device; meanwhile 80% of the database load is: INSERT INTO audit" in diagnosis.headline
    )
    assert "HeavyWrites" in {claim.subject for claim in diagnosis.hypotheses[0].supporting}


def test_a_full_disk_is_not_told_with_who_reads() -> None:
    loads = (READS, READS)
    assert "meanwhile" not in _diagnose("db", _said("db", FULL), loads=loads).headline


def test_a_scheduler_that_writes_to_a_log_is_understood() -> None:
    line = (
        'Unable to schedule pod; no fit; waiting pod="ml/train-0" err="0/4 nodes are available: 4 Insufficient example.com/fpga."'
    )
    assert "Insufficient example.com/fpga" in _diagnose("train", _said("train", line)).headline
