"""Alert payloads in the shapes that senders use -> one :class:`Incident`.

Comes in: parsed JSON. Goes out: an incident that holds every alert of the payload.
Shapes: Alertmanager webhook version 4 (prometheus.io/docs/alerting/latest/configuration, webhook_config) and plain
objects with a title. Unknown fields are accepted: senders add them.
"""

from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

from mimir_core.errors import InputError
from mimir_core.records import Alert, Incident, Severity, content_hash
from mimir_core.telemetry.signals import workload_of
from mimir_core.telemetry.times import parse_time

_SEVERITIES = {
    "critical": Severity.CRITICAL,
    "page": Severity.CRITICAL,
    "fatal": Severity.CRITICAL,
    "high": Severity.ERROR,
    "error": Severity.ERROR,
    "major": Severity.ERROR,
    "warning": Severity.WARNING,
    "warn": Severity.WARNING,
    "medium": Severity.WARNING,
    "info": Severity.INFO,
    "low": Severity.INFO,
    "none": Severity.INFO,
}
_WORST_FIRST = list(Severity)

# Which label names the affected component, most telling first. `service`, `job` and `instance` come last: on metrics about
# others (kube-state-metrics, exporters) they name the exporter.
_WORKLOAD_LABELS = (
    "affected_service", "deployment", "kube_deployment", "statefulset", "daemonset", "workload", "workload_name",
    "cronjob", "job_name", "db_instance_identifier",
)  # fmt: skip
_TITLES = ("title", "summary", "name")
_STARTS = ("startsAt", "starts_at", "opened_at", "fired_at", "time")
_POD_LABELS = ("pod", "pod_name", "kube_pod")
_OTHER_LABELS = ("app", "component", "container", "node", "service", "job", "instance")


def parse_incident(payload: Mapping[str, Any], origin: str, question: str = "") -> Incident:
    """Return the incident that ``payload`` announces.

    Args:
        payload: An Alertmanager webhook, or an object with ``title`` (or ``summary``, ``name``) and what it knows.
        origin: The file or sender, for error messages and the id.
        question: What a person asked, where one did.

    Raises:
        InputError: The payload has neither alerts nor a title, or an alert is no object.
    """
    alerts = tuple(_parse_alert(entry, payload, f"{origin}: alerts[{i}]") for i, entry in enumerate(_entries(payload, origin)))
    if not alerts and (isinstance(payload.get("commonLabels"), Mapping) or _first_text(payload, *_TITLES)):
        alerts = (_parse_alert(payload, payload, origin),)
    first = alerts[0] if alerts else None
    title = _first_text(payload, *_TITLES) or (first.annotations.get("summary") or first.name if first else question)
    if not title:
        raise InputError(f"{origin}: no alerts, no title and no question: nothing says what is wrong")
    return Incident(
        id="i" + content_hash([payload, question]),
        title=title,
        description=_first_text(payload, "description", "message") or (first.annotations.get("description", "") if first else ""),
        severity=min((alert.severity for alert in alerts), key=_WORST_FIRST.index, default=Severity.WARNING),
        opened_at=min((alert.starts_at for alert in alerts if alert.starts_at), default=None),
        service=_component(payload, first),
        question=question,
        alerts=alerts,
    )


def _entries(payload: Mapping[str, Any], origin: str) -> list[Mapping[str, Any]]:
    entries = payload.get("alerts", [])
    if not isinstance(entries, list):
        raise InputError(f"{origin}: alerts: expected a list, got {type(entries).__name__}")
    for position, entry in enumerate(entries):
        if not isinstance(entry, Mapping):
            raise InputError(f"{origin}: alerts[{position}]: expected an object, got {entry!r:.80}")
    return entries


def _parse_alert(entry: Mapping[str, Any], payload: Mapping[str, Any], origin: str) -> Alert:
    labels = _texts(payload.get("commonLabels")) | _texts(entry.get("labels"))
    annotations = _texts(payload.get("commonAnnotations")) | _texts(entry.get("annotations"))
    said = str(entry.get("status") or entry.get("state") or "").lower()
    status: Literal["firing", "resolved"] = "resolved" if said in ("resolved", "normal", "ok") else "firing"
    starts_at = next((entry[key] for key in _STARTS if entry.get(key)), None)
    if starts_at and parse_time(starts_at) is None:
        raise InputError(f"{origin}: startsAt: {starts_at!r:.80} is no time")
    return Alert(
        name=labels.get("alertname") or _first_text(entry, *_TITLES) or "alert",
        status=status,
        severity=_severity(labels.get("severity") or entry.get("severity")),
        starts_at=parse_time(starts_at),
        ends_at=parse_time(entry.get("endsAt")) if status == "resolved" else None,
        labels=labels,
        annotations=annotations,
        expression=_expression(entry),
        fingerprint=str(entry.get("fingerprint", "")),
    )


def _expression(entry: Mapping[str, Any]) -> str:
    """Prometheus sends the expression in ``generatorURL``, as parameter ``g0.expr`` of its graph page."""
    if said := _first_text(entry, "expr", "expression"):
        return said
    try:
        return parse_qs(urlsplit(_first_text(entry, "generatorURL")).query).get("g0.expr", [""])[0]
    except ValueError:  # no URL: the alert counts all the same
        return ""


def _component(payload: Mapping[str, Any], alert: Alert | None) -> str | None:
    if service := _first_text(payload, "service", "affected_service", "component"):
        return service
    labels = (alert.annotations | alert.labels) if alert else {}
    subject = payload.get("subject")
    if isinstance(subject, Mapping) and subject.get("name"):
        return workload_of(str(subject["name"]))
    for label in (*_WORKLOAD_LABELS, *_POD_LABELS, *_OTHER_LABELS):
        if value := labels.get(label):
            return workload_of(value) if label in _POD_LABELS else value
    return None


def _severity(value: object) -> Severity:
    return _SEVERITIES.get(str(value).lower(), Severity.WARNING)


def _first_text(payload: Mapping[str, Any], *keys: str) -> str:
    return next((str(payload[key]) for key in keys if isinstance(payload.get(key), str) and payload[key]), "")


def _texts(values: object) -> dict[str, str]:
    return {str(key): str(value) for key, value in values.items()} if isinstance(values, Mapping) else {}
