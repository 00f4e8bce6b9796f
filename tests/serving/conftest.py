"""What the tests of serving share: a fake in the place of vLLM, and a folder that looks like a model."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from mimir_core.backends.vllm_server import VllmServer
from mimir_core.config import read_params
from tasks import paths


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VllmServer:
    """Return a server whose environment holds the fake, which behaves well until told otherwise."""
    package = tmp_path / "fake" / "vllm" / "entrypoints" / "openai"
    package.mkdir(parents=True)
    shutil.copyfile(Path(__file__).with_name("fake_vllm.py"), package / "api_server.py")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "fake"), str(paths.ROOT)]))
    monkeypatch.setenv("FAKE_VLLM", "well")
    settings = read_params(paths.PARAMS).serve.model_copy(update={"dtype": "float32", "start_seconds": 60})
    return VllmServer(settings, Path(sys.executable), tmp_path / "var")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return folder
