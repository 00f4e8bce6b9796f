"""vLLM itself loads and answers every format that Mimir writes: the merged model, its adapter, GPTQ, AWQ."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model

from mimir_core.backends.vllm_server import MODEL, Served, VllmServer
from mimir_core.config import BaseSettings, QuantizeSettings, read_params
from mimir_core.learning.base import load, make_model, make_tokenizer, save
from mimir_core.learning.quantize import FORMATS, quantize
from mimir_core.records import Chat, Message
from tasks import paths

SETTINGS = read_params(paths.PARAMS).serve.model_copy(update={"dtype": "float32", "kv_cache_mib": 64, "start_seconds": 900})
PYTHON = paths.ROOT / SETTINGS.python
SIZES = BaseSettings(
    vocabulary=400,
    hidden=64,
    layers=2,
    heads=2,
    context=160,
    exercises=2,
    window=160,
    parts=0,
    epochs=1,
    batch=1,
    learning_rate=0.01,
)
ADAPTER = "night"
CHAT = Chat(
    id="t1",
    source="gold",
    provenance="case 1",
    system="amber",
    hinted=False,
    suspects={"c1": "db"},
    causes=("c1",),
    first="c1",
    messages=tuple(
        Message.model_validate({"role": role, "content": content})
        for role, content in (
            ("system", "Diagnose."),
            ("user", "c1 db\ne1 log db: disk full"),
            ("assistant", '{"causes":["c1"]}'),
        )
    ),
)
QUESTION = list(range(10, 110))
SCHEMA = {
    "type": "object",
    "properties": {"cause": {"enum": ["c1", "c2"]}, "sure": {"type": "boolean"}},
    "required": ["cause", "sure"],
    "additionalProperties": False,
}

pytestmark = pytest.mark.skipif(not PYTHON.is_file(), reason=f"{SETTINGS.python} is not there: make setup-vllm")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random model in every format."""
    root = tmp_path_factory.mktemp("models")
    tokenizer = make_tokenizer([message.content for message in CHAT.messages], SIZES)
    model = make_model(tokenizer, SIZES, 1)
    save(model, tokenizer, root / "merged")
    for name in FORMATS:
        quantize(root / "merged", [CHAT], name, root / name, QuantizeSettings(calibration=1, group=64, measured=1))
    adapter = LoraConfig(r=8, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
    get_peft_model(model, adapter).save_pretrained(root / ADAPTER)
    return root


@pytest.fixture(scope="module", params=["merged", *FORMATS])
def served(
    request: pytest.FixtureRequest, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Served]]:
    adapters = {ADAPTER: folder / ADAPTER} if request.param == "merged" else {}
    server = VllmServer(SETTINGS, PYTHON, tmp_path_factory.mktemp("vllm"))
    with server.serving(folder / request.param, adapters) as running:
        yield request.param, running


def ask(served: Served, path: str, **asked: Any) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {served.key}"}
    reply = httpx.post(f"{served.url}/{path}", headers=headers, json=asked, timeout=300, trust_env=False)
    choice: dict[str, Any] = reply.raise_for_status().json()["choices"][0]
    return choice


def test_it_computes_what_we_compute(served: tuple[str, Served], folder: Path) -> None:
    name, server = served
    for asked in server.models:
        model, _ = load(folder / name, dtype=torch.float32)
        computes: Any = model if asked == MODEL else PeftModel.from_pretrained(model, folder / ADAPTER)
        with torch.no_grad():
            expected = torch.log_softmax(computes(torch.tensor([QUESTION])).logits[0, -1], dim=-1)
        choice = ask(server, "completions", model=asked, prompt=QUESTION, max_tokens=1, temperature=0, logprobs=1)
        assert choice["logprobs"]["token_logprobs"][0] == pytest.approx(float(expected.max()), abs=0.02)


def test_an_answer_keeps_to_the_schema_and_holds_no_blanks(served: tuple[str, Served]) -> None:
    _, server = served
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
    for asked in server.models:
        messages = [{"role": "user", "content": "Which?"}]
        choice = ask(server, "chat/completions", model=asked, messages=messages, max_tokens=60, response_format=wanted)
        answer = choice["message"]["content"]
        assert answer == json.dumps(json.loads(answer), separators=(",", ":"))
        assert json.loads(answer)["cause"] in {"c1", "c2"}


def test_it_survives_many_long_questions_with_seeds(served: tuple[str, Served]) -> None:
    _, server = served
    with ThreadPoolExecutor(32) as pool:
        asked = [{"model": MODEL, "prompt": QUESTION, "max_tokens": 8, "temperature": 1.0, "seed": seed} for seed in range(32)]
        answers = list(pool.map(lambda one: ask(server, "completions", **one)["text"], asked))
    assert len(set(answers)) > 1
