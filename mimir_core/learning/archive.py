"""A training run on a rented machine: what travels there, and what may come back.

Comes in: files by name, or a folder or archive that somebody else filled. Goes out: an archive, equal bytes for equal files; or
what the run says of itself. Surprises: this module travels too, so of the core it imports only what travels with it; what comes
back is a stranger's, so it is copied name by name from a short list, never unpacked, and an adapter may differ from what
`mimir_core/learning/finetune.py` makes in its weights alone.
"""

import gzip
import hashlib
import io
import json
import math
import os
import tarfile
import zlib
from collections.abc import Generator, Mapping
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import IO, Annotated, Any, NamedTuple

from pydantic import Field, ValidationError
from safetensors import SafetensorError, safe_open

from mimir_core.config import FinetuneSettings, Settings
from mimir_core.errors import InputError
from mimir_core.records import Record

MANIFEST, RESULT, SETTINGS = "MANIFEST.json", "result.json", "settings.yaml"
ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter/adapter_config.json", "adapter/adapter_model.safetensors"
FULL_WEIGHTS = "merged/model.safetensors"
_PARTS = {MANIFEST, RESULT, ADAPTER_CONFIG, ADAPTER_WEIGHTS, FULL_WEIGHTS}
_PICKLES = {".bin", ".ckpt", ".joblib", ".npy", ".npz", ".pickle", ".pkl", ".pt", ".pth"}
_MOST_JSON_BYTES = 4_000_000
_CHUNK = 1 << 20
_FLOATS = {"F16", "BF16", "F32"}
_HEAD = "lm_head.weight"
_SAID = {"base_model_name_or_path", "inference_mode", "peft_version", "target_modules"}
"""What the configuration of an adapter may say as it likes, or within what is checked."""
_WRAPPED = "base_model.model."
"""Before the name of each weight of an adapter, after that in its base."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Loss = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Name = Annotated[str, Field(max_length=200)]


class TrainingSettings(Settings):
    """What decides a run, beside its data: settings.yaml of the archive."""

    base: str
    """``model.base`` of params.yaml."""
    seed: int = Field(ge=0)
    finetune: FinetuneSettings


class Point(Record):
    """The losses at one step; None where one was not taken."""

    step: int = Field(ge=0)
    train: Loss | None
    dev: Loss | None


class Result(Record):
    """What a run says of itself: result.json."""

    settings: Sha256
    """Of settings.yaml."""
    data: dict[Name, Sha256]
    """Of each file of data/."""
    base: dict[Name, Sha256]
    """Of each file of base/; none where the base came from a hub."""
    limit: int | None
    """Chats of each split that were used; None: all."""
    counts: dict[Name, int]
    steps: int = Field(ge=1)
    loss: Loss
    dev_loss: Loss
    curve: tuple[Point, ...] = Field(max_length=10_000)
    resumed_at: int
    repeated_steps: int
    seconds: float
    machine: Name
    versions: dict[Name, Name]


class Expected(NamedTuple):
    """What a result must have been trained on to be of use here."""

    settings: TrainingSettings
    settings_hash: str
    data: Mapping[str, str]
    base: Mapping[str, str]
    base_folder: Path


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def hash_files(folder: Path, pattern: str = "**/*") -> dict[str, str]:
    """Return the SHA-256 of each file in ``folder``, by its name there."""
    return {file.relative_to(folder).as_posix(): hash_file(file) for file in sorted(folder.glob(pattern)) if file.is_file()}


def hash_text(text: str) -> str:
    """Return the SHA-256 of a file that holds ``text``."""
    return hashlib.sha256(text.encode()).hexdigest()


def pack(members: Mapping[str, Path | str], out: Path, top: str = "") -> dict[str, str]:
    """Write files and texts, and a manifest of them, as a tar.gz whose bytes they alone decide; return the manifest.

    Args:
        members: By name.
        out: Is there whole, or not at all.
        top: The folder that the archive unpacks to.
    """
    manifest = {
        name: hash_file(content) if isinstance(content, Path) else hash_text(content) for name, content in sorted(members.items())
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        with (
            unfinished.open("wb") as file,
            gzip.GzipFile("", "wb", 1, file, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w") as tar,
        ):
            for name, content in sorted({**members, MANIFEST: write_json(manifest)}.items()):
                _add(tar, str(PurePosixPath(top, name)), content)
        unfinished.replace(out)
    finally:
        unfinished.unlink(missing_ok=True)
    return manifest


def write_json(content: Any) -> str:
    """Return ``content`` as people read it."""
    return json.dumps(content, indent=2) + "\n"


def check_manifest(folder: Path) -> dict[str, str]:
    """Return the manifest of ``folder`` if every file that it lists is there and as it was.

    Raises:
        InputError: One is not, or the manifest cannot be read.
    """
    manifest = _read_json(folder / MANIFEST)
    present = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}
    for name, said in manifest.items():
        if name not in present:
            raise InputError(f"{name:.200}: {MANIFEST} lists it, and it is not there")
        if (found := hash_file(present[name])) != said:
            raise InputError(f"{name}: was changed: its SHA-256 is {found}, {MANIFEST} says {said!r:.80}")
    return manifest


def receive(source: Path, into: Path, most_bytes: int) -> None:
    """Copy the parts of a result, and refuse everything else that lies among them.

    Args:
        source: A folder, or a tar.gz.
        into: Receives the copies; is made.
        most_bytes: That all of them may take.

    Raises:
        InputError: A part is none of a result, a link, twice there, too large, or the archive is damaged.
    """
    if not source.exists():
        raise InputError(f"{source}: no such file or folder")
    seen: set[str] = set()
    left = most_bytes
    into.mkdir()
    try:
        with closing(_files_of_folder(source) if source.is_dir() else _files_of_tar(source, most_bytes)) as files:
            for said, content in files:
                name = _name_of_part(said)
                if name in seen:
                    raise InputError(f"{name}: is there twice")
                seen.add(name)
                left -= _copy(content, into / name, left)
    except (PermissionError, gzip.BadGzipFile, EOFError, zlib.error, tarfile.TarError, ValueError) as error:
        raise InputError(f"{source}: cannot be read, is no tar.gz or is damaged: {error}") from error


def check_result(folder: Path, expected: Expected) -> Result:
    """Return what a received result says of itself, if it was trained on what lies here.

    Raises:
        InputError: It is incomplete, changed, a try-out, or was trained on something else.
    """
    listed, found = check_manifest(folder), set(hash_files(folder)) - {MANIFEST}
    if unlisted := sorted(found - set(listed)):
        raise InputError(f"{unlisted[0]}: {MANIFEST} does not list it")
    weights = {FULL_WEIGHTS} if expected.settings.finetune.method == "full" else {ADAPTER_CONFIG, ADAPTER_WEIGHTS}
    if missing := sorted({RESULT, *weights} - found):
        raise InputError(f"{missing[0]}: is missing")
    if odd := sorted(found - {RESULT, *weights}):
        raise InputError(f"{odd[0]}: the method {expected.settings.finetune.method} writes no such file")
    result = _read_result(folder / RESULT)
    if result.limit is not None:
        raise InputError(f"{RESULT}: is a try-out: --limit {result.limit} left chats out")
    if result.settings != expected.settings_hash:
        raise InputError(f"{RESULT}: settings: trained with {result.settings}, params.yaml makes {expected.settings_hash}")
    for kind, said, here in (("data", result.data, expected.data), ("base", result.base, expected.base)):
        for name in sorted({*said, *here}):
            if said.get(name) != here.get(name):
                raise InputError(f"{RESULT}: {kind}/{name}: trained on {said.get(name)}, here lies {here.get(name)}")
    return result


def check_weights(folder: Path, expected: Expected) -> None:
    """Check that received weights fit the base, in names, shapes and numbers.

    Raises:
        InputError: They do not.
    """
    base = _read_shapes(expected.base_folder)
    if expected.settings.finetune.method == "full":
        _check_shapes(FULL_WEIGHTS, _read_weights(folder / FULL_WEIGHTS), base, _with_head(base))
        return
    targets = _check_adapter_config(_read_json(folder / ADAPTER_CONFIG), expected.settings)
    needed = _shapes_of_adapter(base, targets, expected.settings.finetune.rank)
    _check_shapes(ADAPTER_WEIGHTS, _read_weights(folder / ADAPTER_WEIGHTS), needed, needed)


# --- what is in an archive --------------------------------------------------------------------------------------


def _add(tar: tarfile.TarFile, name: str, content: Path | str) -> None:
    member = tarfile.TarInfo(name)
    member.mode = 0o644
    with content.open("rb") if isinstance(content, Path) else io.BytesIO(content.encode()) as file:
        member.size = file.seek(0, io.SEEK_END)
        file.seek(0)
        tar.addfile(member, file)


class _Bounded(gzip.GzipFile):
    """Unpacks no more than so much: a few bytes may unpack to a full disk or memory."""

    def __init__(self, path: Path, most_bytes: int) -> None:
        super().__init__(path, "rb")
        self._left = most_bytes

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= self._left:
            raise InputError("the archive unpacks to more than this base can need")
        content = super().read(size)
        self._left -= len(content)
        return content


def _files_of_folder(folder: Path) -> Generator[tuple[str, IO[bytes]], None, None]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise InputError(f"{name}: is a link")
        if path.is_dir():
            continue
        if not path.is_file():
            raise InputError(f"{name}: is no plain file")
        with path.open("rb") as content:
            yield name, content


def _files_of_tar(path: Path, most_bytes: int) -> Generator[tuple[str, IO[bytes]], None, None]:
    headers = len(_PARTS) * 10 * tarfile.BLOCKSIZE + tarfile.RECORDSIZE
    with _Bounded(path, most_bytes + headers) as packed, tarfile.open(fileobj=packed, mode="r|") as tar:
        for member in tar:
            if member.issym() or member.islnk():
                raise InputError(f"{member.name}: is a link")
            if member.isdir():
                continue
            content = tar.extractfile(member) if member.isreg() and not member.issparse() else None
            if content is None:
                raise InputError(f"{member.name}: is no plain file")
            yield member.name, content
        while packed.read(tarfile.BLOCKSIZE):
            """To its end, where its checksum stands."""


def _copy(content: IO[bytes], target: Path, most_bytes: int) -> int:
    """Write ``content`` and return its size."""
    size = 0
    target.parent.mkdir(exist_ok=True)
    with target.open("wb") as copy:
        while chunk := content.read(_CHUNK):
            if (size := size + len(chunk)) > most_bytes:
                raise InputError(f"{target.name}: the result is larger than this base can need")
            copy.write(chunk)
    return size


def _name_of_part(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise InputError(f"{name}: leads out of the archive")
    if path.suffix in _PICKLES:
        raise InputError(f"{name}: may run code when it is loaded; weights are taken as safetensors only")
    if path.as_posix() not in _PARTS:
        raise InputError(f"{name}: is no part of a result; those are {', '.join(sorted(_PARTS))}")
    return path.as_posix()


# --- what is in its files ---------------------------------------------------------------------------------------


def _read_bounded(path: Path) -> str:
    if not path.is_file():
        raise InputError(f"{path.name}: is missing")
    if (size := path.stat().st_size) > _MOST_JSON_BYTES:
        raise InputError(f"{path.name}: {size} bytes are more than {_MOST_JSON_BYTES}")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path.name}: is not UTF-8: {error}") from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(_read_bounded(path))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path.name}: is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path.name}: is no JSON object")
    return content


def _read_result(path: Path) -> Result:
    try:
        return Result.model_validate_json(_read_bounded(path))
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{path.name}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _check_adapter_config(config: Mapping[str, Any], settings: TrainingSettings) -> list[str]:
    """Return the names of the adapted modules; all else must be what the library does by itself.

    Some of its keys name modules to import or change what weights mean: none of them may be set.
    """
    from peft import LoraConfig  # noqa: PLC0415  # takes seconds, only when an adapter has come back

    usual: Any = LoraConfig(r=settings.finetune.rank, lora_alpha=settings.finetune.alpha, task_type="CAUSAL_LM")
    fixed = usual.to_dict()
    for key, value in config.items():
        if key not in _SAID and value != fixed.get(key):
            raise InputError(f"{ADAPTER_CONFIG}: {key}: is {value!r:.80}, the settings make it {fixed.get(key)!r:.80}")
    targets = config.get("target_modules")
    if not isinstance(targets, list) or not targets or not all(isinstance(name, str) for name in targets):
        raise InputError(f"{ADAPTER_CONFIG}: target_modules: is {targets!r:.80}, no list of names")
    return targets


def _shapes_of_adapter(base: Mapping[str, list[int]], targets: list[str], rank: int) -> dict[str, list[int]]:
    shapes: dict[str, list[int]] = {}
    for name, shape in base.items():
        module = name.removesuffix(".weight")
        if _is_among(module, targets):
            if len(shape) != len(("out", "in")):
                raise InputError(f"{ADAPTER_CONFIG}: target_modules: {module} of the base is no linear layer: {shape}")
            shapes[f"{_WRAPPED}{module}.lora_A.weight"] = [rank, shape[1]]
            shapes[f"{_WRAPPED}{module}.lora_B.weight"] = [shape[0], rank]
    if not any(name.endswith(".lora_A.weight") for name in shapes):
        raise InputError(f"{ADAPTER_CONFIG}: target_modules: {targets!r:.80} names nothing in the base")
    return shapes


def _is_among(module: str, names: list[str]) -> bool:
    return any(f".{module}".endswith(f".{name}") for name in names)


def _with_head(shapes: Mapping[str, list[int]]) -> dict[str, list[int]]:
    """Add the output layer where it is tied to the embeddings: it may be written or not."""
    embeddings = shapes.get("model.embed_tokens.weight")
    return {**({_HEAD: embeddings} if embeddings else {}), **shapes}


def _check_shapes(
    file: str, found: Mapping[str, list[int]], needed: Mapping[str, list[int]], possible: Mapping[str, list[int]]
) -> None:
    for name, shape in found.items():
        if name not in possible:
            raise InputError(f"{file}: {name}: does not belong to this base")
        if shape != possible[name]:
            raise InputError(f"{file}: {name}: has the shape {shape}, this base needs {possible[name]}")
    if missing := sorted(set(needed) - set(found)):
        raise InputError(f"{file}: {missing[0]}: is missing")


def _read_shapes(folder: Path) -> dict[str, list[int]]:
    """Return the shape of each weight of a model."""
    shapes: dict[str, list[int]] = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="np") as weights:
            shapes.update({name: weights.get_slice(name).get_shape() for name in weights.keys()})  # noqa: SIM118  # is no dict
    return shapes


def _read_weights(path: Path) -> dict[str, list[int]]:
    """Return the shape of each weight that came back, if all it holds are finite numbers."""
    shapes: dict[str, list[int]] = {}
    try:
        with safe_open(path, framework="pt") as weights:
            for name in weights.keys():  # noqa: SIM118  # is no dict
                if (kind := weights.get_slice(name).get_dtype()) not in _FLOATS:
                    raise InputError(f"{path.name}: {name}: holds {kind}, no floating point numbers")
                tensor = weights.get_tensor(name)
                if tensor.numel() and not math.isfinite(float(tensor.abs().max())):
                    raise InputError(f"{path.name}: {name}: holds what is no number")
                shapes[name] = list(tensor.shape)
    except SafetensorError as error:
        raise InputError(f"{path.name}: is no safetensors file: {error}") from error
    return shapes
