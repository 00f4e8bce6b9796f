# ruff: noqa: INP001  # beside a script
"""The client of `load.py`: a process that keeps connections busy with messages that nobody has seen before.

Comes in: a port, a key, and for how long. Goes out: :class:`Answers`. Surprise: it speaks HTTP by itself, in a few lines, so that
what it takes of the machine is small beside what a server takes.
"""

import asyncio
import itertools
import json
import re
import time
from collections import Counter
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import uvloop

HOST, PATH = "127.0.0.1", "/api/v1/alerts/alertmanager"
CONNECTIONS = 16
ALERTS = 5
"""A message."""
MESSAGES_PER_GROUP = 20


class Answers(NamedTuple):
    """What a client was told."""

    ms: list[float]
    """How long each answer took."""
    taken: list[int]
    """The numbers of the messages that were answered 202."""
    errors: Counter[str]
    seconds: float
    cpu_seconds: float


def ask(port: int, key: str, seconds: float, told: Connection) -> None:
    """Keep the connections busy and tell :class:`Answers`."""
    told.send(uvloop.run(_ask(port, key, seconds)))


async def _ask(port: int, key: str, seconds: float) -> Answers:
    answers = Answers([], [], Counter(), 0, 0)
    numbers, started, cpu = itertools.count(), time.perf_counter(), time.process_time()
    head = f"POST {PATH} HTTP/1.1\r\nHost: mimir\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"

    async def keep_busy() -> None:
        reader, writer = await asyncio.open_connection(HOST, port)
        while time.perf_counter() < started + seconds:
            body, at = message(number := next(numbers)), time.perf_counter()
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            try:
                status = await _read_status(reader)
            except (OSError, asyncio.IncompleteReadError) as error:
                answers.errors[type(error).__name__] += 1
                reader, writer = await asyncio.open_connection(HOST, port)
                continue
            answers.ms.append((time.perf_counter() - at) * 1000)
            if status == 202:
                answers.taken.append(number)
            else:
                answers.errors[str(status)] += 1
        writer.close()

    await asyncio.gather(*(keep_busy() for _ in range(CONNECTIONS)))
    return answers._replace(seconds=time.perf_counter() - started, cpu_seconds=time.process_time() - cpu)


async def _read_status(reader: asyncio.StreamReader) -> int:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if length := re.search(rb"content-length: (\d+)", head):
        await reader.readexactly(int(length[1]))
    return int(head.split(maxsplit=2)[1])


def _alert(position: int) -> dict[str, Any]:
    pod = f"checkout-7d9c5b6f4-x2{position}jk"
    about = {"cluster": "eu-1", "namespace": "shop", "deployment": "checkout", "container": "server", "pod": pod}
    return {
        "status": "firing",
        "labels": {"alertname": "HighLatency", "severity": "warning", "service": "checkout", "job": "kubelet", **about},
        "annotations": {
            "summary": f"The 99th percentile of {pod} is above 800 ms",
            "description": f"Requests that {pod} answers have taken longer than 800 ms for 5 minutes; the budget burns.",
            "runbook_url": "https://runbooks.example.com/checkout/high-latency",
        },
        "startsAt": "2026-03-01T12:00:00.123Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example.com/graph?g0.expr=histogram_quantile(0.99,latency)&g0.tab=1",
        "fingerprint": "%016x",
    }


_BODY = json.dumps({
    "version": "4",
    "groupKey": "group-%06d",
    "status": "firing",
    "receiver": "mimir",
    "externalURL": "http://alertmanager.example.com",
    "alerts": [_alert(position) for position in range(ALERTS)],
}).encode()  # fmt: skip


def message(number: int) -> bytes:
    """Return a body like no other.

    >>> len(message(1)) == len(message(2)), message(1) == message(2)
    (True, False)
    """
    return _BODY % (number // MESSAGES_PER_GROUP, *fingerprints(number))


def fingerprints(number: int) -> range:
    """Return what the alerts of a message are known by."""
    return range(number * ALERTS, (number + 1) * ALERTS)
