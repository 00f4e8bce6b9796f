"""What the consoles of databases, queues and tracing print is understood."""

import json

import pytest

from mimir_core.analysis.database import describe_load
from mimir_core.analysis.lines import LogSpan
from mimir_core.analysis.signs import find_signs, read_signs
from mimir_core.telemetry.files import read_pasted
from mimir_core.telemetry.json_series import parse_json_series

KAFKA = """\
GROUP   TOPIC   PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG    CONSUMER-ID  HOST  CLIENT-ID
bill    orders  0          10              9010            9000   -            -     -
bill    orders  1          10              10              0      c-1          /a    c
"""
RABBIT = "Listing queues for vhost / ...\nname\tmessages_ready\tconsumers\nlabels\t52832\t0\nevents\t3\t2\n"
PSQL = """\
  pid  | state  | wait_event_type | blocked_by
-------+--------+-----------------+------------
 50613 | active | Lock            | {48121}
(1 row)
"""
REDIS = (
    "# Memory\nused_memory:1000\nmaxmemory:1000\nmaxmemory_policy:noeviction\nevicted_keys:0\nrole:master\nblocked_clients:0\n"
)
LAGGING = "role:slave\nmaster_host:10.0.0.1\nmaster_link_status:down\nslave_read_only:1\nconnected_slaves:0\nloading:0\n"
TRACE = """\
├─ POST /checkout (web) - 1000.0ms (span_id=a)
  ├─ reserve (stock) - 900.0ms (span_id=b)
    ├─ pg.query (stock) - 850.0ms (span_id=c)
    │    db.statement: SELECT * FROM parts
  ├─ charge (pay) - 50.0ms (span_id=d)
"""


def signs_in(text: str) -> dict[str, str]:
    signals, table = read_pasted(text), read_signs()
    statements = [*signals.statements, *describe_load(signals.query_loads)]
    return {e.subject: table.signs[e.subject].meaning(e.excerpt) for e in find_signs(statements, LogSpan(None, None), table)}


@pytest.mark.parametrize(
    ("text", "sign", "fact"),
    [
        (KAFKA, "QueueUnread", "consumer group bill lags 9000 messages behind on topic orders"),
        (RABBIT, "QueueUnread", "queue labels holds 52832 messages and has 0 consumers"),
        (PSQL, "LockWaits", ""),
        (REDIS, "CacheFull", "used_memory 1000 of maxmemory 1000"),
        (LAGGING, "ReplicaBehind", ""),
        (TRACE, "SlowQueryInTrace", "spends 850 of 1000 ms of POST /checkout in the database query SELECT * FROM parts"),
        ('{"cluster_name": "logs", "status": "red", "unassigned_shards": 4}', "ClusterNotGreen", "status: red"),
        ('{"data": {"network_partitions_detected": true}}', "BrokerPartition", ""),
    ],
)
def test_consoles_bear_signs(text: str, sign: str, fact: str) -> None:
    found = signs_in(text)
    assert sign in found
    assert fact in found[sign]


def test_a_queue_that_is_read_bears_none() -> None:
    assert not signs_in("name\tmessages_ready\tconsumers\nevents\t3\t2\n")


def test_the_statement_that_dominates_a_database_is_named_with_its_waits() -> None:
    waits = [{"name": "Lock:tuple", "db_load_avg": 5.0}, {"name": "CPU", "db_load_avg": 1.0}]
    top = [
        {"statement": "UPDATE t SET a = 1", "db_load_avg": 6.0, "wait_events": waits},
        {"statement": "SELECT 1", "db_load_avg": 1},
    ]
    found = signs_in(json.dumps({"db_instance_identifier": "db-1", "top_sql": top}))
    assert found["HeavyWrites"].endswith("86% of the database load is: UPDATE t SET a = 1; it waits for Lock:tuple, CPU")
    assert "LockWaits" in found


def _load(statement: str, **waits: float) -> dict[str, object]:
    events = [{"name": name, "db_load_avg": time} for name, time in waits.items()]
    return {"statement": statement, "db_load_avg": sum(waits.values()), "wait_events": events}


@pytest.mark.parametrize(
    ("reader", "words", "sign"),
    [
        (_load("SELECT 1", CPU=0.5), "it takes 67% of the CPU time", "HeavyWrites"),
        (_load("SELECT 1", CPU=3.0), "75% of the CPU time of all queries is taken by: SELECT 1", "CpuTaken"),
        (_load("SELECT 1", CPU=1.0), "", "CpuTaken"),
        ({"statement": "SELECT 1", "db_load_avg": 1.0}, "", "CpuTaken"),
    ],
    ids=["the heaviest", "another", "as much as the heaviest", "not told"],
)
def test_who_takes_the_cpu_is_told_apart_from_who_dominates(reader: dict[str, object], words: str, sign: str) -> None:
    top = [_load("UPDATE t SET a = 1", CPU=1.0, Lock=9.0), reader]
    found = signs_in(json.dumps({"db_instance_identifier": "db-1", "top_sql": top}))
    assert words in found[sign] if words else sign not in found


def test_statements_that_share_the_load_are_no_news() -> None:
    top = [{"statement": f"SELECT {n}", "db_load_avg": 1.0} for n in range(4)]
    assert not signs_in(json.dumps({"name": "db", "top_sql": top}))


def test_series_are_read_in_every_spelling() -> None:
    stamps = ["2026-01-01T00:00:00Z", "2026-01-01T00:05:00Z"]
    points = [{"Timestamp": stamp, "Average": value} for stamp, value in zip(stamps, (5, 7), strict=True)]
    content = [
        {"Label": "BurstBalance", "Datapoints": points[::-1]},
        {"MetricDataResults": [{"Label": "CPU", "Timestamps": stamps, "Values": [1, 2]}]},
        {"data": {"result": [{"metric": {"__name__": "up", "pod": "web-0"}, "values": [[1767225600, "1"], [1767225900, "0"]]}]}},
    ]
    frame = parse_json_series(content, "vol")
    assert {column: frame[column].tolist() for column in frame.columns} == {
        ("vol", "BurstBalance"): [5.0, 7.0],
        ("vol", "CPU"): [1.0, 2.0],
        ("web", "up"): [1.0, 0.0],
    }
