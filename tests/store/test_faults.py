"""Workers that are killed cost nothing: the benchmark's own loop, small."""

import importlib.util
from pathlib import Path
from random import Random
from types import ModuleType

import pytest

from mimir_core.config import read_params
from tasks import paths

pytestmark = pytest.mark.anyio
KILLS = 4


@pytest.fixture
def faults() -> ModuleType:
    spec = importlib.util.spec_from_file_location("faults", paths.ROOT / "benchmarks" / "faults.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def test_killed_workers_lose_nothing_and_double_nothing(faults: ModuleType, url: str, tmp_path: Path) -> None:
    params = faults.quick(read_params(paths.PARAMS))
    ended = await faults.kill_workers(url, params, tmp_path, KILLS, Random(1))
    assert ended.kills == KILLS
    assert ended.interrupted
    assert (ended.survived, ended.lost, ended.doubled) == (ended.received, 0, 0)
    assert ended.received >= KILLS * faults.INCIDENTS_PER_KILL
