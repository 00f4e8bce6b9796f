"""What the tests of learning share: the shipped settings, packs made of log lines, and no way out to the network."""

from collections.abc import Callable, Iterator

import pytest

from mimir_core.analysis.pack import EvidenceEngine
from mimir_core.analysis.signs import SignTable
from mimir_core.config import Params
from mimir_core.records import EvidencePack, Incident
from mimir_core.telemetry.signals import Signals, Statement

PackOf = Callable[..., EvidencePack]


@pytest.fixture(scope="session")
def pack_of(params: Params, table: SignTable) -> PackOf:
    """Return what makes a pack of lines: ``pack_of("web", ("web", "it said this"))`` is about the component web."""
    engine = EvidenceEngine(lambda _query, _top_k: [], table, params)

    def make(service: str, *lines: tuple[str, str]) -> EvidencePack:
        said = [Statement("log", component, text, "case.txt") for component, text in lines]
        incident = Incident(id=f"i-{service}", title=f"{service} is slow", service=service)
        return engine.build_pack(Signals(incident, statements=said))

    return make


@pytest.fixture(scope="session", autouse=True)
def _no_hub() -> Iterator[None]:
    """No test asks a hub for anything: what is not on the disk is not there."""
    import huggingface_hub.constants  # noqa: PLC0415  # test_gold and test_prompt need no library of models

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
        yield


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Models as small as ours are computed faster by one thread than by several that wait for each other."""
    import torch  # noqa: PLC0415

    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(usual)
