"""Figures say what they say, and nothing more."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from deployment.cli import main
from mimir_core.errors import InputError
from mimir_core.evaluation.diagnosis import Answered, Truth, summarize
from mimir_core.evaluation.retrieval import score_rankings
from mimir_core.reasoning.answer import answer_of
from mimir_core.records import Category, Cause, Diagnosis, FaultKind, Verdict
from tasks.bench_diagnosis import read_truth
from tasks.bench_retrieval import read_pairs

runner = CliRunner()


def answered(case_id: str, fault: FaultKind | None, truth: Truth, answer: str = "") -> Answered:
    causes = (Cause(component="web", fault_kind=fault, confidence=0.5, evidence_ids=("e1",)),) if fault else ()
    verdict = Verdict.CAUSE_FOUND if fault else Verdict.UNDETERMINED
    diagnosis = Diagnosis(incident_id=case_id, verdict=verdict, headline="h", reason="r", causes=causes)
    return Answered(case_id, diagnosis, answer, "the disk is full and so on", truth)


# --- retrieval ------------------------------------------------------------------------------------------------------


def test_the_first_right_page_counts_and_a_page_that_is_not_ranked_is_a_miss() -> None:
    rankings = {"a": ["x", "right", "other"], "b": ["x", "y"]}
    figures = score_rankings(rankings, {"a": {"right", "other"}, "b": {"z"}})
    assert figures["hit@1"] == 0
    assert figures["hit@5"] == 0.5
    assert figures["mrr"] == 0.25
    assert 0 < figures["ndcg@10"] < 0.5


def test_a_line_that_is_no_question_is_named(tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text('{"query": "disk full"}\n{"question": "what?"}\n')
    with pytest.raises(InputError, match=r"pairs\.jsonl: line 2: is no question"):
        read_pairs(pairs)
    with pytest.raises(InputError, match="no such file"):
        read_pairs(tmp_path / "nothing.jsonl")


# --- diagnosis ------------------------------------------------------------------------------------------------------


def test_baselines_stand_beside_the_figures_and_what_has_no_truth_is_unscored() -> None:
    full = Truth(category=Category.RESOURCE_EXHAUSTION, required=("disk",))
    summary = summarize(
        [
            answered("a", FaultKind.DISK, full, "the disk is full"),
            answered("b", FaultKind.IMAGE, full, "the image"),
            answered("c", FaultKind.DISK, Truth(category=Category.INFRASTRUCTURE)),
            answered("d", None, Truth()),
        ]
    )
    assert (summary["cases"], summary["unscored"]) == (4, 1)
    assert (summary["category"]["right"], summary["category"]["of"]) == (1, 3)
    assert (summary["words"]["right"], summary["baselines"]["evidence_dump"]["words"]["right"]) == (1, 2)
    assert summary["baselines"]["constant_category"]["answer"] == "resource_exhaustion"
    assert summary["baselines"]["most_frequent_cause"]["answer"] == "disk"


def test_a_cause_for_a_healthy_case_is_an_invented_one() -> None:
    well = Truth(category=Category.HEALTHY, verdict=Verdict.HEALTHY)
    summary = summarize([answered("a", FaultKind.DISK, well), answered("b", None, well)])
    assert summary["healthy_with_invented_cause"]["right"] == 1


def test_held_out_cases_are_reported_apart() -> None:
    seen = Truth(verdict=Verdict.CAUSE_FOUND, causes=(("web", FaultKind.DISK),))
    summary = summarize([answered("a", FaultKind.DISK, seen), answered("b", FaultKind.CPU, seen._replace(is_held_out=True))])
    assert (summary["cases"], summary["cause_and_fault"]["share"]) == (1, 1.0)
    assert (summary["held_out"]["cases"], summary["held_out"]["cause_and_fault"]["share"]) == (1, 0.0)


def test_a_truth_that_makes_no_sense_is_named(tmp_path: Path) -> None:
    (tmp_path / "expected.yaml").write_text("verdict: perhaps\ncauses: []\n")
    with pytest.raises(InputError, match=r"expected\.yaml: the truth makes no sense"):
        read_truth(tmp_path)


def test_an_answer_is_whole_sentences_within_its_words() -> None:
    long = Diagnosis(incident_id="i", verdict=Verdict.UNDETERMINED, headline="word " * 20, reason="Because: no. " * 30)
    assert answer_of(long, 25) == long.headline.strip()


# --- the commands ---------------------------------------------------------------------------------------------------


def bench(*arguments: str, out: Path) -> dict[str, Any]:
    done = runner.invoke(main.app, ["bench", *arguments, "--json", str(out)])
    assert done.exit_code == 0, done.output
    report: dict[str, Any] = json.loads(out.read_text())
    return report


def test_bench_retrieval_ranks_every_question_by_every_method(tmp_path: Path) -> None:
    for name, words in (("DiskFull", "The disk is full."), ("PodCrash", "The pod crashes."), ("CertExpired", "TLS expired.")):
        page = tmp_path / "corpus" / "team" / f"{name}.md"
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(f"# {name}\n\n{words} " + "Look at it, find out why, repair it and say so to those who wait. " * 3)
    pairs = [{"id": "q1", "query": "disk is full", "relevant": ["team/DiskFull.md"]}, {"id": "q2", "query": "certificate"}]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    report = bench("retrieval", str(tmp_path), out=tmp_path / "out.json")
    assert set(report["methods"]) == {"bm25", "vector", "hybrid"}
    for method in report["methods"].values():
        assert method["rankings"]["q1"][0] == "team/DiskFull.md"
        assert method["hit@1"] == 1.0
        assert set(method["rankings"]) == {"q1", "q2"}
        assert method["p50_ms"] <= method["p95_ms"]
    assert (report["questions"], report["scored"]) == (2, 1)


def test_bench_diagnosis_answers_cases_of_both_forms(tmp_path: Path) -> None:
    folder = tmp_path / "cases"
    (folder / "blue-fox").mkdir(parents=True)
    (folder / "blue-fox" / "web.log").write_text("2026-01-01T00:00:00Z ERROR write failed: no space left on device\n")
    (folder / "blue-fox" / "expected.yaml").write_text("verdict: cause_found\ncauses:\n  - {component: web, fault_kind: disk}\n")
    (folder / "red-owl.json").write_text(json.dumps({"question": "why is web slow?", "evidence": []}))
    report = bench("diagnosis", str(folder), out=tmp_path / "out.json")
    first, second = report["cases"]
    assert (first["case_id"], first["verdict"], first["category"]) == ("blue-fox", "cause_found", "resource_exhaustion")
    assert first["citations"]
    assert len(first["answer"].split()) <= 150
    assert (second["verdict"], second["category"], second["confidence"]) == ("undetermined", None, 0.0)
    assert report["summary"]["cause_and_fault"]["right"] == 1
    assert report["summary"]["unscored"] == 1
