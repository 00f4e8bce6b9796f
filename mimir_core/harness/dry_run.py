"""A proposed action -> whether it could be executed as it stands. Nothing is.

Comes in: an action and the pack that it was proposed for. Goes out: what is in the way, or nothing. Surprise: that a person must
approve is in the way of no action; whether the component is in the cluster now, a recorded case cannot tell: it has to be seen
in the case.
"""

import re

from mimir_core.records import Action, EvidencePack
from mimir_core.safety.policy import SafetyRules

_BLANK = re.compile(r"<[^<>]+>")
_NAMESPACE = re.compile(r"(?:^|\s)-n\s+(\S+)")
_WORKLOAD = re.compile(r"\s(?:deployment|job)/(\S+)")
_BY_HAND = "kubectl edit "


def obstacle_to(action: Action, pack: EvidencePack, rules: SafetyRules) -> str:
    """Return what is in the way of executing ``action``; empty where nothing is.

    Args:
        action: As a diagnosis proposes it.
        pack: Says which components and namespaces were seen.
        rules: The allow-list.
    """
    if action.name not in rules.actions:
        return "it is not on the allow-list"
    if not action.command:
        return "it has no command: a person does it"
    if action.command.startswith(_BY_HAND):
        return "its command opens an editor: a person does it"
    if blank := _BLANK.search(action.command):
        return f"its command has a blank: {blank[0]}"
    namespace, workload = _NAMESPACE.search(action.command), _WORKLOAD.search(action.command)
    if namespace and namespace[1] not in _namespaces(pack):
        return f"no namespace {namespace[1]} was seen"
    if workload and workload[1] not in {item.component for item in pack.evidence} | set(pack.namespaces):
        return f"no component {workload[1]} was seen"
    return ""


def _namespaces(pack: EvidencePack) -> set[str]:
    return {*pack.namespaces.values(), *(alert.labels.get("namespace", "") for alert in pack.incident.alerts)}
