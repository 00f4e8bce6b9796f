"""A context holds what fits, once, under numbers that say where it is from."""

from datetime import UTC, datetime

from mimir_core.knowledge.context import assemble_context
from mimir_core.knowledge.question import question_about
from mimir_core.records import Alert, Chunk, Incident, Passage


def passage(position: int, text: str, heading: str = "Diagnosis", document: str = "d1") -> Passage:
    chunk = Chunk(
        id=f"c{document}{position}",
        document_id=document,
        path=f"{document}.md",
        title="Disk full",
        heading=heading,
        text=text,
        position=position,
    )
    return Passage(chunk=chunk, score=0.5, rank=1, index_version="k", published_at=datetime.now(UTC))


def test_neighbours_are_one_citation_in_reading_order_without_the_repeated_words() -> None:
    found = [passage(2, "… on the node.\n\nThen clean up."), passage(1, "Run df on the node."), passage(7, "Call.", "Escalation")]
    context = assemble_context(found, 100)
    assert context.text == (
        "[1] Disk full > Diagnosis (d1.md)\nRun df on the node.\n\nThen clean up.\n\n[2] Disk full > Escalation (d1.md)\nCall."
    )
    assert [source.chunk_ids for source in context.sources] == [("cd11", "cd12"), ("cd17",)]


def test_what_does_not_fit_is_left_out_whole_and_counted() -> None:
    found = [passage(1, "word " * 50), passage(1, "short", document="d2")]
    context = assemble_context(found, 30)
    assert [source.path for source in context.sources] == ["d2.md"]
    assert context.left_out == 1
    assert context.words <= 30


def test_a_question_takes_the_alerts_words_and_the_names_in_its_expression() -> None:
    alert = Alert(
        name="KubeQuotaFull",
        annotations={"summary": "quota is full", "runbook_url": "https://example.net/x"},
        expression='kube_resourcequota{type="used"} > 0.9',
    )
    question = question_about(Incident(id="i", title="quota", alerts=(alert,)))
    assert question.words == "quota quota is full"
    assert question.names == "KubeQuotaFull kube_resourcequota used"
    assert question_about(Incident(id="i", title="quota", alerts=(alert,)), "disk is full").words == "disk is full"
