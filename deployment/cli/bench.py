"""``mimir bench ...``: search, log grouping, diagnosis and providers, measured on data that somebody else may bring."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mimir_core.harness.tables import Table

bench = typer.Typer(
    no_args_is_help=True, help="Measure search, log grouping, diagnosis and providers against truth and trivial baselines."
)

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


@bench.command()
def logs(
    folder: Annotated[Path, typer.Argument(help="Holds a file a system, *.jsonl or *.jsonl.gz.")],
    json_file: _JSON = None,
) -> None:
    """Group the lines of every file, and compare with the true groups where they are known."""
    from rich.table import Table  # noqa: PLC0415  # `mimir --help` stays fast
    from rich.text import Text  # noqa: PLC0415

    from mimir_core.config import read_params  # noqa: PLC0415
    from mimir_core.safety import escape  # noqa: PLC0415
    from tasks import paths  # noqa: PLC0415
    from tasks.bench_logs import bench_logs  # noqa: PLC0415

    report = bench_logs(folder, read_params(paths.PARAMS), _say)
    methods = list(report["mean"])
    table = Table("system", *(f"{method}: accuracy (F1)" for method in methods), "lines/s")
    for system, row in {**report["systems"], "mean": {"methods": report["mean"]}}.items():
        scores = [figures.get("event_id_corrected") or figures.get("event_id") for figures in row["methods"].values()]
        cells = [f"{score['grouping_accuracy']:.3f} ({score['group_f1']:.3f})" if score else "unscored" for score in scores]
        table.add_row(Text(escape.line(system)), *cells, str(row["methods"]["ours"].get("lines_per_second", "")))
    _print(table)
    _write(json_file, report)


@bench.command()
def events(
    files: Annotated[list[Path], typer.Argument(help="Incidents as alert events, a system each: *.jsonl or *.jsonl.gz.")],
    json_file: _JSON = None,
    rename: Annotated[int | None, typer.Option(help="Give the instances other names, drawn by this seed, and compare.")] = None,
) -> None:
    """Rank the instances of every incident by its alert events, and compare with the truth where it is known."""
    from rich.table import Table  # noqa: PLC0415  # `mimir --help` stays fast
    from rich.text import Text  # noqa: PLC0415

    from mimir_core.config import read_params  # noqa: PLC0415
    from mimir_core.evaluation.ranking import FIGURES, Figure  # noqa: PLC0415
    from mimir_core.safety import escape  # noqa: PLC0415
    from tasks import paths  # noqa: PLC0415
    from tasks.bench_events import bench_events  # noqa: PLC0415

    report = bench_events(files, read_params(paths.PARAMS).events, rename, _say)
    table = Table("system", "method", *FIGURES)
    for name, system in report["systems"].items():
        methods = report["methods"].get(name, {})
        if methods:
            methods = {**methods, f"ahead of {system['best_baseline']}": system["ahead_of_best_baseline"]}
        for method, figures in methods.items():
            table.add_row(Text(escape.line(name)), method, *(str(Figure(**figures[figure])) for figure in FIGURES))
    _print(table)
    facts = Table("system", "fact", "value")
    for name, system in report["systems"].items():
        for fact in (fact for fact in system if not fact.endswith("best_baseline")):
            parts = system[fact].items() if isinstance(system[fact], dict) else [("", system[fact])]
            facts.add_row(Text(escape.line(name)), fact, ", ".join(f"{part} {value}".strip() for part, value in parts))
    _print(facts)
    _write(json_file, report)


@bench.command()
def rca(  # noqa: PLR0913, PLR0917  # an argument for each option
    folders: Annotated[list[Path], typer.Argument(help="Each holds case folders.")],
    json_file: _JSON = None,
    late: Annotated[str, typer.Option(help="Seconds after the failure at which it is noticed, with commas between them.")] = "0",
    onset: Annotated[bool, typer.Option("--onset/--no-onset", help="Whether the engine is told when it was noticed.")] = True,
    rename: Annotated[int | None, typer.Option(help="Rank under other names, too, drawn by this seed, and compare.")] = None,
    perturb: Annotated[int, typer.Option(min=0, help="Rank so many times with other constants, too.")] = 0,
) -> None:
    """Rank the components of every case by suspicion, and compare with the truth where it is known."""
    from rich.table import Table  # noqa: PLC0415  # `mimir --help` stays fast
    from rich.text import Text  # noqa: PLC0415

    from mimir_core.config import read_params  # noqa: PLC0415
    from mimir_core.evaluation.ranking import FIGURES, Figure  # noqa: PLC0415
    from mimir_core.safety import escape  # noqa: PLC0415
    from tasks import paths  # noqa: PLC0415
    from tasks.bench_rca import RcaOptions, bench_rca  # noqa: PLC0415

    options = RcaOptions(_parse_seconds(late), onset, rename, perturb)
    report = bench_rca(folders, options, read_params(paths.PARAMS), _say)
    facts = Table("data set", "told", "fact", "value")
    for name, by_told in report["datasets"].items():
        for told, found in by_told.items():
            methods = dict(report["methods"][name][told])
            if methods:
                methods[f"ahead of {found['best_baseline']}"] = found["ahead_of_best_baseline"]
            table = Table("method", *FIGURES, "ms", title=Text(escape.line(f"{name}, told: {told}")))
            for method, figures in methods.items():
                cells = (str(Figure(**figures[figure])) for figure in FIGURES)
                table.add_row(method, *cells, str(found["ms"].get(method, "")))
            _print(table)
            for fact in (fact for fact in found if not fact.endswith("best_baseline")):
                facts.add_row(Text(escape.line(name)), told, fact, Text(escape.line(_listed(found[fact]))))
        for fact, value in report["checks"][name].items():
            facts.add_row(Text(escape.line(name)), "", fact, _listed(value))
    for told, value in report["calibration"].items():
        facts.add_row("all", told, "calibration", _listed(value))
    _print(facts)
    sys.stdout.write(f"peak memory {report['peak_memory_mib']} MiB\n")
    _write(json_file, report)


def _parse_seconds(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(f"--late takes whole seconds with commas between them, got {text!r}") from None


def _listed(value: Any) -> str:
    return ", ".join(f"{name} {part}" for name, part in value.items()) if isinstance(value, dict) else str(value)


@bench.command()
def anomaly(
    folder: Annotated[Path, typer.Argument(help="Holds series, *.csv or *.csv.gz, or folders of them.")],
    json_file: _JSON = None,
) -> None:
    """Flag every series by every method, and compare with the labels where they are known."""
    from rich.table import Table  # noqa: PLC0415  # `mimir --help` stays fast
    from rich.text import Text  # noqa: PLC0415

    from mimir_core.config import read_params  # noqa: PLC0415
    from mimir_core.safety import escape  # noqa: PLC0415
    from tasks import paths  # noqa: PLC0415
    from tasks.bench_anomaly import bench_anomaly  # noqa: PLC0415

    report = bench_anomaly(folder, read_params(paths.PARAMS).anomaly, _say)
    spent = report["cpu_ms_per_1000_points"]
    heads = ("F1 of points", "F1 of segments", "P", "R", "false/day", "hit", "false", "ms/1,000")
    for name, methods in report["datasets"].items():
        table = Table("method", *heads, title=Text(escape.line(name)))
        for method, found in methods.items():
            cells = _flag_cells(found) if found["series"] else ["unscored", *[""] * 6]
            table.add_row(method, *cells, str(spent.get(method, "")))
        _print(table)
    sys.stdout.write(f"{report['scored']} series scored, {report['unscored']} without labels (flagged, unscored)\n")
    _write(json_file, report)


def _flag_cells(found: dict[str, Any]) -> list[str]:
    scores = [(found[score], *found[f"{score}_interval"]) for score in ("point_f1", "segment_f1")]
    shares = ["-" if found[share] is None else f"{found[share]:.2f}" for share in ("point_precision", "point_recall")]
    return [
        *(f"{score:.2f} ({low:.2f}-{high:.2f})" for score, low, high in scores),
        *shares,
        str(found["false_points_per_day"]),
        f"{found['hit_segments']} of {found['hit_segments'] + found['missed_segments']}",
        str(found["false_segments"]),
    ]


@bench.command()
def run(
    config: Annotated[Path, typer.Argument(help="Names the provider, the data and the stages: docs/bench.md.")],
    json_file: _JSON = None,
) -> None:
    """Take every case through correlation, root cause, remediation and a dry run, as one provider answers."""
    from mimir_core.config import read_params  # noqa: PLC0415  # `mimir --help` stays fast
    from mimir_core.harness.tables import tables_of  # noqa: PLC0415
    from tasks import paths  # noqa: PLC0415
    from tasks.bench_run import bench_run  # noqa: PLC0415

    report = bench_run(config, read_params(paths.PARAMS), _say)
    _print_tables(tables_of(report))
    _write(json_file, report.model_dump(mode="json"))


@bench.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Settings, which are run now, or what `mimir bench run --json` wrote.")],
    json_file: _JSON = None,
) -> None:
    """Hold providers against the first of them on the same cases, with paired intervals."""
    from mimir_core.config import read_params  # noqa: PLC0415  # `mimir --help` stays fast
    from mimir_core.harness.tables import comparison_tables  # noqa: PLC0415
    from tasks import paths  # noqa: PLC0415
    from tasks.bench_run import bench_compare  # noqa: PLC0415

    if len(runs) == 1:
        raise typer.BadParameter("one run cannot be compared: name two or more", param_hint="RUNS")
    comparison = bench_compare(runs, read_params(paths.PARAMS), _say)
    _print_tables(comparison_tables(comparison))
    _write(json_file, comparison.told())


def _print_tables(tables: Iterable["Table"]) -> None:
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from mimir_core.safety import escape  # noqa: PLC0415

    for told in tables:
        table = Table(title=Text(escape.line(told.title)))
        for name in told.head:
            table.add_column(Text(escape.line(name)))
        for row in told.rows:
            table.add_row(*(Text(escape.line(cell)) for cell in row))
        _print(table)


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
