"""What kubectl shows at the time of the alert, in agreement with the faults.

Comes in: a system, the faults and the timeline. Goes out: file names and texts. Surprise: a described pod may be an innocent one,
and old restarts, evictions and probe failures of others are there as in any cluster.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from mimir_core.simulate.dice import Dice
from mimir_core.simulate.effects import Planted, PodState
from mimir_core.simulate.shapes import Timeline
from mimir_core.simulate.topology import System

_QUIET = PodState()
_ORDINARY_EVENTS = (
    ("Normal", "Pulled", "Container image already present on machine"),
    ("Normal", "Scheduled", "Successfully assigned {namespace}/{pod} to {node}"),
    ("Normal", "SuccessfulRescale", "New size: {n}; reason: cpu resource utilization (percentage of request) below target"),
    ("Warning", "Unhealthy", 'Readiness probe failed: Get "http://10.2.7.{n}:8080/ready": EOF'),
    ("Warning", "DNSConfigForming", "Search Line limits were exceeded, some search paths have been omitted"),
)


class Cluster:
    """Renders one cluster at one moment."""

    def __init__(self, dice: Dice, system: System, planted: list[Planted], timeline: Timeline, hidden: frozenset[int]) -> None:
        self._dice, self._system, self._timeline = dice, system, timeline
        self._visible = [number for number, known in enumerate(system.components) if known.pods and number not in hidden]
        self._states = {item.component: (item, item.fault.pod) for item in planted if item.fault.pod}
        self._faulty = [item.component for item in planted if item.component in self._visible]

    def render(self) -> dict[str, str]:
        """Return the files below ``kubectl/``: pods always, events and descriptions in some cases."""
        if not self._visible:
            return {}
        files = {"get-pods.txt": self._pods()}
        if self._dice.chance(0.8):
            files["get-events.txt"] = self._events()
        described = (
            [*self._faulty, self._dice.pick(self._visible)] if self._dice.chance(0.7) else [self._dice.pick(self._visible)]
        )
        for number in dict.fromkeys(described):
            pod = self._system.components[number].pods[0]
            files[f"describe-pod-{pod}.txt"] = self._description(number, pod)
        return files

    def _state(self, number: int) -> tuple[PodState, float]:
        """Return what the pods of a component show, and the seconds since that began."""
        if number not in self._states:
            return _QUIET, self._dice.log_between(40_000, 2_000_000)
        item, state = self._states[number]
        return state or _QUIET, max(self._timeline.alert - item.onset, 30.0)

    def _pods(self) -> str:
        rows = [("NAME", "READY", "STATUS", "RESTARTS", "AGE")]
        for number in self._visible:
            state, since = self._state(number)
            for replica, pod in enumerate(self._system.components[number].pods):
                bad = number in self._states and (replica == 0 or state.ready is False)
                restarts = str(state.restarts) if bad and state.restarts else "0"
                if restarts != "0":
                    restarts += f" ({_age(since / 3)} ago)"
                elif self._dice.chance(0.08):
                    restarts = f"{self._dice.integer(1, 3)} ({self._dice.integer(2, 40)}d ago)"
                age = _age(
                    since if bad and state.status in ("Pending", "ImagePullBackOff") else since + self._dice.log_between(9e4, 3e6)
                )
                rows.append((pod, "0/1" if bad and not state.ready else "1/1", state.status if bad else "Running", restarts, age))
        return f"$ kubectl get pods -n {self._system.namespace}\n" + _table(sorted(rows[1:]), rows[0])

    def _events(self) -> str:
        told = [event for number in self._visible for event in self._events_of(number)]
        for _ in range(self._dice.integer(1, 6)):
            number = self._dice.pick(self._visible)
            kind, reason, message = self._dice.pick(_ORDINARY_EVENTS)
            pod = self._dice.pick(self._system.components[number].pods)
            told.append((self._dice.log_between(60, 50_000), kind, reason, f"pod/{pod}", self._filled(message, number, pod)))
        told.sort(key=lambda event: -event[0])
        rows = [(_age(seconds), *rest) for seconds, *rest in told]
        return f"$ kubectl get events -n {self._system.namespace} --sort-by=.lastTimestamp\n" + _table(
            rows, ("LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE")
        )

    def _events_of(self, number: int) -> Iterator[tuple[float, str, str, str, str]]:
        state, since = self._state(number)
        pod = self._system.components[number].pods[0]
        for kind, reason, message in state.events:
            yield since * self._dice.between(0.1, 0.9), kind, reason, f"pod/{pod}", self._filled(message, number, pod)

    def _description(self, number: int, pod: str) -> str:
        component, (state, since) = self._system.components[number], self._state(number)
        node = self._system.nodes[component.nodes[0] % len(self._system.nodes)]
        waiting = state.status not in ("Running", "Error", "OOMKilled")
        started = datetime.fromtimestamp(int(self._timeline.alert - since), UTC).strftime("%a, %d %b %Y %H:%M:%S +0000")
        last = (
            f"    Last State:     Terminated\n      Reason:       {state.reason}\n      Exit Code:    {state.exit}\n"
            if state.reason
            else ""
        )
        now = f"Waiting\n      Reason:       {state.status}" if waiting else f"Running\n      Started:      {started}"
        events = [
            (kind, reason, _age(seconds), "kubelet", message) for seconds, kind, reason, _, message in self._events_of(number)
        ]
        shown = _table(events, ("Type", "Reason", "Age", "From", "Message"), indent="  ") if events else "<none>\n"
        return (
            f"$ kubectl describe pod {pod} -n {self._system.namespace}\n"
            f"Name:             {pod}\nNamespace:        {self._system.namespace}\n"
            f"Node:             {node}/10.2.0.{self._dice.integer(2, 250)}\n"
            f"Start Time:       {started}\nStatus:           {'Pending' if waiting and not state.restarts else 'Running'}\n"
            f"Containers:\n  main:\n"
            f"    Image:          registry.example.net/{pod.rsplit('-', 2)[0]}:1.{self._dice.integer(0, 40)}.0\n"
            f"    State:          {now}\n{last}"
            f"    Ready:          {state.ready}\n    Restart Count:  {state.restarts}\n"
            f"    Limits:\n      memory:  {2 ** self._dice.integer(7, 13)}Mi\n"
            f"Conditions:\n  Type              Status\n  Ready             {state.ready}\n"
            f"Events:{'' if not events else chr(10)}{shown if events else '          ' + shown}"
        )

    def _filled(self, message: str, number: int, pod: str) -> str:
        component = self._system.components[number]
        known = {"name": pod.rsplit("-", 2)[0] if component.pods else component.name, "pod": pod, "n": self._dice.integer(2, 9)}
        return message.format(**known, namespace=self._system.namespace, node=self._system.nodes[0])


def _age(seconds: float) -> str:
    """Return a duration as kubectl prints it.

    >>> _age(45), _age(600), _age(7200 + 60), _age(400000)
    ('45s', '10m', '121m', '4d15h')
    """
    whole = int(seconds)
    if whole < 120:
        return f"{whole}s"
    if whole < 3 * 3600:
        return f"{whole // 60}m"
    return f"{whole // 3600}h" if whole < 48 * 3600 else f"{whole // 86_400}d{whole % 86_400 // 3600}h"


def _table(rows: Sequence[tuple[str, ...]], head: tuple[str, ...], indent: str = "") -> str:
    wide = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    return "".join(
        indent + "   ".join(cell.ljust(width) for cell, width in zip(row, wide, strict=True)).rstrip() + "\n"
        for row in [head, *rows]
    )
