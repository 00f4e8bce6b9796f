"""An incident of the store brings what belongs to it, and nothing else."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from mimir_core.config import read_params
from mimir_core.errors import InputError
from mimir_core.records import Alert, Incident, Verdict
from mimir_core.telemetry.stored import read_stored
from tasks import paths
from tasks.diagnose import investigate

INCIDENT = Incident(
    id="i1",
    tenant="shop",
    title="cart is slow",
    opened_at=datetime(2026, 3, 1, 2, tzinfo=UTC),
    alerts=(Alert(name="CartIsSlow"),),
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """One case of this tenant, one of another, one of nobody, and a link from this tenant's folder to the other's case."""
    for place in ("cases/shop/mine", "cases/shop/mine/inner", "cases/bank/theirs", "outside"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "cart.log").write_text("2026-03-01T02:00:00Z ERROR cannot reach the database")
    (tmp_path / "cases" / "shop" / "link").symlink_to(tmp_path / "cases" / "bank" / "theirs")
    return tmp_path / "cases"


def test_a_named_case_brings_its_signals_to_the_stored_incident(root: Path) -> None:
    signals = read_stored(INCIDENT, {"case": "mine"}, root)
    assert signals.incident == INCIDENT.model_copy(update={"service": "cart"})
    assert "cannot reach the database" in signals.statements[0].text


@pytest.mark.parametrize(
    "name", ["../bank/theirs", "../../outside", "link", "", ".", "..", "mine/inner", "mine/../../bank/theirs", "nothing"]
)
def test_a_name_that_leads_out_of_the_tenants_own_folder_is_refused(root: Path, name: str) -> None:
    with pytest.raises(InputError, match="no recorded case of 'shop'"):
        read_stored(INCIDENT, {"case": name}, root)


def test_an_absolute_name_is_refused(root: Path) -> None:
    with pytest.raises(InputError, match="no recorded case"):
        read_stored(INCIDENT, {"case": str(root / "bank" / "theirs")}, root)


@pytest.mark.parametrize("tenant", ["", ".", "..", "bank/theirs", "../cases/bank"])
def test_a_tenant_whose_name_is_a_path_has_no_cases(root: Path, tenant: str) -> None:
    with pytest.raises(InputError, match="no recorded case"):
        read_stored(INCIDENT.model_copy(update={"tenant": tenant}), {"case": "theirs"}, root)


def test_figures_of_one_moment_are_seen_and_carry_no_cause(root: Path) -> None:
    given = read_params(paths.PARAMS)
    params = given.model_copy(update={"diagnose": given.diagnose.model_copy(update={"passages": 0})})
    found = investigate(lambda: read_stored(INCIDENT, {"cpu_percent": 97.0, "errors": 3}, root), params)
    assert found.diagnosis.verdict is Verdict.UNDETERMINED
    assert found.pack.dropped["series with fewer points than detect.min_points"] == 2


def test_nothing_but_alerts_is_undetermined(root: Path) -> None:
    given = read_params(paths.PARAMS)
    params = given.model_copy(update={"diagnose": given.diagnose.model_copy(update={"passages": 0})})
    found = investigate(lambda: read_stored(INCIDENT, {}, root), params)
    assert found.diagnosis.verdict is Verdict.UNDETERMINED
    assert found.pack.incident == INCIDENT
