"""A night of diagnoses -> which rules it breaks, and whether it is like the nights before.

Comes in: diagnoses as the store holds them. Goes out: one row of plain columns for each, and a :class:`NightCheck`. Surprises: a
word that is not among the known ones becomes ``unknown``, so that no stranger's text gets into a row. Rules are asked of the
night alone: the nights before were asked on their own mornings.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from mimir_core.config import DiagnoseSettings, MonitorSettings
from mimir_core.errors import InputError
from mimir_core.records import EvidenceKind, FaultKind, Outcome, Severity, Verdict
from mimir_core.rules import Checker, Row, Rule
from mimir_core.store.nights import StoredDiagnosis

_UNKNOWN = "unknown"
_NEVER_COMPARED = frozenset({"incident", "evidence", "verdict_misfits", "cited_but_missing", "of_another_incident"})
"""Columns for rules alone: they name the row, add up others, or are 0 on every sound night."""
_SHOWN = 3


class ColumnDrift(NamedTuple):
    """How far the night is from the nights before, in one column."""

    column: str
    method: str
    chance: float
    """Of a difference as large as this where nothing changed."""
    has_drifted: bool


class DriftReporter(Protocol):
    """Compares two tables of the same columns: numbers, and words from a short list."""

    def write_report(self, reference: Sequence[Row], night: Sequence[Row], page: Path) -> list[ColumnDrift]:
        """Write ``page`` for people, and return what became of each column."""
        ...


class NightCheck(NamedTuple):
    """What there is to say about a night."""

    rows: int
    reference_rows: int
    broken: dict[str, list[str]]
    """Rule to the incidents that break it."""
    drift: list[ColumnDrift]
    """One a column; empty where there are too few rows to tell."""
    drift_share: float
    """Where so many columns drifted, the night is of another kind."""
    page: Path | None
    """What shows the drift; None where there is none to show."""

    @property
    def drifted(self) -> list[ColumnDrift]:
        """The columns that drifted, the surest first."""
        return sorted((column for column in self.drift if column.has_drifted), key=lambda column: column.chance)

    @property
    def has_drifted(self) -> bool:
        """Whether the night is of another kind than those before."""
        return bool(self.drift) and len(self.drifted) >= self.drift_share * len(self.drift)

    @property
    def headline(self) -> str:
        """The answer in one line."""
        if not self.rows:
            return "nothing was diagnosed"
        said = f"{self.rows} diagnosed, {len(self.broken)} rules broken"
        if not self.drift:
            return f"{said}, too few rows to tell drift: {self.rows} tonight, {self.reference_rows} before"
        warning = "; warning: this night is unlike those before" if self.has_drifted else ""
        return f"{said}, {len(self.drifted)} of {len(self.drift)} columns drifted{warning}"

    @property
    def defects(self) -> str:
        """One line a broken rule: how many incidents break it, and the first of them."""
        return "\n".join(f"{claim}: broken by {len(by)}: {', '.join(by[:_SHOWN])}" for claim, by in self.broken.items())

    def stop_if_broken(self) -> None:
        """Stop when a rule is broken.

        Raises:
            InputError: Names every broken rule.
        """
        if self.broken:
            raise InputError(f"the night breaks {len(self.broken)} rules:\n{self.defects}")


def find_broken(night: Sequence[Row], settings: DiagnoseSettings, checker: Checker) -> dict[str, list[str]]:
    """Return each broken rule with the incidents that break it."""
    broken = checker.find_broken(night, night_rules(settings))
    return {rule.claim: sorted({night[at]["incident"] for at in rows}) for rule, rows in broken}


def find_drift(
    reference: Sequence[Row], night: Sequence[Row], reporter: DriftReporter, settings: MonitorSettings, page: Path
) -> list[ColumnDrift]:
    """Compare the night with the nights before and write ``page``; nothing is said, nor written, of too few rows."""
    if min(len(reference), len(night)) < settings.min_rows:
        return []
    return reporter.write_report(_compared(reference), _compared(night), page)


def night_rules(settings: DiagnoseSettings) -> list[Rule]:
    """Return what must hold of each :func:`night_row`."""
    return [
        Rule("diagnoses_are_of_their_incident", "of_another_incident", "between", maximum=0),
        Rule("severities_are_known", "severity", "one_of", values=tuple(Severity)),
        Rule("verdicts_are_known", "verdict", "one_of", values=tuple(Verdict)),
        Rule("fault_kinds_are_known", "fault_kind", "one_of", values=tuple(FaultKind)),
        Rule("confidences_are_probabilities", "confidence", "between", minimum=0, maximum=1),
        Rule("a_cause_is_named_where_one_was_found", "verdict_misfits", "between", maximum=0),
        Rule("packs_are_bounded", "evidence", "between", maximum=settings.max_evidence),
        Rule("citations_are_in_the_pack", "cited_but_missing", "between", maximum=0),
        Rule("latencies_are_no_less_than_nothing", "latency_seconds", "between", minimum=0),
    ]


def night_row(stored: StoredDiagnosis) -> Row:
    """Return one diagnosis as plain columns."""
    pack, diagnosis, run = stored.pack, stored.diagnosis, stored.run
    evidence, causes = pack["evidence"], diagnosis["causes"]
    kinds = Counter(item["kind"] for item in evidence)
    outcomes = Counter(pack["sources"].values())
    verdict = _known(diagnosis["verdict"], Verdict)
    return {
        "incident": stored.incident_id,
        "severity": _known(pack["incident"]["severity"], Severity),
        "alerts": len(pack["incident"]["alerts"]),
        "evidence": len(evidence),
        **{f"{kind}_evidence": kinds[kind] for kind in EvidenceKind},
        "sources_failed": outcomes[Outcome.ERROR] + outcomes[Outcome.DENIED],
        "sources_without_data": outcomes[Outcome.NO_DATA],
        "verdict": verdict,
        "fault_kind": _known(causes[0]["fault_kind"], FaultKind) if causes else FaultKind.NONE.value,
        "degraded": int(diagnosis["degraded"] is not None),
        "confidence": causes[0]["confidence"] if causes else 0.0,
        "causes": len(causes),
        "rejected_claims": sum(run["rejected_claims"].values()),
        "latency_seconds": run["latency_ms"] / 1000,
        "verdict_misfits": int((verdict == Verdict.CAUSE_FOUND) != bool(causes)),
        "cited_but_missing": len(set(_cited(diagnosis)) - {item["id"] for item in evidence}),
        "of_another_incident": int(diagnosis["incident_id"] != stored.incident_id),
    }


def _compared(rows: Sequence[Row]) -> list[Row]:
    return [{column: value for column, value in row.items() if column not in _NEVER_COMPARED} for row in rows]


def _known(word: str, words: type[StrEnum]) -> str:
    return word if word in tuple(words) else _UNKNOWN


def _cited(document: Any) -> Iterator[str]:
    """Yield every evidence id that stands anywhere in a document."""
    if isinstance(document, list):
        for item in document:
            yield from _cited(item)
    elif isinstance(document, dict):
        for name, value in document.items():
            if name == "evidence_id":
                yield value
            elif name == "evidence_ids":
                yield from value
            else:
                yield from _cited(value)
