"""``mimir knowledge ...`` and ``mimir search``: the runbooks, published and searched."""

import json
import sys
from typing import Annotated

import typer

knowledge = typer.Typer(no_args_is_help=True, help="Publish the index, list its versions, roll back.")


@knowledge.command()
def publish() -> None:
    """Make what `dvc repro` built the index that is searched."""
    from mimir_core.config import read_params  # noqa: PLC0415  # `mimir --help` stays fast
    from tasks import paths  # noqa: PLC0415
    from tasks import publish as task  # noqa: PLC0415

    sys.stdout.write(f"{task.publish(read_params(paths.PARAMS))}\n")


@knowledge.command()
def versions(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List every published index, oldest first; * is the one that is searched."""
    from tasks import wiring  # noqa: PLC0415

    found = wiring.knowledge_index().versions()
    if as_json:
        rows = [{**version._asdict(), "published_at": version.published_at.isoformat()} for version in found]
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
        return
    for version in found:
        mark = "*" if version.is_current else " "
        sys.stdout.write(f"{mark} {version.tag}  {version.published_at:%Y-%m-%d %H:%M:%S} UTC  {version.chunks} chunks\n")


@knowledge.command()
def rollback(tag: Annotated[str, typer.Argument(help="A version from `mimir knowledge versions`.")]) -> None:
    """Search an earlier version again, at once."""
    from tasks import wiring  # noqa: PLC0415

    wiring.knowledge_index().rollback(tag)
    sys.stdout.write(f"{tag}\n")


def search(
    query: Annotated[str, typer.Argument(help="What you are looking for, in words.")],
    top_k: Annotated[int | None, typer.Option("-k", min=1, help="How many passages; retrieve.top_k when left out.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_context: Annotated[
        bool, typer.Option("--context", help="Print the passages as one numbered text within retrieve.context_words.")
    ] = False,
) -> None:
    """Search the runbooks: source, heading and score of each passage, best first."""
    from mimir_core.config import read_params  # noqa: PLC0415
    from mimir_core.errors import InputError  # noqa: PLC0415
    from mimir_core.knowledge.context import assemble_context  # noqa: PLC0415
    from mimir_core.knowledge.question import Question  # noqa: PLC0415
    from mimir_core.safety import escape  # noqa: PLC0415
    from tasks import paths, wiring  # noqa: PLC0415

    params = read_params(paths.PARAMS)
    searcher = wiring.searcher_from(params)
    if searcher.version is None:
        raise InputError("no index is published yet: run `dvc repro`, then `mimir knowledge publish`")
    passages = searcher.search(Question(query), top_k or params.retrieve.top_k)
    if as_json:
        sys.stdout.write(json.dumps([passage.model_dump(mode="json") for passage in passages], indent=2) + "\n")
        return
    if as_context:
        context = assemble_context(passages, params.retrieve.context_words)
        sys.stdout.write(escape.plain(f"{context.text}\n"))
        if context.left_out:
            sys.stderr.write(f"{context.left_out} passages did not fit into {params.retrieve.context_words} words\n")
        return
    for passage in passages:
        chunk = passage.chunk
        place = f"{chunk.title} > {chunk.heading}" if chunk.heading else chunk.title
        sys.stdout.write(f"{passage.rank}. {escape.line(place)}  (score {passage.score:.2f}, {chunk.path})\n")
        sys.stdout.write(f"   {escape.line(chunk.text)[:200]}\n")
