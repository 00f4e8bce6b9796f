"""YAML or JSON of the Kubernetes API -> manifests.

Comes in: text or parsed JSON. Goes out: one :class:`Manifest` an object; the items of a list count each. Surprise: YAML
aliases are refused, because a few of them can blow up a small file.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from mimir_core.telemetry.signals import Manifest

_LARGEST_YAML = 4 * 2**20
"""Characters; parsing takes about a second a megabyte."""


def find_manifests(content: Any, origin: str, query: str = "") -> Iterator[Manifest]:
    """Yield the Kubernetes objects in parsed JSON: one, a list of them, or several documents."""
    for node in content if isinstance(content, list) else [content]:
        if not isinstance(node, Mapping) or not isinstance(node.get("kind"), str) or "apiVersion" not in node:
            continue
        if isinstance(node.get("items"), list):
            kind = node["kind"].removesuffix("List")
            for item in node["items"]:
                if isinstance(item, Mapping):
                    yield Manifest({"kind": kind, **item}, origin, query)
        else:
            yield Manifest(node, origin, query)


def parse_yaml(text: str) -> list[Any] | None:
    r"""Return the documents in ``text`` as parsed YAML, or None when it holds no Kubernetes objects.

    >>> parse_yaml("apiVersion: v1\nkind: Service")
    [{'apiVersion': 'v1', 'kind': 'Service'}]
    >>> parse_yaml("kind regards") is None
    True
    """
    if "apiVersion:" not in text or "kind:" not in text or len(text) > _LARGEST_YAML:
        return None
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.CSafeLoader)):
            return None
        documents = list(yaml.load_all(text, Loader=yaml.CSafeLoader))  # it is the safe loader, in C
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    return [document for document in documents if isinstance(document, Mapping)] or None
