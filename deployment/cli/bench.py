"""``mimir bench ...``: search and diagnosis, measured on data that somebody else may bring."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

bench = typer.Typer(no_args_is_help=True, help="Measure search and diagnosis against truth and trivial baselines.")

_FIGURES = ("hit@1", "hit@5", "hit@10", "mrr", "ndcg@10", "p50_ms", "p95_ms")
_SCORES = ("category", "verdict", "cause_component", "cause_and_fault", "healthy_with_invented_cause", "words")
_JSON = Annotated[Path | None, typer.Option("--json", help="Write everything to this file.")]


@bench.command()
def retrieval(
    folder: Annotated[Path, typer.Argument(help="Holds corpus/ and pairs.jsonl.")],
    json_file: _JSON = None,
) -> None:
    """Ask every question of pairs.jsonl by BM25, by vectors and by hybrid search."""
    from rich.table import Table  # noqa: PLC0415  # `mimir --help` stays fast

    from mimir_core.config import read_params  # noqa: PLC0415
    from tasks import paths  # noqa: PLC0415
    from tasks.bench_retrieval import bench_retrieval  # noqa: PLC0415

    report = bench_retrieval(folder, read_params(paths.PARAMS), _say)
    table = Table("method", *_FIGURES)
    for name, method in report["methods"].items():
        table.add_row(name, *(f"{method[figure]:.3f}" if figure in method else "unscored" for figure in _FIGURES))
    _print(table)
    corpus = report["corpus"]
    sys.stdout.write(
        f"{report['scored']} of {report['questions']} questions scored\n"
        f"{corpus['documents']} documents, {corpus['chunks']} chunks, dropped {corpus['dropped'] or 'nothing'}\n"
        f"ingest: {corpus['parsed']} parsed, {corpus['documents_per_second'] or '-'} documents/s\n"
        f"index: {corpus['embedded']} embedded, {corpus['chunks_per_second'] or '-'} chunks/s\n"
    )
    _write(json_file, report)


@bench.command()
def diagnosis(
    folder: Annotated[Path, typer.Argument(help="Holds case folders or evidence files.")],
    json_file: _JSON = None,
) -> None:
    """Answer every case, and compare with the truth where it is known."""
    from rich.table import Table  # noqa: PLC0415  # `mimir --help` stays fast
    from rich.text import Text  # noqa: PLC0415

    from mimir_core.config import read_params  # noqa: PLC0415
    from mimir_core.safety import escape  # noqa: PLC0415
    from tasks import paths  # noqa: PLC0415
    from tasks.bench_diagnosis import bench_diagnosis  # noqa: PLC0415

    report = bench_diagnosis(folder, read_params(paths.PARAMS), _say)
    table = Table("case", "verdict", "category", "answer")
    for case in report["cases"]:
        table.add_row(*(Text(escape.line(str(case[key] or ""))) for key in ("case_id", "verdict", "category", "answer")))
    _print(table)
    _print_summary("cases", report["summary"])
    if held_out := report["summary"]["held_out"]:
        _print_summary("held-out cases", held_out)
    _write(json_file, report)


def _print_summary(what: str, summary: dict[str, Any]) -> None:
    from rich.table import Table  # noqa: PLC0415

    rows = {name: summary[name] for name in _SCORES}
    for baseline, figures in summary["baselines"].items():
        rows |= {f"baseline {baseline}: {name}": figures[name] for name in ("category", "words") if figures and name in figures}
    scores = Table("measure", "right", "of", "share", "95 % interval")
    for name, score in rows.items():
        if score:
            low, high = score["interval"]
            scores.add_row(name, str(score["right"]), str(score["of"]), f"{score['share']:.2f}", f"{low:.2f} to {high:.2f}")
    _print(scores)
    sys.stdout.write(f"{summary['cases']} {what}, {summary['unscored']} without truth (unscored); {summary['verdicts']}\n")


def _say(what: str) -> None:
    sys.stderr.write(f"{what}\n")


def _print(table: Any) -> None:
    from rich.console import Console  # noqa: PLC0415

    Console(width=None if sys.stdout.isatty() else 120).print(table)


def _write(file: Path | None, report: dict[str, Any]) -> None:
    if file:
        file.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
