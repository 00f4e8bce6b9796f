"""A training run leaves, trains where this repository is not, and comes back; what does not fit is refused."""

import gzip
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from safetensors.torch import load_file, save_file

from mimir_core.config import BaseSettings, Params, read_params
from mimir_core.errors import InputError
from mimir_core.learning import archive
from mimir_core.learning.base import load, make_model, make_tokenizer, save
from mimir_core.learning.finetune import MERGED, finetune
from mimir_core.learning.splits import Split
from mimir_core.learning.training import Job
from mimir_core.records import Chat, Message
from tasks import paths
from tasks.files import read_records, write_records
from tasks.train_archive import TOP, export_training, import_training, settings_of, write_settings

RESULT, MANIFEST, CONFIG, WEIGHTS = archive.RESULT, archive.MANIFEST, archive.ADAPTER_CONFIG, archive.ADAPTER_WEIGHTS
TINY = BaseSettings(
    vocabulary=400,
    hidden=32,
    layers=1,
    heads=2,
    context=128,
    exercises=2,
    window=64,
    parts=0,
    epochs=1,
    batch=2,
    learning_rate=0.004,
)

Spoil = Callable[[Path], object]


class Home(NamedTuple):
    """A repository with a tiny base and few chats, and what a rented machine made of them."""

    root: Path
    params: Params
    rented: Path
    """The archive, unpacked and run."""
    result: Path


def _chat(number: int) -> Chat:
    messages = (
        Message(role="system", content="Name the cause."),
        Message(role="user", content=f"e{number} orders errors up\u2028c1 orders"),
        Message(role="assistant", content=f"c1 broke, see e{number}"),
    )
    return Chat(
        id=f"chat{number}",
        source="simulated",
        provenance=f"p{number}",
        system=f"s{number}",
        hinted=False,
        suspects={"c1": "orders"},
        causes=("c1",),
        first="c1",
        messages=messages,
    )


def _at(root: Path, patch: pytest.MonkeyPatch) -> None:
    for name in ("BASE", "IMPORTED", "SFT"):
        patch.setattr(paths, name, root / name.lower())


def _params(**finetune: object) -> Params:
    params = read_params(paths.PARAMS)
    small = {"method": "lora", "rank": 4, "alpha": 8, "batch": 2, "epochs": 1, "evaluations": 2, "packing": False, **finetune}
    sizes = params.sizes.model_copy(update={"finetune": params.sizes.finetune.model_copy(update=small)})
    model = params.model.model_copy(update={"base": "made"})
    return params.model_copy(update={"model": model, "profiles": {**params.profiles, params.profile: sizes}})


def _train(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run train.py by itself: -I and -c leave no path to this repository but what its environment installed."""
    code = (
        "import runpy, sys; sys.meta_path = [one for one in sys.meta_path if 'editable' not in repr(one).lower()];"
        "sys.path.insert(0, '.'); runpy.run_path('train.py', run_name='__main__')"
    )
    command = [sys.executable, "-I", "-c", code, *options]
    quiet = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "2"}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env={**os.environ, **quiet})


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    root = tmp_path_factory.mktemp("home")
    params = _params()
    with pytest.MonkeyPatch.context() as patch:
        _at(root, patch)
        numbers = {Split.TRAIN: range(8), Split.DEV: range(8, 10), Split.TEST: range(10, 12)}
        chats = {split: [_chat(number) for number in span] for split, span in numbers.items()}
        for split, members in chats.items():
            write_records(paths.SFT / f"{split.value}.jsonl", members)
        texts = [message.content for members in chats.values() for chat in members for message in chat.messages]
        tokenizer = make_tokenizer(texts, TINY)
        save(make_model(tokenizer, TINY, 1), tokenizer, paths.BASE)
        export_training(params, root / "out.tar.gz")
    rented = tmp_path_factory.mktemp("rented")
    with tarfile.open(root / "out.tar.gz") as tar:
        tar.extractall(rented, filter="data")
    done = _train(rented / TOP)
    assert done.returncode == 0, done.stderr
    return Home(root, params, rented / TOP, rented / TOP / "result.tar.gz")


@pytest.fixture
def returned(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of the result, to be spoilt, in front of a home of its own."""
    shutil.copytree(home.root / "base", tmp_path / "base")
    shutil.copytree(home.root / "sft", tmp_path / "sft")
    _at(tmp_path, monkeypatch)
    return Path(shutil.copytree(home.rented / "result", tmp_path / "result"))


def _sign(folder: Path) -> None:
    (folder / MANIFEST).unlink(missing_ok=True)
    (folder / MANIFEST).write_text(archive.write_json(archive.hash_files(folder)))


def _refused(params: Params, source: Path) -> str:
    with pytest.raises(InputError) as refusal:
        import_training(params, source)
    kept = [path.name for path in paths.IMPORTED.iterdir()] if paths.IMPORTED.exists() else []
    assert set(kept) <= {".lock"}
    return str(refusal.value)


def test_the_archive_holds_what_its_manifest_lists_and_pins_what_it_needs(home: Home) -> None:
    listed = json.loads((home.rented / MANIFEST).read_text())
    with tarfile.open(home.root / "out.tar.gz") as tar:
        assert set(tar.getnames()) == {f"{TOP}/{name}" for name in [*listed, MANIFEST]}
    assert listed == {name: archive.hash_file(home.rented / name) for name in listed}
    pins = dict(line.split("==") for line in (home.rented / "requirements.txt").read_text().splitlines())
    assert {"torch", "transformers", "trl", "peft", "bitsandbytes", "accelerate", "huggingface-hub"} <= set(pins)
    assert not {"prefect", "mlflow", "dvc", "mimir"} & set(pins)
    assert set(pins.items()) <= {tuple(line.split("==")) for line in paths.LOCK.read_text().split()}


def test_equal_files_make_an_equal_archive(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _at(home.root, monkeypatch)
    export_training(home.params, tmp_path / "again.tar.gz")
    assert (tmp_path / "again.tar.gz").read_bytes() == (home.root / "out.tar.gz").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["again.tar.gz"]


def test_the_code_that_travels_is_the_code_that_stays(home: Home) -> None:
    travelled = {path.relative_to(home.rented).as_posix() for path in home.rented.glob("mimir_core/**/*.py")}
    assert travelled
    assert not {name for name in travelled if (home.rented / name).read_bytes() != (paths.ROOT / name).read_bytes()}


def test_both_sides_train_alike(home: Home, returned: Path) -> None:
    chats = {split: read_records(paths.SFT / f"{split.value}.jsonl", Chat) for split in Split}
    job = Job(returned.parent / "here", returned.parent / "checkpoints", home.params.model.seed)
    finetune(paths.BASE, chats, home.params.sizes.finetune, job)
    here, there = load_file(job.out / WEIGHTS), load_file(returned / WEIGHTS)
    assert set(here) == set(there)
    assert all(torch.allclose(here[name], there[name], atol=1e-5) for name in here)


def test_the_notebook_is_one_and_runs_the_script(home: Home) -> None:
    notebook = json.loads((home.rented / "train.ipynb").read_text())
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    for cell in notebook["cells"]:
        code = {"execution_count", "outputs"} if cell["cell_type"] == "code" else set()
        assert set(cell) == {"cell_type", "id", "metadata", "source"} | code
    said = ["".join(cell["source"]) for cell in notebook["cells"]]
    for command in ("install --quiet -r requirements.txt", "train.py --limit 8", "train.py", "train.py --resume"):
        assert any(source.endswith(command) for source in said)


def test_what_comes_back_is_imported_once_and_can_be_loaded(home: Home, returned: Path) -> None:
    entry = import_training(home.params, home.result)
    assert import_training(home.params, returned) == entry
    assert json.loads((paths.IMPORTED / "index.json").read_text()) == [entry]
    assert {path.name for path in paths.IMPORTED.iterdir()} == {".lock", "index.json", entry["id"]}
    tuned, tokenizer = load(paths.IMPORTED / entry["merged"])
    base, _ = load(paths.BASE)
    ids = torch.tensor([tokenizer("c1 broke").input_ids])
    assert not torch.equal(tuned(ids).logits, base(ids).logits)
    assert entry["steps"] == 4


def test_a_changed_file_stops_the_training(home: Home, tmp_path: Path) -> None:
    rented = Path(shutil.copytree(home.rented, tmp_path / "rented"))
    with (rented / "data" / "train.jsonl").open("a") as file:
        file.write("{}\n")
    with pytest.raises(InputError, match=r"data/train\.jsonl: was changed"):
        archive.check_manifest(rented)


def test_all_weights_come_back_where_all_were_trained(home: Home, returned: Path) -> None:
    params = _params(method="full")
    shutil.rmtree(returned / "adapter")
    (returned / MERGED).mkdir()
    _, tokenizer = load(paths.BASE)
    save(make_model(tokenizer, TINY, 2), tokenizer, returned.parent / "other")
    shutil.copy(returned.parent / "other" / "model.safetensors", returned / archive.FULL_WEIGHTS)
    _with(RESULT, settings=archive.hash_text(write_settings(settings_of(params))))(returned)
    assert "adapter/adapter_config.json: is missing" in _refused(home.params, returned)
    tuned, _ = load(paths.IMPORTED / import_training(params, returned)["merged"])
    assert torch.equal(tuned.get_input_embeddings().weight, make_model(tokenizer, TINY, 2).get_input_embeddings().weight)


# --- what is refused --------------------------------------------------------------------------------------------


def test_a_result_of_other_data_is_refused(home: Home, returned: Path) -> None:
    write_records(paths.SFT / "dev.jsonl", [_chat(40)])
    assert f"{RESULT}: data/dev.jsonl: trained on" in _refused(home.params, returned)


def test_a_result_of_another_base_is_refused(home: Home, returned: Path) -> None:
    _, tokenizer = load(paths.BASE)
    save(make_model(tokenizer, TINY, 2), tokenizer, paths.BASE)
    assert f"{RESULT}: base/model.safetensors: trained on" in _refused(home.params, returned)


@pytest.mark.parametrize("other", [{"rank": 5}, {"epochs": 2}], ids=str)
def test_a_result_of_other_settings_is_refused(other: dict[str, object], returned: Path) -> None:
    assert f"{RESULT}: settings: trained with" in _refused(_params(**other), returned)


def _with(file: str, **values: object) -> Spoil:
    return lambda folder: _write(folder, file, json.dumps(json.loads((folder / file).read_text()) | values))


def _text(file: str, text: str) -> Spoil:
    return lambda folder: _write(folder, file, text)


def _write(folder: Path, file: str, text: str) -> None:
    (folder / file).parent.mkdir(exist_ok=True)
    (folder / file).write_text(text)
    _sign(folder)


def _manifest(text: str) -> Spoil:
    return lambda folder: (folder / MANIFEST).write_text(text)


def _weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Spoil:
    def spoil(folder: Path) -> None:
        weights = load_file(folder / WEIGHTS)
        change(weights)
        save_file(weights, folder / WEIGHTS)
        _sign(folder)

    return spoil


def _first(weights: dict[str, torch.Tensor]) -> str:
    return min(name for name in weights if "lora_A" in name)


def _twist(weights: dict[str, torch.Tensor]) -> None:
    weights[_first(weights)] = weights[_first(weights)].T.contiguous()


def _poison(weights: dict[str, torch.Tensor]) -> None:
    weights[_first(weights)][0, 0] = float("nan")


def _unsigned(folder: Path) -> None:
    (folder / RESULT).write_text((folder / RESULT).read_text() + " ")


def _listed_less(folder: Path) -> None:
    _sign(folder)
    listed = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps({name: said for name, said in listed.items() if name != WEIGHTS}))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_with(RESULT, limit=3), "result.json: is a try-out"),
        (_with(RESULT, loss=None), "result.json: loss"),
        (_with(RESULT, note="x"), "result.json: note"),
        (_text(RESULT, "[" * 100_000), "result.json: "),
        (_text(RESULT, '{"loss": NaN}'), "result.json: "),
        (lambda folder: (folder / RESULT).unlink(), "result.json: MANIFEST.json lists it, and it is not there"),
        (_unsigned, "result.json: was changed"),
        (_listed_less, "adapter/adapter_model.safetensors: MANIFEST.json does not list it"),
        (lambda folder: (folder / MANIFEST).unlink(), "MANIFEST.json: is missing"),
        (_manifest("[" * 100_000), "MANIFEST.json: is not JSON"),
        (_manifest('{"../base/config.json": 1}'), "MANIFEST.json lists it, and it is not there"),
        (_manifest("[]"), "MANIFEST.json: is no JSON object"),
        (lambda folder: (folder / MANIFEST).write_bytes(b"\xff"), "MANIFEST.json: is not UTF-8"),
        (lambda folder: (folder / "adapter" / "adapter_model.bin").touch(), "adapter_model.bin: may run code"),
        (lambda folder: (folder / "run.sh").touch(), "run.sh: is no part of a result"),
        (lambda folder: (folder / "config.json").symlink_to("/etc/passwd"), "config.json: is a link"),
        (lambda folder: os.mkfifo(folder / "pipe"), "pipe: is no plain file"),
        (_text(archive.FULL_WEIGHTS, ""), "merged/model.safetensors: the method lora writes no such file"),
        (lambda folder: (folder / WEIGHTS).write_bytes(bytes(20_000_000)), "is larger than this base can need"),
        (_text(WEIGHTS, "\x80\x04 pickle"), "adapter_model.safetensors: is no safetensors file"),
        (_weights(_twist), "has the shape"),
        (_weights(_poison), "holds what is no number"),
        (_weights(lambda weights: weights.pop(_first(weights))), "is missing"),
        (_weights(lambda weights: weights.update(extra=torch.zeros(1))), "extra: does not belong to this base"),
        (_weights(lambda weights: weights.update({_first(weights): torch.zeros(4, 32, dtype=torch.int64)})), "holds I64"),
        (_with(CONFIG, r=64), "adapter/adapter_config.json: r: is 64"),
        (_with(CONFIG, megatron_config={"a": 1}), "adapter/adapter_config.json: megatron_config"),
        (_with(CONFIG, auto_mapping={"parent_library": "os"}), "adapter/adapter_config.json: auto_mapping"),
        (_with(CONFIG, peft_type="IA3"), "adapter/adapter_config.json: peft_type"),
        (_with(CONFIG, surprise=1), "adapter/adapter_config.json: surprise"),
        (_with(CONFIG, target_modules="(a+)+"), "adapter/adapter_config.json: target_modules"),
        (_with(CONFIG, target_modules=["norm"]), "is no linear layer"),
        (_with(CONFIG, modules_to_save=["q_proj"]), "adapter/adapter_config.json: modules_to_save"),
    ],
)
def test_a_spoilt_result_is_refused_by_file_and_reason(home: Home, returned: Path, spoil: Spoil, reason: str) -> None:
    spoil(returned)
    assert reason in _refused(home.params, returned)


def _member(name: str, **fields: object) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(member, field, value)
    return member


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (_member("../evil.json"), "../evil.json: leads out of the archive"),
        (_member("adapter/../../result.json"), "leads out of the archive"),
        (_member("/etc/cron.d/evil"), "/etc/cron.d/evil: leads out of the archive"),
        (_member("adapter", type=tarfile.SYMTYPE, linkname="/tmp"), "adapter: is a link"),  # noqa: S108  # never written
        (_member(RESULT, type=tarfile.LNKTYPE, linkname="/etc/passwd"), "result.json: is a link"),
        (_member(RESULT, type=tarfile.CHRTYPE), "result.json: is no plain file"),
        (_member("adapter/weights.pkl"), "adapter/weights.pkl: may run code"),
        (_member(f"./{MANIFEST}"), "MANIFEST.json: is there twice"),
    ],
    ids=str,
)
def test_an_archive_with_an_odd_member_is_refused(home: Home, returned: Path, member: tarfile.TarInfo, reason: str) -> None:
    odd = returned.parent / "odd.tar.gz"
    with tarfile.open(odd, "w:gz") as tar:
        tar.add(returned / MANIFEST, MANIFEST)
        tar.addfile(member, io.BytesIO())
    assert reason in _refused(home.params, odd)
    assert not list(returned.parent.glob("evil*"))


def test_a_few_bytes_that_unpack_to_many_are_refused(home: Home, returned: Path) -> None:
    bomb = returned.parent / "bomb.tar.gz"
    with tarfile.open(bomb, "w:gz", pax_headers={"comment": "x" * 40_000_000}) as tar:
        tar.add(returned / MANIFEST, MANIFEST)
    assert "unpacks to more" in _refused(home.params, bomb)


def test_a_damaged_archive_is_refused(home: Home, returned: Path) -> None:
    whole = home.result.read_bytes()
    damaged = returned.parent / "damaged.tar.gz"
    for content in (b"", b"no archive", whole[: len(whole) // 2], whole[:-5], gzip.compress(b"x" * 2000)):
        damaged.write_bytes(content)
        assert _refused(home.params, damaged)
    assert "no such file" in _refused(home.params, returned / "nowhere.tar.gz")
