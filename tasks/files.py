"""Records as JSON lines, and the reports of stages."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from mimir_core.errors import InputError
from mimir_core.records import Record

R = TypeVar("R", bound=Record)
D = TypeVar("D", bound=BaseModel)


def read_records(path: Path, kind: type[R]) -> list[R]:
    """Read one record a line.

    Raises:
        InputError: The file is not there, or a line is no such record; says which.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file: the stage that writes it has not run")
    records = []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                records.append(kind.model_validate_json(line))
            except ValidationError as error:
                raise InputError(f"{path}: line {number}: is no {kind.__name__}: {error.errors()[0]['msg']}") from error
    return records


def read_document(path: Path, kind: type[D]) -> D:
    """Read a file that is one record, or a report.

    Raises:
        InputError: The file is not there, or is no such record; says which key is at fault.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file: the stage that writes it has not run")
    try:
        return kind.model_validate_json(path.read_bytes())
    except ValidationError as error:
        problem = error.errors()[0]
        raise InputError(f"{path}: is no {kind.__name__}: {'.'.join(map(str, problem['loc']))}: {problem['msg']}") from error


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Write one record a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        file.writelines(record.model_dump_json() + "\n" for record in records)


def write_report(path: Path, content: dict[str, object]) -> None:
    """Write what a stage has to say about its run: counts, no timings, so that equal runs write equal bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
