"""Claims about the allow-list: it is complete, it fails closed, and no value from telemetry reaches a shell."""

import shlex
from pathlib import Path

import pytest
import yaml

from mimir_core.analysis.signs import read_signs
from mimir_core.errors import InputError, ParamsError
from mimir_core.records import Risk
from mimir_core.safety import policy
from mimir_core.safety.policy import BlastRadius, SafetyRules, fill_command, read_safety_rules

RULES = read_safety_rules()
SHIPPED = Path(policy.__file__).with_name("safety_rules.yaml")
HOSTILE = [
    "web; rm -rf /",
    "$(id)",
    "`id`",
    "web\nid",
    "web id",
    "-rf",
    "--all",
    "web'",
    'web"',
    "a|b",
    "a&b",
    "a>b",
    "{namespace}",
    "",
    "é",
]


def _shipped() -> dict[str, dict[str, object]]:
    content: dict[str, dict[str, object]] = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    return content


@pytest.mark.parametrize("name", RULES.actions)
def test_every_action_can_be_proposed_and_says_how_to_see_that_it_helped(name: str) -> None:
    action = RULES.propose(name, component="orders", namespace="shop")
    assert action.name == name
    assert action.text
    assert action.verification
    assert "{" not in action.text + action.command + action.verification


@pytest.mark.parametrize("name", RULES.actions)
def test_what_cannot_be_undone_is_never_low_risk_and_needs_approval(name: str) -> None:
    rule = RULES.actions[name]
    assert rule.undo or not rule.reversible
    if not rule.reversible:
        assert rule.risk is not Risk.LOW
        assert RULES.propose(name, component="orders", namespace="shop").needs_approval


def test_every_action_that_a_sign_asks_for_is_on_the_list() -> None:
    table = read_signs()
    assert {name for sign in table.signs.values() for name in sign.actions} <= set(RULES.actions)


def test_looking_closer_only_reads() -> None:
    assert RULES.actions["collect_more_evidence"].blast_radius is BlastRadius.NONE
    assert not RULES.propose("collect_more_evidence", component="orders", namespace="shop").needs_approval


def test_an_action_that_is_not_on_the_list_is_refused() -> None:
    with pytest.raises(InputError, match="delete_everything"):
        RULES.propose("delete_everything", component="orders", namespace="shop")


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("name", RULES.actions)
def test_a_value_that_is_no_plain_name_never_enters_a_command(name: str, value: str) -> None:
    template = RULES.actions[name].command
    as_component = RULES.propose(name, component=value, namespace="shop").command
    as_namespace = RULES.propose(name, component="orders", namespace=value).command
    assert as_component == (template.format(namespace="shop") if "{component}" not in template else "")
    assert as_namespace == (template.format(component="orders") if "{namespace}" not in template else "")


@pytest.mark.parametrize("value", ["orders", "orders-db-0", "node1.example.com", "Orders_2"])
def test_a_plain_name_stays_one_word_of_the_command(value: str) -> None:
    assert shlex.split(fill_command("kubectl logs {component}", component=value, namespace="shop")) == ["kubectl", "logs", value]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("risk", "none"),
        ("blast_radius", "planet"),
        ("command", "kubectl delete {pod}"),
        ("command", "{component.__class__}"),
        ("x", 1),
    ],
)
def test_a_bad_entry_stops_the_start_and_is_named(tmp_path: Path, key: str, value: object) -> None:
    content = _shipped()
    entry = content["actions"]["restart_workload"]
    assert isinstance(entry, dict)
    entry[key] = value
    file = tmp_path / "safety_rules.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(ParamsError, match=rf"restart_workload\.{key}"):
        read_safety_rules(file)


@pytest.mark.parametrize("text", ["", "[", "limits: {execute: false, approval_above: low}", "- 1"])
def test_a_file_that_is_no_allow_list_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "safety_rules.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ParamsError, match=r"safety_rules\.yaml"):
        read_safety_rules(file)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParamsError):
        read_safety_rules(tmp_path / "none.yaml")


def test_rules_never_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        RULES.limits = SafetyRules.model_validate(_shipped()).limits  # type: ignore[misc]
