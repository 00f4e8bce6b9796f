"""Whatever benchmarks/hostile.py tries is answered as its table says: on both stores, and over sockets."""

from pathlib import Path
from types import ModuleType

import pytest

from mimir_core.config import Params
from mimir_core.store.database import Database
from tasks import paths

SCRIPTS = paths.ROOT / "benchmarks"


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import hostile as script  # noqa: PLC0415

    return script


@pytest.mark.anyio
async def test_every_hostile_attempt_is_answered_as_expected_and_leaves_nothing_behind(
    hostile: ModuleType, database: Database, params: Params
) -> None:
    tried = await hostile.try_all(database, params)
    assert [one for one in tried if one.wrong] == []
    assert {one.kind for one in tried} >= {"keys", "secrets", "store away", "too often", "queue full"}


def test_bytes_that_are_no_request_stop_nobody(hostile: ModuleType, tmp_path: Path) -> None:
    tried = hostile.try_sockets(tmp_path)
    assert [one for one in tried if one.wrong] == []
    assert any(one.is_refused for one in tried)
