"""Which component a JSON object speaks of.

Comes in: one object. Goes out: a name, or None. Surprise: there is no schema, so the keys are tried from the most telling to
the least; a name with spaces is a title, not a component.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from mimir_core.telemetry.signals import workload_of

_MANAGED = ("component", "service", "source_identifier", "SourceIdentifier", "db_instance_identifier", "DBInstanceIdentifier")
"""Keys whose names are no pods: a number at their end belongs to them."""
_PODS = ("involved_object", "involvedObject", "pod", "pod_name", "workload_name", "deployment", "container_name")
_ANY = ("name", "resource", "node", "host")
_TAG = re.compile(r"(?:service|kube_deployment|deployment|app):(\S+)")
_NAME = re.compile(r"[\w.:@-]+")


def name_of(node: Mapping[str, Any]) -> str | None:
    """Return the component that ``node`` names.

    >>> name_of({"metadata": {"name": "web-0"}}), name_of({"involvedObject": {"name": "api-0"}}), name_of({"count": 3})
    ('web', 'api', None)
    >>> name_of({"name": "error rate of web", "tags": ["service:web"]}), name_of({"node": "rabbit@mq-0.mq.prod.svc"})
    ('web', 'mq')
    """
    return next(_names(node), None)


def _names(node: Mapping[str, Any]) -> Iterator[str]:
    for inner in ("metadata", "metric"):
        if isinstance(node.get(inner), Mapping):
            yield from _names(node[inner])
    yield from (workload_of(name) for key in _PODS if (name := _plain(node.get(key))))
    yield from (name for key in _MANAGED if (name := _plain(node.get(key))))
    tags = node.get("tags")
    yield from (found[1] for tag in (tags if isinstance(tags, list) else ()) if (found := _TAG.fullmatch(str(tag))))
    yield from (workload_of(name) for key in _ANY if (name := _plain(node.get(key))))


def _plain(value: Any) -> str:
    """Return a name without its path, and without user and domain where it has a user; "" when it is none."""
    if isinstance(value, Mapping):
        value = value.get("name")
    name = value.rpartition("/")[2] if isinstance(value, str) else ""
    if "@" in name:
        name = name.partition("@")[2].partition(".")[0]
    return name if _NAME.fullmatch(name) else ""
