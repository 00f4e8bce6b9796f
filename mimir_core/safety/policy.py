"""The allow-list of actions (``safety_rules.yaml``): what may be proposed, and how it is rendered.

Comes in: the name of an action and the values for its placeholders. Goes out: an :class:`Action`, which is a proposal.
Surprises: values come from telemetry and so from strangers. A value that is no plain name never enters a command: the
action is then proposed without one. A name that is not on the list is refused.
"""

import re
import string
from enum import StrEnum
from functools import cache
from pathlib import Path

import yaml
from pydantic import Field, ValidationError, field_validator

from mimir_core.config import Settings
from mimir_core.errors import InputError, ParamsError
from mimir_core.records import Action, Risk

_RULES = Path(__file__).with_name("safety_rules.yaml")
_PLACEHOLDERS = frozenset({"component", "namespace"})
_PLAIN_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
"""What Kubernetes allows in an object's name, and capitals: no space, quote, dash in front or shell character."""
_RISKS = list(Risk)


class BlastRadius(StrEnum):
    """What an action can touch."""

    NONE = "none"
    POD = "pod"
    WORKLOAD = "workload"
    NODE = "node"
    NAMESPACE = "namespace"
    CLUSTER = "cluster"
    OUTSIDE = "outside"


class ActionRule(Settings):
    """One entry of the allow-list. The keys are explained in safety_rules.yaml."""

    text: str
    command: str
    risk: Risk
    reversible: bool
    blast_radius: BlastRadius
    verification: str
    undo: str

    @field_validator("text", "command", "verification", "undo")
    @classmethod
    def _knows_its_placeholders(cls, template: str) -> str:
        unknown = {name for _, name, _, _ in string.Formatter().parse(template) if name is not None} - _PLACEHOLDERS
        if unknown:
            raise ValueError(f"unknown placeholder {sorted(unknown)}; known are {sorted(_PLACEHOLDERS)}")
        return template


class Limits(Settings):
    """What holds for all actions."""

    approval_above: Risk


class SafetyRules(Settings):
    """The whole of safety_rules.yaml."""

    limits: Limits
    actions: dict[str, ActionRule] = Field(min_length=1)

    def propose(self, name: str, *, component: str, namespace: str) -> Action:
        """Render the action ``name``.

        Raises:
            InputError: It is not on the allow-list.
        """
        rule = self.actions.get(name)
        if rule is None:
            raise InputError(f"safety_rules.yaml: action {name!r:.80} is not on the allow-list")
        values = {
            "component": component if _PLAIN_NAME.fullmatch(component) else "the affected component",
            "namespace": namespace if _PLAIN_NAME.fullmatch(namespace) else "its namespace",
        }
        return Action(
            name=name,
            text=rule.text.format(**values),
            command=fill_command(rule.command, component=component, namespace=namespace),
            risk=rule.risk,
            reversible=rule.reversible,
            needs_approval=_RISKS.index(rule.risk) > _RISKS.index(self.limits.approval_above),
            blast_radius=rule.blast_radius.value,
            verification=rule.verification.format(**values),
            undo=rule.undo.format(**values),
        )


def fill_command(template: str, *, component: str, namespace: str) -> str:
    """Fill the placeholders of a command; an empty string when a value that it needs is no plain name.

    >>> fill_command("kubectl logs {component} -n {namespace}", component="web", namespace="shop")
    'kubectl logs web -n shop'
    >>> fill_command("kubectl logs {component}", component="web; rm -rf /", namespace="shop")
    ''
    """
    values = {"component": component, "namespace": namespace}
    needed = {name for _, name, _, _ in string.Formatter().parse(template) if name}
    if any(not _PLAIN_NAME.fullmatch(values[name]) for name in needed):
        return ""
    return template.format(**values)


@cache
def read_safety_rules(path: Path = _RULES) -> SafetyRules:
    """Read and check the allow-list.

    Raises:
        ParamsError: The file cannot be read, or an entry is misspelt or incomplete.
    """
    try:
        return SafetyRules.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise ParamsError(f"{path.name}: {error}") from error
