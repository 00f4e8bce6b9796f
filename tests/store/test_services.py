"""A services file says what it says, or is refused by name."""

from pathlib import Path

import pytest

from mimir_core.errors import ParamsError
from mimir_core.store.services import read_services
from tasks import wiring


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MIMIR_SERVICES", str(tmp_path / "services.yaml"))
    return tmp_path / "services.yaml"


def test_tiers_and_calls_are_read_by_tenant(file: Path) -> None:
    file.write_text("default: {checkout: {tier: 1, calls: [payments, cart]}, payments: {tier: 2}}\nother: {cart: {tier: 3}}\n")
    services = wiring.services()
    assert [services.tier("default", name) for name in ("checkout", "payments", "cart")] == [1, 2, 4]
    assert services.neighbours("default", "cart") == {"checkout"}
    assert (services.tier("other", "cart"), services.neighbours("other", "cart")) == (3, set())


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("default: {checkout: {tier: 5}}", ["default.checkout.tier", "got 5"]),
        ("default: {checkout: {tier: 0}}", ["default.checkout.tier", "got 0"]),
        ("default: {checkout: {tier: '1'}}", ["default.checkout.tier", "got '1'"]),
        ("default: {checkout: {teir: 1}}", ["default.checkout.teir", "got 1"]),
        ("default: {checkout: {calls: payments}}", ["default.checkout.calls", "got 'payments'"]),
        ("default: {checkout: {calls: [1]}}", ["default.checkout.calls.0", "got 1"]),
        ("default: [checkout]", ["default", "got ['checkout']"]),
        ("", ["the file", "got None"]),
        ("default: {", ["is not YAML"]),
        ("no: {checkout: {tier: 1}}", ["got False"]),
    ],
)
def test_what_cannot_be_is_refused_with_its_place_and_value(file: Path, text: str, named: list[str]) -> None:
    file.write_text(text)
    with pytest.raises(ParamsError) as refused:
        read_services(file)
    assert [word for word in [str(file), *named] if word not in str(refused.value)] == []


def test_a_file_that_is_not_there_is_refused_and_none_is_none(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ParamsError, match=r"services\.yaml: cannot be read"):
        wiring.services()
    monkeypatch.delenv("MIMIR_SERVICES")
    assert wiring.services().by_tenant == {}
    assert not file.exists()
