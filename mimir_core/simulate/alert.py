"""The alert of a case, as Alertmanager sends it (webhook, version 4; docs/formats.md).

Comes in: what moved, and when somebody noticed. Goes out: the payload. Surprise: the alert names what a rule watches, which is
often a victim near the users and sometimes nobody at all.
"""

from dataclasses import dataclass
from typing import Any

from mimir_core.simulate.dice import Dice
from mimir_core.simulate.history import iso
from mimir_core.simulate.tables import read_table
from mimir_core.simulate.topology import System


@dataclass(frozen=True)
class Symptom:
    """What a rule noticed: a key of ``alerts.yaml`` and the component that it names."""

    what: str
    component: int


def write_alert(dice: Dice, system: System, symptoms: list[Symptom], time: float, ended: float | None) -> dict[str, Any]:
    """Return the webhook's payload with one alert a symptom.

    Args:
        dice: Chance.
        system: Where it happens.
        symptoms: The first one names the group.
        time: When the first rule fired, unix seconds.
        ended: When it was over again, where it was.
    """
    status = "firing" if ended is None else "resolved"
    alerts: list[dict[str, Any]] = []
    for number, symptom in enumerate(symptoms):
        entry = read_table("alerts")[symptom.what]
        name, label = system.components[symptom.component].name, dice.pick(["service", "service", "app", "job"])
        known = {"name": name, "value": dice.pick(entry["values"])}
        alerts.append(
            {
                "status": status,
                "labels": {
                    "alertname": dice.pick(entry["names"]),
                    "namespace": system.namespace,
                    **({label: name} if dice.chance(0.9) else {}),
                    "severity": dice.pick(["critical", "critical", "error", "warning"]) if ended is None else "warning",
                },
                "annotations": {
                    "summary": dice.pick(entry["summaries"]).format(**known),
                    "description": dice.pick(entry["descriptions"]).format(**known),
                },
                "startsAt": iso(time - dice.between(0, 60) * number),
                "endsAt": "0001-01-01T00:00:00Z" if ended is None else iso(ended),
                "generatorURL": "",
                "fingerprint": dice.hex(16),
            }
        )
    first = alerts[0]["labels"]
    group = {"alertname": first["alertname"], "namespace": system.namespace}
    return {
        "version": "4",
        "status": status,
        "receiver": dice.pick(["mimir", "oncall", "platform"]),
        "groupKey": f'{{}}:{{alertname="{first["alertname"]}", namespace="{system.namespace}"}}',
        "truncatedAlerts": 0,
        "groupLabels": group,
        "commonLabels": group if len(alerts) == 1 else {"namespace": system.namespace},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example.net",
        "alerts": alerts,
    }
