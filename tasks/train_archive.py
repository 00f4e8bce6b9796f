"""What `mimir train` runs: data, base and settings go out to a rented machine; an adapter comes back.

An archive holds the files of the core that a training run needs, not a second version of them: both sides train alike.
"""

import fcntl
import json
import logging
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mimir_core.config import Params
from mimir_core.errors import InputError
from mimir_core.learning import archive
from mimir_core.learning.archive import Expected, TrainingSettings
from mimir_core.learning.base import load
from mimir_core.learning.finetune import ADAPTER, MERGED, merge
from mimir_core.learning.splits import Split
from mimir_core.records import Chat
from tasks import paths
from tasks.base import MADE
from tasks.files import read_records

logger = logging.getLogger(__name__)

TOP = "mimir-train"
"""The folder that an archive unpacks to."""
_RENTED = paths.ROOT / "mimir_core" / "learning" / "rented"
_CORE = (
    *("__init__", "errors", "records", "config"),
    *(f"learning/{name}" for name in ("__init__", "archive", "base", "finetune", "lookup", "splits", "training")),
)
"""What training imports of the core."""
_LIBRARIES = (
    *("torch", "transformers", "trl", "peft", "bitsandbytes", "accelerate"),
    *("datasets", "tokenizers", "safetensors", "pyyaml", "pydantic"),
)
_DATA = "*.jsonl"
_REGISTERED = ("steps", "loss", "dev_loss", "counts", "machine", "seconds", "settings", "data", "base")
_ROOM = 4
"""What comes back takes at most so many times what the base takes, and this beside it:"""
_MORE_BYTES = 16_000_000


def export_training(params: Params, out: Path) -> dict[str, Any]:
    """Write an archive that trains without this repository; return what is in it.

    Raises:
        InputError: There are no chats yet, or no base.
    """
    data = {split.value: paths.SFT / f"{split.value}.jsonl" for split in Split}
    chats = {split: len(read_records(file, Chat)) for split, file in data.items()}
    settings = settings_of(params)
    base = hash_base(settings)
    if settings.base == MADE and not base:
        raise InputError(f"{paths.BASE}: holds no model: run `dvc repro base`")
    members: dict[str, Path | str] = {
        archive.SETTINGS: write_settings(settings),
        "requirements.txt": "\n".join(pins_of(_LIBRARIES, _read_lock())) + "\n",
        **{file.name: file for file in sorted(_RENTED.iterdir()) if file.is_file()},
        **{f"data/{file.name}": file for file in data.values()},
        **{f"base/{name}": paths.BASE / name for name in base},
        **{f"mimir_core/{name}.py": paths.ROOT / "mimir_core" / f"{name}.py" for name in _CORE},
    }
    manifest = archive.pack(members, out, TOP)
    size = out.stat().st_size
    logger.info("train: %s holds %s files, %.1f MB", out, len(manifest), size / 1e6)
    return {"archive": str(out), "bytes": size, "files": len(manifest), "chats": chats, "base": settings.base}


def import_training(params: Params, source: Path) -> dict[str, Any]:
    """Take in what a rented machine trained, as models/imported/ID with the merged model in it; return its line of the index.

    Raises:
        InputError: It was not trained on this base, these data and settings, or is not what such a run writes.
    """
    settings = settings_of(params)
    hashes = archive.hash_text(write_settings(settings)), archive.hash_files(paths.SFT, _DATA), hash_base(settings)
    expected = Expected(settings, *hashes, paths.BASE)
    if not (weights := [file.stat().st_size for file in paths.BASE.glob("*.safetensors")]):
        raise InputError(f"{paths.BASE}: holds no model: run `dvc repro base`")
    with _incoming() as folder:
        archive.receive(source, folder, _ROOM * sum(weights) + _MORE_BYTES)
        result = archive.check_result(folder, expected)
        archive.check_weights(folder, expected)
        identity = archive.hash_file(folder / archive.MANIFEST)[:16]
        place = paths.IMPORTED / identity
        if not place.is_dir():
            _complete(folder, settings.finetune.method)
            folder.replace(place)
        told = result.model_dump(mode="json")
        entry = {
            "id": identity,
            "imported_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "merged": f"{identity}/{MERGED}",
            "model": settings.base,
            "method": settings.finetune.method,
            **{key: told[key] for key in _REGISTERED},
        }
        return _register(entry)


def settings_of(params: Params) -> TrainingSettings:
    """Return what of params.yaml decides a training run."""
    return TrainingSettings(
        base=params.model.base,
        seed=params.model.seed,
        finetune=params.sizes.finetune,
    )


def write_settings(settings: TrainingSettings) -> str:
    """Return settings.yaml of an archive."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False)


def hash_base(settings: TrainingSettings) -> dict[str, str]:
    """Return the hash of each file of the base that travels; a base from a hub does not, it is fetched there by its name."""
    travels = settings.base == MADE or Path(settings.base).is_dir()
    return archive.hash_files(paths.BASE) if travels else {}


def pins_of(libraries: Iterable[str], locked: Mapping[str, str]) -> list[str]:
    """Return name==version of each library and of all that it needs, by what is installed here.

    >>> pins_of(["annotated-types"], {"annotated-types": "0.7.0", "torch": "2.0"})
    ['annotated-types==0.7.0']
    """
    todo: list[tuple[str, frozenset[str]]] = [(name, frozenset()) for name in libraries]
    seen = set(todo)
    while todo:
        name, extras = todo.pop()
        if name not in locked:
            raise InputError(f"{paths.LOCK}: does not hold {name}, which training needs: run `make lock`")
        wanted = [Requirement(text) for text in metadata.requires(name) or []]
        for need in wanted:
            found = (canonicalize_name(need.name), frozenset(need.extras))
            if found not in seen and _applies(need, extras):
                seen.add(found)
                todo.append(found)
    return [f"{name}=={locked[name]}" for name in sorted({name for name, _ in seen})]


def _applies(need: Requirement, extras: frozenset[str]) -> bool:
    return need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in {"", *extras})


def _read_lock() -> dict[str, str]:
    lines = paths.LOCK.read_text(encoding="utf-8").splitlines()
    return {canonicalize_name(name): version for name, found, version in (line.partition("==") for line in lines) if found}


def _complete(folder: Path, method: str) -> None:
    """Make of received weights a model that can be loaded; whatever is no weight comes from the base."""
    if method != "full":
        merge(paths.BASE, folder / ADAPTER, folder / MERGED)
        return
    for file in paths.BASE.iterdir():
        if file.suffix != ".safetensors":
            shutil.copyfile(file, folder / MERGED / file.name)
    load(folder / MERGED)


@contextmanager
def _incoming() -> Iterator[Path]:
    """Keep other imports out, and name a folder that is gone afterwards unless it was moved away."""
    paths.IMPORTED.mkdir(parents=True, exist_ok=True)
    with (paths.IMPORTED / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with tempfile.TemporaryDirectory(prefix=".incoming-", dir=paths.IMPORTED) as folder:
            yield Path(folder) / "result"


def _register(entry: dict[str, Any]) -> dict[str, Any]:
    """Add a line to the index, unless this result has one; return its line."""
    index = paths.IMPORTED / "index.json"
    known: list[dict[str, Any]] = json.loads(index.read_text(encoding="utf-8")) if index.is_file() else []
    if found := next((other for other in known if other["id"] == entry["id"]), None):
        return found
    fresh = index.with_suffix(".new")
    fresh.write_text("[\n" + ",\n".join(json.dumps(each) for each in [*known, entry]) + "\n]\n", encoding="utf-8")
    fresh.replace(index)
    logger.info("train: %s is imported, loss %s on the dev split", entry["id"], entry["dev_loss"])
    return entry
