"""Who diagnoses is a setting, and the run says who did."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from model_server import ModelServer, answers, hangs, says
from scripted_model import written

from mimir_core.config import Params, read_params
from mimir_core.errors import ParamsError
from mimir_core.telemetry.files import read_case
from tasks import paths, wiring
from tasks.diagnose import Investigation, investigate

CASE = paths.INCIDENTS / "amber-heron"
ParamsWith = Callable[..., Params]


class NoRunbooks:
    """Finds nothing, at once."""

    version = "none"

    def search(self, *_: Any) -> list[Any]:
        return []


@pytest.fixture(autouse=True)
def _no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "searcher_from", lambda _params: NoRunbooks())
    monkeypatch.delenv("MIMIR_MODEL_URL", raising=False)
    monkeypatch.delenv("MIMIR_MODEL_KEY", raising=False)


@pytest.fixture
def params_with() -> ParamsWith:
    shipped = read_params(paths.PARAMS)

    def changed(**reasoner: object) -> Params:
        quick = {"model": "m", "timeout_seconds": 30.0, "retries": 0, **reasoner}
        return shipped.model_copy(update={"reasoner": shipped.reasoner.model_copy(update=quick)})

    return changed


def look(params: Params) -> Investigation:
    return investigate(lambda: read_case(CASE), params)


def test_without_a_word_no_model_is_asked() -> None:
    assert read_params(paths.PARAMS).reasoner.kind == "builtin"


@pytest.mark.parametrize("kind", ["builtin", "auto"])
def test_without_an_endpoint_the_built_in_reasoner_diagnoses_and_nothing_is_degraded(params_with: ParamsWith, kind: str) -> None:
    found = look(params_with(kind=kind))
    assert (found.run.reasoner, found.run.model, found.run.prompt_hash) == ("builtin", None, None)
    assert found.diagnosis.degraded is None


def test_a_builtin_reasoner_asks_no_endpoint_that_is_there(
    params_with: ParamsWith, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIMIR_MODEL_URL", model_server.url)
    look(params_with(kind="builtin"))
    assert not model_server.bodies


@pytest.mark.parametrize("changed", [{"url": ""}, {"url": "http://127.0.0.1:9/v1", "model": ""}])
def test_a_model_that_nobody_named_is_a_mistake_in_the_params(params_with: ParamsWith, changed: dict[str, str]) -> None:
    with pytest.raises(ParamsError, match=r"reasoner\.model"):
        look(params_with(kind="model", **changed))


@pytest.mark.parametrize("kind", ["model", "auto"])
def test_the_run_says_who_answered_and_what_it_took(
    params_with: ParamsWith, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("MIMIR_MODEL_URL", model_server.url)
    monkeypatch.setenv("MIMIR_MODEL_KEY", "mine")
    model_server.script = [answers(written(missing=["the heap of quote-engine"]))]
    found = look(params_with(kind=kind, url="http://127.0.0.1:9/v1"))
    assert (found.run.reasoner, found.run.model) == ("model", "m")
    assert (found.run.input_tokens, found.run.output_tokens) == (30, 4)
    assert found.run.prompt_hash
    assert found.diagnosis.degraded is None
    assert "Bearer mine" in json.dumps(model_server.headers)


@pytest.mark.parametrize(
    ("kind", "deed"), [("auto", hangs), ("model", says(429)), ("auto", answers("x" * 1_000_000)), ("model", answers("no json"))]
)
def test_an_endpoint_that_fails_degrades_the_diagnosis_and_stops_nobody(
    params_with: ParamsWith, model_server: ModelServer, kind: str, deed: Callable[..., None]
) -> None:
    model_server.script = [deed]
    found = look(params_with(kind=kind, url=model_server.url, timeout_seconds=0.4 if deed is hangs else 30.0))
    assert (found.run.reasoner, found.run.model) == ("builtin", "m")
    assert found.diagnosis.degraded
    assert [cause.component for cause in found.diagnosis.causes] == ["quote-engine"]


@pytest.mark.parametrize("url", ["localhost:8000", "file:///etc/passwd", "http://a b"])
def test_a_url_that_is_none_is_refused(tmp_path: Path, url: str) -> None:
    text = paths.PARAMS.read_text(encoding="utf-8").replace('url: ""', f"url: {url}")
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ParamsError, match=r"reasoner\.url"):
        read_params(tmp_path / "params.yaml")
