# ruff: noqa: INP001  # beside a script
"""Everything hostile that needs no socket, as rows: what is sent, and what may be answered.

Comes in: the OpenAPI document, the limits, and an incident. Goes out: an :class:`Attempt` each. Surprises: routes and fields are
read from the document, so that a new one is attacked by itself; its body has to be given an example here.
"""

import gzip
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from itertools import count
from typing import Any, NamedTuple

from hostile_fields import fields, may_be
from hostile_values import (
    ALERT,
    ALERTMANAGER,
    CONTENT_TYPES,
    CREDENTIALS,
    CURSORS,
    EXAMPLES,
    FIELDS,
    GENERIC,
    HEADERS,
    IDS,
    INCIDENTS,
    PATHS,
    TEXTS,
    TIMES,
    URLS,
    VALUES,
)

from mimir_core.config import ApiSettings
from mimir_core.store.scopes import Scope

DONE = (200, 201, 202, 409)
"""409: the incident is not in a state for it."""
BAD = (422,)
EITHER = (*DONE, *BAD)


class Attempt(NamedTuple):
    """One thing that is sent."""

    kind: str
    name: str
    method: str
    path: str
    expected: tuple[int, ...]
    content: bytes | Callable[[], AsyncIterator[bytes]] = b""
    headers: Mapping[str, str] = {}
    key: str = "admin"
    """Whose key is presented; none where there is none of this name."""
    secret: str = ""
    """Must be found nowhere."""
    app: str = "open"
    """Which server is asked: open, or one whose limits are reached, whose queue is full, or whose store is away."""


def attempts(document: Mapping[str, Any], limits: ApiSettings, incident: str) -> Iterator[Attempt]:
    """Yield every attempt.

    Args:
        document: What ``/openapi.json`` says.
        limits: The ``api`` section.
        incident: The id of an incident that is there.
    """
    routes = [
        (method.upper(), path.format(incident_id=incident), known)
        for path, methods in document["paths"].items()
        for method, known in methods.items()
    ]
    bodies = {path: _example(path, incident) for _, path, known in routes if "requestBody" in known}
    for path, body in bodies.items():
        yield from _sizes(path, body, limits)
        yield from _shapes(path, body)
    for method, path, known in routes:
        yield from _keys(method, path, body=bodies.get(path))
        yield from _wrong_types(document, path, known, incident)
        if method == "GET":
            yield from _queries(path)
    yield from _planted(bodies)
    yield from _odd_alerts(limits)
    yield from _ids(document)
    yield from _methods(document, incident)
    yield from _headers(incident)
    yield from _full(routes, bodies)


def post(kind: str, name: str, path: str, body: Any, expected: tuple[int, ...], **more: Any) -> Attempt:
    """Return the attempt to post a body, which is bytes or becomes JSON."""
    content = json.dumps(body).encode() if isinstance(body, dict | list) else body
    headers = {"Content-Type": "application/json"} | more.pop("headers", {})
    return Attempt(kind, f"{name}: {path}", "POST", path, expected, content, headers, **more)


def _example(path: str, incident: str) -> dict[str, Any]:
    body = next(body for end, body in EXAMPLES.items() if path.endswith(end))
    return body | {"incident_id": incident} if "incident_id" in body else body


def _sizes(path: str, body: Mapping[str, Any], limits: ApiSettings) -> Iterator[Attempt]:
    large = limits.max_body_bytes + 1

    async def trickle() -> AsyncIterator[bytes]:
        for _ in range(large // 65536 + 1):
            yield b" " * 65536

    yield post("too large", "with a length", path, b" " * large, (413,))
    yield post("too large", "in chunks", path, trickle, (413,))
    yield post("too large", "gzip bomb", path, gzip.compress(bytes(large)), BAD, headers={"Content-Encoding": "gzip"})
    for levels, expected in ((limits.max_depth - 1, EITHER), (limits.max_depth, BAD), (100_000, BAD)):
        deep = json.dumps(body)[:-1] + ', "deep": ' + "[" * levels + "]" * levels + "}"
        yield post("too deep", f"{levels + 1} levels", path, deep.encode(), expected)
        yield post("too deep", f"{levels} open objects", path, b'{"a":' * levels, BAD)


def _shapes(path: str, body: Mapping[str, Any]) -> Iterator[Attempt]:
    said = json.dumps(body)
    first, value = next(iter(body.items()))
    for name, content, expected in (
        ("empty", b"", BAD),
        ("half", said[:-2].encode(), BAD),
        ("null", b"null", BAD),
        ("a list", b"[]", BAD),
        ("text", b'"x"', BAD),
        ("invalid UTF-8", said.encode()[:-1] + b', "a": "\xff\xfe"}', BAD),
        ("UTF-16", said.encode("utf-16"), BAD),
        ("a byte order mark", b"\xef\xbb\xbf" + said.encode(), BAD),
        ("NUL outside of text", said.encode() + b"\0", BAD),
        ("duplicate keys", f'{{"{first}": 0, {said[1:]}'.encode(), EITHER),
        ("the last of two is wrong", f'{said[:-1]}, "{first}": [0]}}'.encode(), EITHER if path == GENERIC else BAD),
        ("10,000 keys", json.dumps(dict(body) | {str(n): n for n in range(10_000)}).encode(), EITHER),
        ("__proto__", json.dumps(dict(body) | {"__proto__": {"admin": True}, "__class__": value}).encode(), EITHER),
        *((f"a number {said}", f'{{"{first}": {said}}}'.encode(), BAD) for said in ("NaN", "Infinity", "-Infinity", "1" * 5000)),
    ):
        yield post("malformed", name, path, content, expected)
    for kind in CONTENT_TYPES:
        yield post("content type", kind or "none", path, body, (415, 422), headers={"Content-Type": kind})


def _keys(method: str, path: str, body: Mapping[str, Any] | None) -> Iterator[Attempt]:
    def ask(name: str, expected: int, key: str = "", where: str = path, **headers: str) -> Attempt:
        content = json.dumps(body).encode() if body else b""
        sent = {"Content-Type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
        return Attempt("keys", f"{name}: {method} {path}", method, where, (expected,), content, sent, key)

    if path in ("/healthz", "/readyz"):
        return
    yield ask("none", 401)
    for name in ("revoked", "forged"):
        yield ask(name, 401, name)
    for said in CREDENTIALS:
        yield ask(f"{said:.20}", 401, Authorization=said.encode("utf-8").decode("latin-1"))
    yield ask("in the query", 401, where=f"{path}?api_key={{admin}}&access_token={{admin}}")
    yield ask("in other headers", 401, X_API_Key="{admin}", Cookie="key={admin}", Proxy_Authorization="Bearer {admin}")
    sends_alerts = path.startswith("/api/v1/alerts")
    for scope in (Scope.WEBHOOK, Scope.VIEWER, Scope.APPROVER, Scope.OPERATOR):
        may = (
            scope is Scope.WEBHOOK
            if sends_alerts
            else scope is Scope.OPERATOR or (method == "GET" and scope is not Scope.WEBHOOK)
        )
        if not may:
            yield ask(f"of a {scope}", 403, scope)
    if "/i" in path.removeprefix(INCIDENTS) or "incident_id" in (body or {}):
        yield ask("of another tenant", 404, "other")


def _wrong_types(document: Mapping[str, Any], path: str, known: Mapping[str, Any], incident: str) -> Iterator[Attempt]:
    """Put every value into every field of a body."""
    if "requestBody" not in known:
        return
    for place, field in fields(document, known["requestBody"]["content"]["application/json"]["schema"]):
        for value in VALUES:
            body = json.loads(json.dumps(_example(path, incident)))
            holder = body
            for step in place[:-1]:
                holder = holder[step]
            holder[place[-1]] = value
            name = f"{'.'.join(map(str, place))} = {value!r:.20}"
            yield post("wrong types", name, path, body, EITHER if may_be(document, field, value) else BAD)


def _queries(path: str) -> Iterator[Attempt]:
    for name, query in {
        "unknown parameters": "a=1&%00=%ff&__proto__=x",
        "5,000 parameters": "&".join(f"p{n}=x" for n in range(5000)),
        "SQL in a name": "x'%20OR%201=1--=1",
        "CRLF": "x=%0d%0aSet-Cookie:%20a=1",
    }.items():
        yield Attempt("queries", f"{name}: {path}", "GET", f"{path}?{query}", (200,))
    if path != INCIDENTS:
        return
    hostile = {"limit": ("0", "-1", "1e3", "NaN", "9" * 5000, "%00", "1;DROP"), "state": ("odd", "%00", "received'--")}
    for name, values in (hostile | {"cursor": CURSORS}).items():
        for value in values:
            yield Attempt("queries", f"{name}={value:.40}", "GET", f"{path}?{name}={value}", BAD)
    yield Attempt("queries", "40,000 states", "GET", f"{path}?" + "&".join(["state=closed"] * 40_000), (200, 422))
    yield Attempt("queries", "a secret cursor", "GET", f"{path}?cursor={(said := next(_SECRETS))}", BAD, secret=said)


def _secrets() -> Iterator[str]:
    for number in count(10_000):
        yield "gh" + "p_" + f"a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P{number}"  # in two parts: it is no secret of ours


_SECRETS = _secrets()


def _planted(bodies: Mapping[str, Mapping[str, Any]]) -> Iterator[Attempt]:
    """Text that means something elsewhere, and secrets, at every place where text may stand."""
    for path, body in bodies.items():
        texts = [
            name for name, value in body.items() if isinstance(value, str) and name not in ("version", "verdict", "opened_at")
        ]
        for name in texts:
            for kind, text in TEXTS.items():
                expected = BAD if name == "incident_id" else EITHER if kind == "300 kB" else DONE
                yield post("planted text", f"{kind} in {name}", path, {**body, name: text}, expected)
            yield _with_secret(path, f"in {name}", lambda said, name=name, body=body: {**body, name: f"token {said} leaked"})
        yield _with_secret(path, "in an unknown field", lambda said, body=body: {**body, "odd": {"a": [said]}})
        yield _with_secret(path, "as a field", lambda said, body=body: {**body, said: said})
    for place in ("labels", "annotations"):
        for kind, text in TEXTS.items():
            yield post("planted text", f"{kind} in {place}", ALERTMANAGER, _message({place: {"a": text, text[:500]: "b"}}), DONE)
        yield _with_secret(ALERTMANAGER, f"in {place}", lambda said, place=place: _message({place: {"a": f"see {said}"}}))
        yield _with_secret(ALERTMANAGER, f"as a name in {place}", lambda said, place=place: _message({place: {said: "x"}}))
        yield _with_secret(
            ALERTMANAGER, f"a password in {place}", lambda said, place=place: _message({place: {"db_password": said}})
        )
    for name in ("fingerprint", "generatorURL", "startsAt", "status"):
        yield _with_secret(ALERTMANAGER, f"in {name}", lambda said, name=name: _message({name: f"http://x/?password={said}"}))
    yield _with_secret(GENERIC, "for an alert", lambda said: {"alerts": [said]})
    yield _with_secret(INCIDENTS, "in a snapshot", lambda said: {"title": "x", "metrics_snapshot": {said: 1}})
    yield _with_secret(INCIDENTS, "for a figure", lambda said: {"title": "x", "metrics_snapshot": {"a": said}})


def _with_secret(path: str, name: str, body: Callable[[str], dict[str, Any]]) -> Attempt:
    said = next(_SECRETS)
    return post("secrets", name, path, body(said), EITHER, secret=said)


def _message(*alerts: Mapping[str, Any]) -> dict[str, Any]:
    return {"version": "4", "groupKey": "odd", "alerts": [ALERT | alert for alert in alerts]}


def _odd_alerts(limits: ApiSettings) -> Iterator[Attempt]:
    for path in (ALERTMANAGER, GENERIC):
        many = [{"fingerprint": f"many-{number}"} for number in range(limits.max_alerts + 1)]
        yield post("odd alerts", "one too many", path, _message(*many), BAD)
        yield post("odd alerts", "as many as may be", path, _message(*many[1:]), DONE)
        yield post("odd alerts", "the same one often", path, _message(*[many[0]] * 100), DONE)
        for time in TIMES:
            odd = {"startsAt": time, "endsAt": time, "status": "resolved", "fingerprint": time}
            yield post("odd alerts", f"from {time:.40} to then", path, _message(odd), EITHER)
            yield post("odd alerts", f"until {time:.40}", path, _message(odd | {"startsAt": "2026-03-01T12:00:00Z"}), EITHER)
        for fingerprint in ("x" * 10_000, "\0", "\ud800", "🦊" * 64, "' OR 1=1--", " "):
            yield post("odd alerts", f"fingerprint {fingerprint[:10]!r}", path, _message({"fingerprint": fingerprint}), DONE)
        for url in URLS:
            yield post("odd alerts", f"generatorURL {url:.20}", path, _message({"generatorURL": url}), DONE)
    for name in FIELDS:
        for value in (None, True, 0, [[]], {"a": 1}, ["odd"], 10**400, {"name": []}, [{"labels": [1]}], [None]):
            yield post("odd alerts", f"{name} = {value!r:.20}", GENERIC, {"title": "x", name: value}, EITHER)


def _ids(document: Mapping[str, Any]) -> Iterator[Attempt]:
    headers = {"Content-Type": "application/json"}
    for path in (path for path in document["paths"] if "{incident_id}" in path):
        for method, known in document["paths"][path].items():
            content = json.dumps(_example(path, "none")).encode() if "requestBody" in known else b""
            for identity in IDS:
                where = path.replace("{incident_id}", identity)
                yield Attempt("ids", f"{identity:.30}: {method} {path}", method.upper(), where, (404, 422), content, headers)


def _methods(document: Mapping[str, Any], incident: str) -> Iterator[Attempt]:
    for path, known in document["paths"].items():
        where = path.format(incident_id=incident)
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get"):
            if method.lower() not in known or method == "get":
                yield Attempt("methods", f"{method} {path}", method, where, (405,))
    for path in PATHS:
        yield Attempt("paths", f"with a key: {path:.40}", "GET", path, (404,))
        yield Attempt("paths", f"without: {path:.40}", "GET", path, (401,), key="")


def _headers(incident: str) -> Iterator[Attempt]:
    new = {"title": "x"}
    for value in ("", "k" * 121):
        yield post("headers", f"Idempotency-Key: {value[:30]!r}", INCIDENTS, new, BAD, headers={"Idempotency-Key": value})
    for name, value in HEADERS:
        yield post("headers", f"{name}: {value[:30]!r}", INCIDENTS, new, DONE, headers={name: value})
    for name in ("Idempotency-Key", "X-Request-ID", "User-Agent", "Referer", "Cookie"):
        said = next(_SECRETS)
        yield post("secrets", f"in {name}", INCIDENTS, new, DONE, headers={name: said}, secret=said)
    said = next(_SECRETS)
    yield Attempt("secrets", "in a path", "GET", f"{INCIDENTS}/{said}", BAD, secret=said)
    said = next(_SECRETS)
    yield Attempt("secrets", "in a query", "GET", f"{INCIDENTS}/{incident}?token={said}", (200,), secret=said)


def _full(routes: list[tuple[str, str, Mapping[str, Any]]], bodies: Mapping[str, Mapping[str, Any]]) -> Iterator[Attempt]:
    for method, path, known in routes:
        content = json.dumps(bodies[path]).encode() if path in bodies else b""
        sent = Attempt("", f"{method} {path}", method, path, (200,), content, {"Content-Type": "application/json"})
        if path != "/healthz":
            yield sent._replace(kind="store away", expected=(503,), app="away")
        if "security" in known:
            yield sent._replace(kind="too often", expected=(429,), app="limited")
        if path in (ALERTMANAGER, GENERIC, INCIDENTS) and method == "POST":
            yield sent._replace(kind="queue full", expected=(503,), app="full")
