"""Folders of cases -> where each case lies, when it may be said to have failed, and its truth.

Comes in: folders whose sub-folders are cases. Goes out: :class:`RcaCase`. Truth stands in ``expected.yaml``, or in keys of
``case.json`` that the reader of signals does not know. Surprise: ``inject_time`` is the failure time that some methods are
defined for and may be told, except where the truth is a commit: then it is the time of its deploy, a truth as well.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from mimir_core.errors import InputError
from mimir_core.evaluation.root_cause import NO_COMMIT, RcaTruth
from mimir_core.records import FaultKind, Verdict
from mimir_core.telemetry.files import TRUTH_FILE
from mimir_core.telemetry.times import parse_time

_MARKS = ("case.json", "alert.json", "metrics.parquet", "metrics.csv", TRUTH_FILE)
"""A folder that holds one of these is a case."""


@dataclass(frozen=True)
class RcaCase:
    """One case."""

    folder: Path
    case_id: str
    dataset: str
    failed: datetime | None
    """The failure time, where it may be told."""
    truth: RcaTruth


def find_rca_cases(folder: Path) -> list[RcaCase]:
    """Return the cases in ``folder``, by name.

    Raises:
        InputError: There is none, or what is known of one cannot be read.
    """
    children = sorted(folder.iterdir()) if folder.is_dir() else []
    cases = [_read_case(child) for child in children if any((child / mark).is_file() for mark in _MARKS)]
    if not cases:
        raise InputError(f"{folder}: holds no case folder (one with {', '.join(_MARKS[:-1])})")
    return cases


def _read_case(folder: Path) -> RcaCase:
    known = _read_mapping(folder / "case.json")
    failed = None if known.get("root_cause_commit") else parse_time(known.get("inject_time"))
    written = folder / TRUTH_FILE
    return RcaCase(
        folder=folder,
        case_id=str(known.get("case_id") or folder.name),
        dataset=str(known.get("dataset") or folder.resolve().parent.name),
        failed=failed,
        truth=_parse_expected(_read_mapping(written), written) if written.is_file() else _parse_keys(known, failed),
    )


def _parse_keys(known: Mapping[str, Any], failed: datetime | None) -> RcaTruth:
    component = known.get("root_cause_service")
    return RcaTruth(
        components=(str(component),) if component else (),
        fault_type=str(known.get("fault_type") or ""),
        began=failed,
        quiet_until=parse_time(known.get("inject_time")),
        commit=known.get("root_cause_commit"),
    )


def _parse_expected(known: Mapping[str, Any], file: Path) -> RcaTruth:
    try:
        causes = [(str(cause["component"]), FaultKind(cause["fault_kind"])) for cause in known.get("causes") or ()]
        return RcaTruth(
            components=tuple(component for component, _ in causes),
            fault_type=causes[0][1].value if causes else "",
            began=parse_time(known.get("onset")),
            quiet_until=parse_time(known.get("onset")),
            commit=(known["change"] or NO_COMMIT) if "change" in known else None,
            verdict=Verdict(known["verdict"]) if known.get("verdict") else None,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{file}: the truth makes no sense: {error!r}") from error


def _read_mapping(file: Path) -> Mapping[str, Any]:
    if not file.is_file():
        return {}
    try:
        text = file.read_text(encoding="utf-8")
        content = yaml.safe_load(text) if file.suffix == ".yaml" else json.loads(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(f"{file}: cannot be read: {error}") from error
    if not isinstance(content, Mapping):
        raise InputError(f"{file}: expected an object, got {type(content).__name__}")
    return content
