"""What `mimir stage ingest`, and so `dvc repro`, runs: documents in, chunks out, and the counts in a report."""

import logging

from mimir_core.config import Params
from mimir_core.knowledge.checks import check_rows, chunk_rows, chunk_rules, document_rows, document_rules
from mimir_core.knowledge.chunk import chunk_documents
from mimir_core.knowledge.ingest import ingest_folders
from tasks import paths, wiring
from tasks.files import write_records, write_report

logger = logging.getLogger(__name__)


def ingest(params: Params) -> None:
    """Write data/chunks.jsonl and reports/ingest.json; nothing is written when a check fails."""
    settings, checker = params.ingest, wiring.checker()
    parser = wiring.parser_from(settings)
    ingested = ingest_folders(paths.ROOT, parser, settings)
    check_rows("documents", document_rows(ingested.kept), document_rules(settings), checker)
    chunked = chunk_documents(ingested.kept, settings)
    document_ids = [document.id for document, _ in ingested.kept]
    check_rows("chunks", chunk_rows(chunked.kept), chunk_rules(settings, document_ids), checker)
    write_records(paths.CHUNKS, chunked.kept)
    counts = {reason: len(names) for reason, names in sorted(ingested.dropped.items())}
    write_report(
        paths.REPORTS / "ingest.json",
        {
            "documents": len(ingested.kept),
            "chunks": len(chunked.kept),
            "dropped": {"documents": counts, "chunks": dict(sorted(chunked.dropped.items()))},
            "dropped_documents": dict(sorted(ingested.dropped.items())),
            "cleaned": dict(sorted((+ingested.cleaned).items())),
            "masked": dict(sorted(ingested.masked.items())),
        },
    )
    logger.info(
        "ingest: %s documents, %s of them parsed, the rest unchanged; %s chunks; dropped %s",
        *(len(ingested.kept), parser.parsed, len(chunked.kept), counts or "nothing"),
    )
