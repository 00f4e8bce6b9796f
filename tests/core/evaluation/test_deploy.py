"""The stage `deploy`, with a scripted endpoint in the place of vLLM: who is asked what, and what is written down."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest
from model_server import ModelServer, answers, says

from mimir_core.backends.vllm_server import MODEL, Served
from mimir_core.config import Params
from mimir_core.errors import BackendError, InputError, ParamsError
from mimir_core.evaluation.generations import Generation
from mimir_core.evaluation.variants import TRIVIAL, VARIANTS, Altered
from mimir_core.learning.finetune import ADAPTER
from mimir_core.records import EvidenceKind, Example
from tasks import paths, wiring
from tasks.deploy import deploy
from tasks.files import read_records, write_records

EMPTY = json.dumps(
    {key: [] for key in ("symptoms", "hypotheses", "checks", "causes", "actions", "missing")} | {"verdict": "healthy"}
)
ABLATION = "ablation:top_k=0"


class Here(Served):
    """A server that needs no process."""

    def engine(self) -> str:
        return "scripted 1"

    def resident_mib(self) -> float:
        return 12.0

    def check(self) -> None:
        """It lives."""


class Dead(Here):
    """One whose process is gone by the end."""

    def check(self) -> NoReturn:
        raise BackendError("the engine ended with code 9")


@dataclass
class Farm:
    """In the place of what starts servers."""

    endpoint: ModelServer
    kind: type[Served] = Here
    started: tuple[tuple[Path, tuple[str, ...]], ...] = ()

    @contextmanager
    def serving(self, model: Path, adapters: Mapping[str, Path]) -> Iterator[Served]:
        self.started += ((model, tuple(adapters)),)
        process: Any = None
        yield self.kind(self.endpoint.url, (MODEL, *adapters), Path("a.log"), "key", process)


@pytest.fixture
def farm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model_server: ModelServer, cases: list[Example]) -> Farm:
    for name in ("ALTERED", "HELD_OUT", "GENERATIONS", "REPORTS", "TUNED"):
        monkeypatch.setattr(paths, name, tmp_path / getattr(paths, name).relative_to(paths.ROOT))
    farm = Farm(model_server)
    monkeypatch.setattr(wiring, "model_server_from", lambda _params: farm)
    write_records(paths.HELD_OUT, cases)
    model_server.script = [answers(EMPTY)]
    return farm


Sized = Callable[..., Params]


@pytest.fixture
def sized(params: Params) -> Sized:
    def change(**changes: Any) -> Params:
        sizes = {"cases": 4, "ablations": {"top_k": (0,)}, "concurrency": 4, "answer_tokens": 64} | changes
        seeds = {"seeds": sizes.pop("seeds", ())}
        profile = params.sizes.model_copy(update=seeds | {"deploy": params.sizes.deploy.model_copy(update=sizes)})
        reasoner = params.reasoner.model_copy(update={"retries": 0})
        return params.model_copy(update={"profiles": {params.profile: profile}, "reasoner": reasoner})

    return change


def test_every_variant_is_asked_about_every_case_free_and_held_and_an_ablation_only_held(farm: Farm, sized: Sized) -> None:
    deploy(sized())
    written = read_records(paths.GENERATIONS, Generation)
    counts = Counter((one.variant, one.guided) for one in written)
    assert counts == dict.fromkeys([(name, guided) for name in VARIANTS for guided in (False, True)], 4) | {(ABLATION, True): 4}
    assert [one.case for one in written if one.variant == "tuned" and one.guided] == ["a", "b", "c", "d"]
    assert all((one.text, one.input_tokens, one.output_tokens, one.failed) == (EMPTY, 30, 4, None) for one in written)
    held = [body["response_format"]["json_schema"]["schema"] for body in farm.endpoint.bodies if "response_format" in body]
    assert sorted({len(schema["properties"]) for schema in held}) == [2, 7]  # a choice of verdict and causes, and the five steps
    assert not set(TRIVIAL) & {one.variant for one in written}


def test_each_model_is_served_once_and_the_report_says_how_fast_it_writes(farm: Farm, sized: Sized) -> None:
    (paths.TUNED / ADAPTER).mkdir(parents=True)
    deploy(sized())
    assert farm.started == ((paths.BASE, (ADAPTER,)), *((folder, ()) for folder in paths.CANDIDATES.values()))
    report = json.loads((paths.REPORTS / "deploy.json").read_text())
    assert (report["engine"], report["cases"], report["answers"], report["failed"]) == ("scripted 1", 4, 60, 0)
    assert list(report["variants"]) == ["base", ADAPTER, "bf16", "gptq", "awq"]
    for told in report["variants"].values():
        assert set(told) == {"start_s", "tokens_per_s_1", "tokens_per_s_32", "memory_mib", "smoke"}
        assert (told["memory_mib"], told["smoke"]) == (12.0, "ok")
        assert told["tokens_per_s_1"] > 0
    assert report["client_share_of_raw_throughput"] > 0


def test_a_model_of_another_seed_is_served_and_asked_as_the_tuned_one(farm: Farm, sized: Sized) -> None:
    deploy(sized(seeds=(2, 5)))
    assert [folder for folder, _ in farm.started[-2:]] == [paths.SEEDS / seed / "merged" for seed in ("2", "5")]
    counts = Counter((one.variant, one.guided) for one in read_records(paths.GENERATIONS, Generation))
    assert [counts[f"ablation:seed={seed}", guided] for seed in (2, 5) for guided in (False, True)] == [0, 4, 0, 4]
    assert list(json.loads((paths.REPORTS / "deploy.json").read_text())["variants"])[-2:] == ["seed_2", "seed_5"]


@pytest.mark.usefixtures("farm")
def test_the_same_few_cases_are_asked_about_each_time(sized: Sized) -> None:
    asked = []
    for _ in range(2):
        deploy(sized(cases=2))
        asked.append({one.case for one in read_records(paths.GENERATIONS, Generation)})
    assert asked[0] == asked[1]
    assert len(asked[0]) == 2


def test_an_ablation_of_the_index_shows_the_same_cases_with_the_passages_of_another_index(
    farm: Farm, sized: Sized, cases: list[Example], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = "# Database connections\n\n## {}\n\n" + "A database that gives out its last connection refuses the next client. " * 4
    (tmp_path / "pages").mkdir()
    for heading in ("Diagnosis", "Mitigation"):
        (tmp_path / "pages" / f"{heading}.md").write_text(page.format(heading))
    for name in ("PARSED", "EMBEDDINGS", "ABLATIONS"):
        monkeypatch.setattr(paths, name, tmp_path / "var" / name)
    params = sized(cases=1, ablations={"embedding": ("hashed_words",)})
    ingest = params.ingest.model_copy(update={"folders": (str(tmp_path / "pages"),)})
    diagnose = params.diagnose.model_copy(update={"min_passage_score": 0.0})
    deploy(params.model_copy(update={"ingest": ingest, "diagnose": diagnose}))
    [altered] = read_records(paths.ALTERED, Altered)
    [case] = [case for case in cases if case.id == altered.case]
    before, after = (
        [item for item in pack.evidence if item.kind is not EvidenceKind.RUNBOOK] for pack in (case.pack, altered.pack)
    )
    assert before == after
    shown = {item.subject for item in altered.pack.evidence if item.kind is EvidenceKind.RUNBOOK}
    assert shown == {"Database connections > Diagnosis", "Database connections > Mitigation"}
    asked = [str(body["messages"]) for body in farm.endpoint.bodies if "messages" in body]
    assert len([text for text in asked if "Database connections > Mitigation" in text]) == 1


@pytest.mark.parametrize("tried", [{"embedding": ("best",)}, {"chunk_words": (0,)}, {"chunk_words": ("few",)}])
def test_an_index_that_cannot_be_made_is_refused_before_anything_starts(
    tried: dict[str, tuple[int | str, ...]], farm: Farm, sized: Sized
) -> None:
    with pytest.raises(ParamsError, match=r"deploy\.ablations\.\w+: .* cannot be tried"):
        deploy(sized(ablations=tried))
    assert not farm.started


def test_what_is_no_answer_is_told_apart_from_what_is_none(farm: Farm, sized: Sized) -> None:
    farm.endpoint.script = [answers("I would rather not")]
    deploy(sized())
    report = json.loads((paths.REPORTS / "deploy.json").read_text())
    assert "the answer" in report["variants"]["bf16"]["smoke"]
    assert report["failed"] == 0


def test_a_server_that_died_ends_the_stage_and_writes_nothing(farm: Farm, sized: Sized) -> None:
    farm.kind = Dead
    with pytest.raises(BackendError, match="ended with code 9"):
        deploy(sized())
    assert not paths.GENERATIONS.exists()


def test_a_server_that_cannot_be_measured_ends_the_stage(farm: Farm, sized: Sized) -> None:
    farm.endpoint.script = [says(500)]
    with pytest.raises(BackendError, match="measuring its speed failed"):
        deploy(sized())


def test_without_held_out_cases_there_is_nothing_to_ask(farm: Farm, sized: Sized) -> None:
    write_records(paths.HELD_OUT, [])
    with pytest.raises(InputError, match="holds no case"):
        deploy(sized())
    assert not farm.started
