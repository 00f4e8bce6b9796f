"""What people changed around the time: commits, deploys and flags.

Comes in: a system, the faults and the timeline. Goes out: the content of ``changes.json`` and the sha of the commit to blame, if
any. Surprise: most changes are innocent, and some of them sit at the onset or on the failing component; a change that would have
been harmful may have come after the onset, which clears it.
"""

from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

from mimir_core.simulate.dice import Dice
from mimir_core.simulate.effects import Planted
from mimir_core.simulate.names import Role
from mimir_core.simulate.shapes import Timeline
from mimir_core.simulate.tables import read_table
from mimir_core.simulate.topology import System

_CHANGED = (Role.GATEWAY, Role.SERVICE, Role.WORKER, Role.JOB)


class _History:
    """Collects changes."""

    def __init__(self, dice: Dice, system: System) -> None:
        self._dice, self._system = dice, system
        self._versions: dict[int, list[int]] = defaultdict(lambda: [dice.integer(0, 9), dice.integer(0, 40), 0])
        self.commits: list[dict[str, Any]] = []
        self.deploys: list[dict[str, Any]] = []
        self.flags: list[dict[str, Any]] = []

    def commit(self, entry: dict[str, Any], component: int, time: float, deployed: float | None) -> str:
        """Add one commit, and its deploy at ``deployed``; return the sha."""
        words = read_table("words")
        known = {
            "snake": "".join(letter if letter.isalnum() else "_" for letter in self._system.components[component].name.lower()),
            "key": self._dice.pick(words["nouns"])["en"],
            "n": self._dice.integer(2, 90) * 10,
        }
        sha, file = self._dice.hex(40), entry["file"].format(**known)
        old, new = ([line.format(**known) for line in entry[side]] for side in ("old", "new"))
        first = self._dice.integer(3, 240)
        self.commits.append(
            {
                "sha": sha,
                "author": self._dice.pick(words["people"]),
                "timestamp": iso(time),
                "message": entry["message"].format(**known),
                "files_changed": [file],
                "diff": "\n".join(
                    [f"--- a/{file}", f"+++ b/{file}", f"@@ -{first},{len(old)} +{first},{len(new)} @@"]
                    + [f"-{line}" for line in old]
                    + [f"+{line}" for line in new]
                ),
            }
        )
        if deployed is not None:
            self.deploy(component, deployed, sha)
        return sha

    def deploy(self, component: int, time: float, sha: str) -> None:
        """Add one deploy."""
        version = self._versions[component]
        version[1] += 1
        service = self._system.components[component].name
        self.deploys.append(
            {"timestamp": iso(time), "service": service, "commit_sha": sha, "version": ".".join(map(str, version))}
        )

    def flag(self, component: int, time: float) -> None:
        """Add the change of one flag."""
        noun = self._dice.pick(read_table("words")["nouns"])["en"]
        name = self._dice.pick(read_table("history")["flags"]).format(key=noun, snake=noun)
        change = self._dice.pick(["off -> on", "on -> off", "0% -> 10%", "10% -> 50%", "50% -> 100%"])
        actor = self._dice.pick(read_table("words")["people"])
        service = self._system.components[component].name
        self.flags.append({"timestamp": iso(time), "flag": name, "service": service, "change": change, "actor": actor})


def draw_history(dice: Dice, system: System, timeline: Timeline, planted: list[Planted]) -> tuple[dict[str, Any], str | None]:
    """Return the changes and the sha of the one to blame, None when no change is."""
    history, table = _History(dice, system), read_table("history")
    changeable = [number for number, known in enumerate(system.components) if known.role in _CHANGED]
    blamed = None
    for item in planted:
        if item.fault.diffs and blamed is None and dice.chance(0.85):
            entry = table["causing"][dice.pick(item.fault.diffs)]
            out = item.onset - dice.between(2, 90)
            blamed = history.commit(entry, item.component, out - dice.log_between(300, 40_000), out)
    culprits = [item.component for item in planted if item.component in changeable]
    for _ in range(dice.integer(3, 14)):
        component, time = dice.pick(changeable), timeline.alert - dice.log_between(600, 300_000)
        history.commit(
            dice.pick(table["innocent"]), component, time, time + dice.between(200, 7000) if dice.chance(0.4) else None
        )
    if dice.chance(0.6):  # at the onset
        time = timeline.onset - dice.between(-30, 200)
        history.commit(dice.pick(table["innocent"]), dice.pick(changeable), time - dice.log_between(300, 9000), time)
    if culprits and dice.chance(0.5):  # on the failing component
        time = timeline.onset - dice.log_between(1200, 90_000)
        history.commit(dice.pick(table["innocent"]), dice.pick(culprits), time - dice.log_between(300, 9000), time)
    if dice.chance(0.4):  # looks harmful, and is cleared by its time or by never having been deployed
        entry = table["causing"][dice.pick(sorted(table["causing"]))]
        time = timeline.onset + dice.between(200, 900)
        late = time + 60 if dice.chance(0.5) else None
        history.commit(entry, dice.pick(changeable), time - (0 if late else dice.between(300, 9000)), late)
    for _ in range(dice.pick([0, 0, 1, 2, 3])):
        history.flag(dice.pick(changeable), timeline.alert - dice.log_between(60, 90_000))
    changes = {
        name: sorted(
            (change for change in known if change["timestamp"] <= iso(timeline.end)), key=lambda change: str(change["timestamp"])
        )
        for name, known in (("commits", history.commits), ("deploys", history.deploys), ("flags", history.flags))
    }
    return changes, blamed


def iso(time: float) -> str:
    """Return unix seconds as text.

    >>> iso(1760000000.4)
    '2025-10-09T08:53:20Z'
    """
    return datetime.fromtimestamp(int(time), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
