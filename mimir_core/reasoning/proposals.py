"""What may be done about a component -> proposals with the page that supports them.

Comes in: the name of an action from the allow-list and the evidence that asks for it. Goes out: a rendered :class:`Action`.
Whoever drafts a diagnosis, its actions are made here.
"""

from mimir_core.analysis.pack import MITIGATION
from mimir_core.records import Action, Evidence, EvidenceKind, EvidencePack
from mimir_core.safety.policy import SafetyRules

MAX_ACTIONS = 3
"""That a diagnosis proposes."""

_UNKNOWN_NAMESPACE = "NAMESPACE"


def propose(name: str, component: str, because: tuple[str, ...], pack: EvidencePack, rules: SafetyRules) -> Action:
    """Render an action.

    Args:
        name: Its key on the allow-list.
        component: What it is done to.
        because: The ids of the evidence that asks for it; where there is any, the best page about it is cited, too.
        pack: Knows the pages and the namespaces.
        rules: The allow-list.

    Raises:
        InputError: It is not on the allow-list.
    """
    action = rules.propose(name, component=component, namespace=namespace_of(component, pack))
    page = passage_for(MITIGATION, component, pack) if because else None
    if page is None:
        return action.model_copy(update={"evidence_ids": because})
    return action.model_copy(update={"text": f"{action.text} (runbook: {page.subject})", "evidence_ids": (*because, page.id)})


def passage_for(wanted: str, component: str, pack: EvidencePack) -> Evidence | None:
    """Return the best passage for a component under the heading that is wanted, else the best one for it, else the best."""
    passages = [item for item in pack.evidence if item.kind is EvidenceKind.RUNBOOK]
    ours = [passage for passage in passages if passage.component == component] or passages
    fitting = (passage for passage in ours if wanted in passage.subject.lower())
    return next(fitting, ours[0] if ours else None)


def namespace_of(component: str, pack: EvidencePack) -> str:
    """Return where the component lives, as read; else where the alert says; else a word that no cluster takes for a place."""
    labels = [alert.labels for alert in pack.incident.alerts]
    alerted = next((found for label in labels if (found := label.get("namespace"))), _UNKNOWN_NAMESPACE)
    return pack.namespaces.get(component, alerted)
