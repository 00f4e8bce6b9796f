"""What was read is what was there; bad input says file, line and value."""

import json
from pathlib import Path

import pytest

from mimir_core.errors import InputError
from mimir_core.records import Outcome, Severity
from mimir_core.telemetry.alerts import parse_incident
from mimir_core.telemetry.files import read_case, read_pasted
from mimir_core.telemetry.json_series import parse_json_series
from mimir_core.telemetry.json_text import parse_json_text
from mimir_core.telemetry.kubectl_text import parse_kubectl_text
from mimir_core.telemetry.log_text import parse_log_text

DESCRIBE = """\
Name:             web-7d9f8b6c54-x2k4p
Namespace:        shop
Controlled By:    ReplicaSet/web-7d9f8b6c54
Containers:
  app:
    State:          Waiting
      Reason:       CrashLoopBackOff
    Last State:     Terminated
      Reason:       OOMKilled
      Exit Code:    137
    Ready:          False
    Restart Count:  4
Conditions:
  Type              Status
  Ready             False
Events:
  Type     Reason     Age                From               Message
  ----     ------     ----               ----               -------
  Normal   Scheduled  12m                default-scheduler  Successfully assigned shop/web to wk-2
  Warning  BackOff    30s (x21 over 9m)  kubelet            Back-off restarting failed container app in pod web
"""


def test_describe_names_the_workload_the_state_and_the_count_of_events() -> None:
    said = list(parse_kubectl_text(DESCRIBE, "describe.txt"))
    assert {(s.component, s.namespace) for s in said} == {("web", "shop")}
    texts = [s.text for s in said]
    assert "container app State: Waiting, Reason: CrashLoopBackOff" in texts
    assert "container app Last State: Terminated, Reason: OOMKilled" in texts
    assert next(s.count for s in said if "Back-off" in s.text) == 21
    assert {s.state for s in said if "Ready False" in s.text} == {"bad"}


def test_tables_tell_fine_rows_from_others() -> None:
    table = "NAMESPACE  NAME                   READY  STATUS            RESTARTS\n"
    table += "shop       db-0                   1/1    Running           0\n"
    table += "shop       web-7d9f8b6c54-x2k4p   0/1    ImagePullBackOff  0\n"
    assert [(s.component, s.state) for s in parse_kubectl_text(table, "get.txt")] == [("db", "fine"), ("web", "bad")]


def test_a_pod_that_restarted_minutes_ago_is_not_fine() -> None:
    rows = "NAME    READY   STATUS    RESTARTS       AGE\n"
    rows += "web-0   1/1     Running   4 (7m12s ago)  3d\ndb-0    1/1     Running   1 (5d9h ago)   9d\n"
    assert [(s.component, s.state) for s in parse_kubectl_text(rows, "get.txt")] == [("web", "bad"), ("db", "fine")]


def test_events_tell_of_no_state() -> None:
    said = {s.text: s.state for s in parse_kubectl_text(DESCRIBE, "describe.txt")}
    assert said["container app State: Waiting, Reason: CrashLoopBackOff"] == "bad"
    assert said["Warning BackOff: Back-off restarting failed container app in pod web"] == "untold"


def test_a_node_keeps_its_name() -> None:
    table = "LAST SEEN   TYPE      REASON      OBJECT       MESSAGE\n"
    table += "5m          Warning   SystemOOM   node/wk-03   System OOM encountered\n"
    assert [s.component for s in parse_kubectl_text(table, "events.txt")] == ["wk-03"]


def test_a_stack_trace_stays_with_its_line() -> None:
    text = "2026-01-01T00:00:00Z ERROR boom\njava.lang.X\n\tat a.B(C.java:1)\nCaused by: y\n2026-01-01T00:00:01Z INFO fine"
    said = list(parse_log_text(text, "web", "app.log"))
    assert [s.text.count("\n") for s in said] == [0, 2, 0]
    assert [s.level for s in said] == ["error", "", "info"]


def test_json_objects_speak_for_the_component_that_they_name() -> None:
    content = {
        "items": [{"involvedObject": {"kind": "Pod", "name": "web-0"}, "reason": "FailedMount", "message": "no", "count": 3}]
    }
    [said] = parse_json_text(content, "unknown", "x.json")
    assert (said.component, said.text, said.count) == ("web", "reason: FailedMount, message: no", 3)


def test_times_beside_values_are_a_series() -> None:
    stamps = ["2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"]
    content = {
        "results": [{"metric_name": "CPU", "dimensions": [{"Name": "Id", "Value": "db"}], "timestamps": stamps, "values": [1, 2]}]
    }
    frame = parse_json_series(content, "unknown")
    assert frame["db", "CPU"].tolist() == [1.0, 2.0]


def test_an_alertmanager_webhook_names_the_pod_not_the_exporter() -> None:
    labels = {"alertname": "X", "pod": "web-7d9f8b6c54-x2k4p", "service": "kube-state-metrics", "severity": "critical"}
    payload = {
        "version": "4",
        "alerts": [{"status": "firing", "labels": labels, "startsAt": "2026-01-01T00:00:00Z"}],
        "new_field": 1,
    }
    incident = parse_incident(payload, "alert.json")
    assert (incident.service, incident.severity, incident.alerts[0].name) == ("web", Severity.CRITICAL, "X")


@pytest.mark.parametrize(
    ("payload", "complaint"),
    [
        ({}, "no alerts, no title"),
        ({"alerts": 3}, "alerts: expected a list"),
        ({"alerts": ["x"]}, r"alerts\[0\]: expected an object, got 'x'"),
        ({"alerts": [{"startsAt": "yesterday-ish"}]}, r"alerts\[0\]: startsAt: 'yesterday-ish' is no time"),
    ],
)
def test_a_bad_alert_is_named(payload: dict[str, object], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        parse_incident(payload, "alert.json")


def _case(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({"alert__json": '{"alerts": [\n'}, "alert.json: line 2: is not JSON"),
        ({"alert__json": "[]"}, "alert.json: expected an object"),
        ({"metrics__csv": "when,web:cpu\n1,2\n"}, "metrics.csv: line 1: no column `time`"),
        ({"metrics__csv": "time,web:cpu\n2026-01-01,2\nnoon,3\n"}, "metrics.csv: line 3: column `time` holds no time"),
        ({}, "nothing to diagnose"),
    ],
)
def test_a_bad_case_names_file_and_line(tmp_path: Path, files: dict[str, str], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        read_case(_case(tmp_path, **files))


def test_a_binary_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.log").write_bytes(b"\x00\x01\x02")
    with pytest.raises(InputError, match="binary"):
        read_case(tmp_path / "x.log")


def test_what_is_dropped_is_counted(tmp_path: Path) -> None:
    _case(tmp_path, logs__jsonl='{"message": "kept"}\nnot json\n{"no": "message"}\n', picture__png="x")
    (tmp_path / "app.log").write_bytes(b"caf\xe9 is closed\n")
    signals = read_case(tmp_path)
    assert signals.dropped == {
        "logs.jsonl: log line without a message": 2,
        "file of unknown kind: .png": 1,
        "app.log: bytes that are not UTF-8": 1,
    }
    assert {s.text for s in signals.statements} == {"kept", "caf\N{REPLACEMENT CHARACTER} is closed"}


def test_cells_and_rows_that_cannot_count_are_counted(tmp_path: Path) -> None:
    _case(
        tmp_path,
        metrics__csv="time,web:cpu,web:mem\n2026-01-01T00:00:00Z,1,n/a?\n2026-01-01T00:00:00Z,2,3\n2026-01-01T00:01:00Z,,4\n",
    )
    signals = read_case(tmp_path)
    assert +signals.dropped == {
        "metrics.csv: cells that are no number": 1,
        "metrics.csv: rows with a time that was there before": 1,
    }
    assert signals.metrics["web", "cpu"].isna().tolist() == [False, True]


def test_an_evidence_file_keeps_apart_data_no_data_and_errors(tmp_path: Path) -> None:
    evidence = [
        {"tool": "describe", "params": {"name": "web-0"}, "status": "success", "text": DESCRIBE},
        {"tool": "logs", "command": "kubectl logs web-0", "status": "error", "error": "gone", "text": ""},
        {"tool": "metrics", "status": "no_data"},
    ]
    file = tmp_path / "case.json"
    file.write_text(json.dumps({"question": "why?", "evidence": evidence, "reference_answer": "never read"}))
    signals = read_case(file)
    assert list(signals.sources.values()) == [Outcome.DATA, Outcome.ERROR, Outcome.NO_DATA]
    assert signals.incident.question == "why?"


def test_pasted_commands_are_read_each_by_its_kind() -> None:
    paste = f"$ kubectl describe pod web-7d9f8b6c54-x2k4p -n shop\n{DESCRIBE}\n"
    paste += "$ kubectl logs -n shop orders-db-0 --tail=2\nName: lookup\nFATAL: full\n"
    said = read_pasted(paste).statements
    assert {(s.component, s.source) for s in said} == {("web", "kubernetes"), ("orders-db", "log")}
    assert [s.text for s in said if s.source == "log"] == ["Name: lookup", "FATAL: full"]
    assert {s.query for s in said if s.source == "log"} == {"kubectl logs -n shop orders-db-0 --tail=2"}


def test_rows_without_a_state_are_not_fine() -> None:
    rows = "NAME   ENDPOINTS        AGE\nweb    <none>           3d\napi    10.0.0.1:80      3d\n"
    assert [(s.component, s.state) for s in parse_kubectl_text(rows, "x")] == [("web", "bad"), ("api", "fine")]
    rows = "NAME      DATA   AGE\nsettings  3      3d\n"
    assert [s.state for s in parse_kubectl_text(rows, "x")] == ["untold"]


def test_a_secret_behind_the_escapes_of_json_is_masked(tmp_path: Path) -> None:
    manifest = "apiVersion: v1\nkind: Secret\ndata:\n  blob: " + "aHVudGVyMmh1bnRlcg==" + "\n"
    file = tmp_path / "case.json"
    file.write_text(json.dumps({"question": "why?", "evidence": [{"tool": "get", "status": "success", "text": manifest}]}))
    assert not [s for s in read_case(file).statements if "aHVudGVy" in s.text]
    address = "https:\\/\\/app:" + "pw-of-mine" + "@db/x"
    (tmp_path / "alert.json").write_text('{"title": "down", "description": "' + address + '"}')
    assert "pw-of-mine" not in read_case(tmp_path / "alert.json").incident.model_dump_json()


def test_half_a_character_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "logs.jsonl").write_text('{"message": "broken \\ud800 text"}\n')
    assert [s.text for s in read_case(tmp_path).statements] == ["broken ? text"]


def test_a_plain_alert_alone_is_an_incident(tmp_path: Path) -> None:
    _case(tmp_path, alert__json='{"title": "web is down", "severity": "critical", "service": "web"}')
    incident = read_case(tmp_path).incident
    assert (incident.title, incident.severity, len(incident.alerts)) == ("web is down", Severity.CRITICAL, 1)


def test_the_truth_is_not_opened_in_a_sub_folder_either(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "expected.yaml").write_text("story: no space left on device")
    (tmp_path / "app.log").write_text("hello\n")
    assert [s.text for s in read_case(tmp_path).statements] == ["hello"]


def test_pasted_nothing_is_an_error() -> None:
    with pytest.raises(InputError, match="nothing to diagnose"):
        read_pasted("  \n")


# --- what people really paste ---------------------------------------------------------------------------------------


def _states(text: str) -> list[tuple[str, str]]:
    return [(said.component, said.state) for said in read_pasted(text).statements]


def test_rows_that_grep_cut_from_their_header_are_read() -> None:
    rows = "shop   web-7d9f8b6c54-x2k4p   0/1   Running   27 (43s ago)   39d   10.0.0.1   wk-1\nshop   db   1/1   1   1   18d\n"
    assert _states(rows) == [("web", "bad"), ("db", "fine")]


def test_a_lineage_tree_is_a_table() -> None:
    tree = "NAME                          READY   STATUS    AGE\nJob/import                    -                 3h\n"
    tree += "├── Pod/import-2s4j2          0/1     Error     3h\n"
    assert ("import", "bad") in _states(tree)


def test_plain_and_json_lines_may_be_mixed() -> None:
    text = 'server started\n{"level":50,"time":1767225600000,"msg":"boom","err":{"message":"no such host"}}\n** done\n'
    said = read_pasted(text).statements
    assert [(s.text, s.level) for s in said] == [("server started", ""), ("boom: no such host", "error"), ("** done", "")]


@pytest.mark.parametrize(
    ("printed", "outcome"),
    [
        ('Error from server (Forbidden): nodes "a" is forbidden: User "x" cannot get resource', Outcome.DENIED),
        ('Error from server (NotFound): pods "a" not found', Outcome.ERROR),
        ("Unable to connect to the server: net/http: TLS handshake timeout", Outcome.ERROR),
        ("error: Metrics API not available", Outcome.ERROR),
    ],
)
def test_a_refusal_tells_of_the_asker_not_of_the_system(printed: str, outcome: Outcome) -> None:
    signals = read_pasted(f"$ kubectl get x\n{printed}\n$ kubectl get pods\nNAME   READY   STATUS\nweb-0   1/1   Running\n")
    assert signals.sources["kubectl get x"] is outcome
    assert [said.component for said in signals.statements] == ["web"]


def test_what_a_tool_prints_to_stderr_is_not_about_the_system(tmp_path: Path) -> None:
    text = "Command `argocd app get x` failed with return code 1\nstdout:\nName: x\nNamespace: a\n\nstderr:\nconnection refused\n"
    case = tmp_path / "c.json"
    case.write_text(json.dumps({"question": "what is wrong?", "evidence": [{"tool": "t", "text": text}]}))
    assert not [said for said in read_case(case).statements if "refused" in said.text]


def test_the_component_that_the_question_names_is_the_affected_one(tmp_path: Path) -> None:
    rows = "NAME                   READY   STATUS\nweb-7d9f8b6c54-x2k4p   1/1     Running\nweb-cache-0   1/1   Running\n"
    case = tmp_path / "c.json"
    case.write_text(json.dumps({"question": "is web-cache-0 slow, or web?", "evidence": [{"tool": "t", "text": rows}]}))
    assert read_case(case).incident.service == "web-cache"
