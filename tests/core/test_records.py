"""Records mean one thing only, and settings say what is wrong with them."""

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from mimir_core.config import read_params
from mimir_core.errors import BackendError, EmptyStageError, InputError, MimirError, ParamsError
from mimir_core.records import CATEGORY_OF, Evidence, EvidenceKind, FaultKind, Measurement

_PARAMS = Path(__file__).parents[2] / "params.yaml"


def _evidence(**changes: object) -> Evidence:
    return Evidence.model_validate({"kind": "log", "component": "web", "subject": "OOMKilled", "origin": "a.txt", **changes})


def test_an_evidence_id_follows_from_its_content_alone() -> None:
    assert _evidence().id == _evidence().id == _evidence(score=0.7, collected_at="2026-01-01T00:00:00Z").id
    different = [
        {"component": "api"},
        {"subject": "x"},
        {"origin": "b"},
        {"query": "q"},
        {"excerpt": "e"},
        {"value": Measurement(after=1)},
    ]
    assert len({_evidence(**change).id for change in different} | {_evidence().id}) == len(different) + 1


def test_evidence_with_another_id_is_refused() -> None:
    forged = _evidence().model_dump() | {"component": "someone-else"}
    with pytest.raises(ValidationError, match="does not match its content"):
        Evidence.model_validate(forged)


def test_records_survive_the_way_through_json() -> None:
    item = _evidence(kind=EvidenceKind.METRIC, value=Measurement(before=1.5, after=3, noise=0.1))
    assert Evidence.model_validate_json(item.model_dump_json()) == item


def test_every_fault_kind_has_a_category() -> None:
    assert set(CATEGORY_OF) == set(FaultKind)


def test_errors_have_the_exit_codes_of_the_design() -> None:
    codes = {error: error.exit_code for error in (InputError, EmptyStageError, ParamsError, BackendError)}
    assert codes == {InputError: 3, EmptyStageError: 3, ParamsError: 4, BackendError: 5}
    assert all(issubclass(error, MimirError) for error in codes)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"retrieve": {"top_k": 5, "candidates": 50, "topk": 1}}, "retrieve.topk"),
        ({"index": {"model": "m"}}, "index.batch_size"),
        ({"logs": {"similarity": 2, "depth": 4, "max_templates": 100, "burst_ratio": 3}}, "logs.similarity"),
        ({"dignose": {}}, "dignose"),
    ],
)
def test_a_bad_key_in_params_is_named(tmp_path: Path, change: dict[str, object], named: str) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load(_PARAMS.read_text()) | change))
    with pytest.raises(ParamsError, match=named):
        read_params(file)


@pytest.mark.parametrize("content", ["", "a: [", "- 1", "ingest: 3"])
def test_params_that_are_no_settings_are_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(content)
    with pytest.raises(ParamsError, match=r"params\.yaml"):
        read_params(file)
