"""A file that means nothing is refused before anybody is asked, and a key that stands in it is not repeated."""

from pathlib import Path

import pytest
import yaml

from mimir_core.config import Params
from mimir_core.errors import ParamsError
from mimir_core.harness.settings import BUILTIN, PROVIDERS, read_bench
from mimir_core.harness.stages import STAGES

ROOT = Path(__file__).parents[3]
MODEL = {"provider": "openai-compatible", "url": "http://127.0.0.1:9/v1", "model": "m", "data": "cases"}


def written(folder: Path, **content: object) -> Path:
    file = folder / "mine.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({**MODEL, "provder": "vllm"}, r"provder: Extra inputs are not permitted \(got 'vllm'\)"),
        ({"provider": "builtin"}, r"data: Field required \(got provider\)"),
        ({**MODEL, "provider": "watson"}, r"provider: .*'builtin', 'openai-compatible'.*\(got 'watson'\)"),
        ({**MODEL, "stages": ["correlation", "guess"]}, r"stages: .*no stage 'guess'; there are correlation, rca"),
        ({**MODEL, "stages": ["rca", "correlation"]}, "stages: .*the stage rca needs correlation before it"),
        ({**MODEL, "stages": ["correlation", "rca", "rca"]}, "stages: .*the stage rca stands there twice"),
        ({**MODEL, "stages": []}, "stages: .*names no stage"),
        ({**MODEL, "model": ""}, "provider openai-compatible needs model"),
        ({**MODEL, "url": ""}, "provider openai-compatible needs url"),
        ({**MODEL, "provider": "openai"}, "provider openai needs key_env"),
        ({**MODEL, "provider": "builtin"}, "provider builtin asks no model: leave out model, url"),
        ({**MODEL, "model_folder": "models/base"}, "model_folder is for provider vllm"),
        ({**MODEL, "price_per_million": {"input": -1, "output": 2}}, r"price_per_million\.input: .*\(got -1\)"),
        ({**MODEL, "price_per_million": {"input": 1}}, r"price_per_million\.output: Field required"),
        ({**MODEL, "concurrency": 0}, r"concurrency: .*\(got 0\)"),
        ({**MODEL, "name": "../up"}, r"name: .*\(got '\.\./up'\)"),
    ],
)
def test_what_cannot_be_run_is_refused_with_file_key_and_value(content: dict[str, object], told: str, tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=rf"mine\.yaml: .*{told}"):
        read_bench(written(tmp_path, **content))


@pytest.mark.parametrize(
    "content",
    [
        {**MODEL, "key_env": "sk-secret-0815"},
        {**MODEL, "api_key": "sk-secret-0815"},
        {**MODEL, "password": "sk-secret-0815"},
        {"provider": "openai", "model": "m", "api_key": "sk-secret-0815"},
        {**MODEL, "url": "http://me:sk-secret-0815@host/v1"},
    ],
    ids=["as a name", "unknown key", "password", "and another key is missing", "in the address"],
)
def test_a_key_in_the_file_is_refused_and_not_repeated(content: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(ParamsError) as refused:
        read_bench(written(tmp_path, **content))
    assert "secret" not in str(refused.value)


def test_what_is_left_out_is_as_the_provider_and_params_yaml_say(params: Params, tmp_path: Path) -> None:
    found = read_bench(written(tmp_path, provider="ollama", model="m", data="cases", guided=False, timeout_seconds=9))
    asking = found.asking(params.reasoner)
    assert (found.name, found.stages, found.prices) == ("mine", tuple(STAGES), None)
    assert (asking.kind, asking.provider, asking.url) == ("model", "openai", "http://localhost:11434/v1")
    assert (asking.guided, asking.timeout_seconds, asking.retries) == (False, 9, params.reasoner.retries)


def test_each_provider_is_asked_in_its_own_language(params: Params, tmp_path: Path) -> None:
    for name, provider in PROVIDERS.items():
        found = read_bench(written(tmp_path, provider=name, model="m", data="d", url="http://h/v1", key_env="KEY"))
        assert found.asking(params.reasoner).provider == provider.api
        assert found.address == "http://h/v1"


@pytest.mark.parametrize("file", sorted((ROOT / "examples").glob("bench-*.yaml")), ids=lambda file: file.stem)
def test_the_examples_can_be_run(file: Path) -> None:
    found = read_bench(file)
    assert (ROOT / found.data).is_dir()
    assert found.provider == BUILTIN or found.address
