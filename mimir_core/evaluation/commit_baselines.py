"""Recorded changes -> the commit that a simple rule blames: what naming a commit has to beat."""

from datetime import datetime

from mimir_core.telemetry.changes import Changes


def last_deployed(changes: Changes, noticed: datetime | None, service: str | None = None) -> str | None:
    """Return the commit of the last deploy before the incident was noticed, or None when there is none.

    Args:
        changes: What was recorded, in the order of time.
        noticed: When the incident was noticed; all deploys are asked where that is not known.
        service: Where given, the one whose deploys are asked.
    """
    asked = (deploy for deploy in changes.deploys if service in (None, deploy.service) and deploy.sha)
    return next((deploy.sha for deploy in reversed(list(asked)) if noticed is None or deploy.time <= noticed), None)
