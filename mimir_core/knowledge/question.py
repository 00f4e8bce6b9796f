"""An alert -> what to look for in the runbooks.

Comes in: an incident with its alerts. Goes out: the words to search for, and the exact names that belong to them.
Surprise: only names are taken from an alert's expression, because operators and thresholds match every page about anything.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from mimir_core.records import Incident

_NAME = re.compile(r"\b(?=[A-Za-z]*[_:])[A-Za-z_][\w:]*\b(?!\s*\()|\"([\w:./-]+)\"")
_ASKED_CHARACTERS = 600


class Question(NamedTuple):
    """What to look for."""

    words: str
    names: str = ""
    """Metrics, label values and other exact names, with spaces between."""


def names_in(expression: str) -> str:
    """Return the metrics, labels and plain label values of a PromQL expression; functions and regular expressions are left out.

    >>> names_in('sum(rate(kube_pod_restarts_total{job="kube-state-metrics", pod=~"a|b"}[5m])) by (pod_name) > 3')
    'kube_pod_restarts_total kube-state-metrics pod_name'
    """
    return " ".join(dict.fromkeys(found[1] or found[0] for found in _NAME.finditer(expression)))


def question_about(incident: Incident, words: str = "") -> Question:
    """Return what to look for.

    Args:
        incident: Its alerts give the exact names: their own, and those in their expressions.
        words: What is known of the cause; without it the incident's own words are taken.
    """
    names = [name for alert in incident.alerts for name in (alert.name, names_in(alert.expression))]
    said = (incident.title, incident.description, incident.question, *_texts(incident))
    words = words or " ".join(dict.fromkeys(text for text in said if text))
    return Question(words[:_ASKED_CHARACTERS], " ".join(dict.fromkeys(name for name in names if name)))


def _texts(incident: Incident) -> Iterator[str]:
    for alert in incident.alerts:
        yield from (text for name, text in alert.annotations.items() if name in ("summary", "description", "message"))
