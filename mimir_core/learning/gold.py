"""Incidents that people wrote, with the reasoning -> examples.

Comes in: ``data/gold/SYSTEM.yaml``, one invented system a file (docs/formats.md says what is in it). Goes out: examples whose
every claim follows from what it cites. Surprises: the candidates are ranked by the evidence engine from the written facts, so
that "the pack's first" means the same here as in life; a number in the reasoning must stand in a fact that the sentence cites.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, Self, TypeVar

import yaml
from pydantic import AwareDatetime, Field, ValidationError, model_validator

from mimir_core.analysis.pack import FINE
from mimir_core.analysis.rank import rank_candidates
from mimir_core.analysis.signs import SignTable
from mimir_core.config import Settings
from mimir_core.errors import InputError
from mimir_core.reasoning.claims import claim_about, is_about
from mimir_core.reasoning.conclude import conclude
from mimir_core.reasoning.verify import numbers_agree, numbers_in, numbers_of, verify
from mimir_core.records import (
    Alert,
    Cause,
    Check,
    Diagnosis,
    Direction,
    Evidence,
    EvidenceKind,
    EvidencePack,
    Example,
    FaultKind,
    Hypothesis,
    Incident,
    Measurement,
    Outcome,
    Severity,
    Verdict,
    content_hash,
)
from mimir_core.safety.policy import SafetyRules

ALERT = "alert"
"""The key of the fact that each incident has without being told: its alert."""

_NOISE_SHARE = 0.1
"""A metric that moved by less, of its level before, is steady."""
_NEWS_FACTOR = 2.0
_OLD_NEWS_SCORE, _PLAIN_LINE_SCORE = 0.2, 0.4
_SURE, _REFUTED, _OPEN = 0.95, 0.05, 0.3
_LINES = "lines"

Shape = TypeVar("Shape", bound=Settings)


class GoldFact(Settings):
    """One piece of evidence, as a person writes it down."""

    kind: Literal[
        EvidenceKind.METRIC,
        EvidenceKind.LOG,
        EvidenceKind.KUBERNETES,
        EvidenceKind.TRACE,
        EvidenceKind.CHANGE,
        EvidenceKind.RUNBOOK,
    ]
    component: str = ""
    subject: str = ""
    """The metric, the step of a trace, the change or the heading of the page; a line is its own subject."""
    before: float | None = None
    after: float | None = None
    unit: str = ""
    noise: float | None = Field(default=None, ge=0)
    line: str = ""
    """What was said, or what the page says."""
    fine: bool = False
    """Of a state: it tells that all is well."""
    outcome: Outcome = Outcome.DATA
    source: str = "recorded"

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.line or self.subject):
            raise ValueError("a fact needs a subject or a line")
        if self.kind is not EvidenceKind.RUNBOOK and not self.component:
            raise ValueError("a fact needs a component")
        if self.kind is EvidenceKind.METRIC and self.outcome is Outcome.DATA and self.after is None and self.before is None:
            raise ValueError("a metric needs before or after")
        return self

    def to_evidence(self, table: SignTable) -> Evidence:
        """Return it as the evidence engine would: a line that bears a sign has the sign as its subject."""
        is_said = self.kind in (EvidenceKind.LOG, EvidenceKind.KUBERNETES)
        sign = next(
            (
                name
                for name in table.places["log" if self.kind is EvidenceKind.LOG else "kubernetes"]
                if table.signs[name].find(self.line)
            ),
            None,
        )
        subject = self.subject or " ".join(self.line.split())
        if is_said:
            subject = FINE if self.fine else sign or subject
        return Evidence(
            kind=self.kind,
            component=self.component,
            subject=subject,
            outcome=self.outcome,
            origin=self.source,
            query=self.subject,
            value=self._measurement(),
            score=self._score(is_said=is_said, bears_a_sign=sign is not None),
            excerpt=self.line,
        )

    def _measurement(self) -> Measurement | None:
        if self.before is None and self.after is None:
            return None
        is_said = self.kind in (EvidenceKind.LOG, EvidenceKind.KUBERNETES)
        noise = 0.0 if is_said else self.noise if self.noise is not None else _NOISE_SHARE * abs(self.before or 0.0)
        return Measurement(before=self.before, after=self.after, unit=self.unit or (_LINES if is_said else ""), noise=noise)

    def _score(self, *, is_said: bool, bears_a_sign: bool) -> float:
        value = self._measurement()
        if self.fine or self.outcome is not Outcome.DATA or (value and value.direction is Direction.STEADY):
            return 0.0
        if not is_said:
            return 1.0 if self.kind in (EvidenceKind.METRIC, EvidenceKind.TRACE) else 0.5
        is_old = bool(value and value.before and (value.after or 0.0) < _NEWS_FACTOR * value.before)
        return _OLD_NEWS_SCORE if is_old else 1.0 if bears_a_sign else _PLAIN_LINE_SCORE


class GoldHypothesis(Settings):
    """A possible cause, weighed."""

    component: str
    fault_kind: FaultKind
    holds: bool
    """Whether it is the cause, or one of two."""
    because: str = Field(min_length=20)
    supporting: tuple[str, ...] = ()
    contradicting: tuple[str, ...] = ()


class GoldCheck(Settings):
    """What was looked at (it cites facts) or is to be looked at next (it cites none)."""

    command: str
    shows: str
    facts: tuple[str, ...] = ()


class GoldIncident(Settings):
    """One incident with its five steps."""

    id: str
    title: str
    service: str
    severity: Severity
    at: AwareDatetime
    alert: str
    """The alert's name; its summary is the title."""
    description: str = ""
    facts: dict[str, GoldFact] = Field(min_length=6)
    verdict: Verdict
    symptoms: tuple[str, ...] = Field(min_length=1)
    hypotheses: tuple[GoldHypothesis, ...] = Field(min_length=2)
    checks: tuple[GoldCheck, ...] = Field(min_length=1)
    actions: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _is_careful(self) -> Self:
        known = {ALERT, *self.facts}
        cited = {key for h in self.hypotheses for key in (*h.supporting, *h.contradicting)}
        cited |= {*self.symptoms, *(key for check in self.checks for key in check.facts)}
        if unknown := cited - known:
            raise ValueError(f"cites {', '.join(sorted(unknown))}, which is no fact of this incident")
        if not any(h.contradicting and not h.holds for h in self.hypotheses):
            raise ValueError("refutes no hypothesis with a fact")
        if any(h.holds and not h.supporting for h in self.hypotheses):
            raise ValueError("a hypothesis holds without a supporting fact")
        holding = sum(h.holds for h in self.hypotheses)
        if (self.verdict is Verdict.CAUSE_FOUND) != (holding > 0):
            raise ValueError(f"the verdict is {self.verdict.value}, and {holding} hypotheses hold")
        if self.verdict is Verdict.UNDETERMINED and not self.missing:
            raise ValueError("undetermined, and nothing is missing")
        if (self.verdict is Verdict.HEALTHY) == bool(self.actions):
            raise ValueError("a healthy system needs no action, everything else needs one")
        return self

    def to_evidence(self, table: SignTable) -> dict[str, Evidence]:
        """Return what each fact is to the evidence engine, by its key; the alert comes first."""
        return {ALERT: _alert_evidence(self)} | {key: fact.to_evidence(table) for key, fact in self.facts.items()}

    @property
    def words(self) -> str:
        """All that was written by hand."""
        said = [self.title, self.description, *(fact.line for fact in self.facts.values())]
        reasoned = [h.because for h in self.hypotheses]
        return "\n".join([*said, *reasoned, *(check.shows for check in self.checks), *self.missing])


class GoldSystem(Settings):
    """One invented system and what happened to it."""

    system: str
    about: str
    incidents: tuple[GoldIncident, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _ids_differ(self) -> Self:
        ids = [incident.id for incident in self.incidents]
        if twice := {name for name in ids if ids.count(name) > 1}:
            raise ValueError(f"the id {', '.join(sorted(twice))} is there twice")
        return self


class _NoDuplicates(yaml.SafeLoader):
    """Refuses a key that is written twice: plain YAML would silently drop the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise yaml.YAMLError(f"key {twice[0]!r} is there twice{node.start_mark}")
        return super().construct_mapping(node, deep)


def read_gold(folder: Path, table: SignTable, rules: SafetyRules) -> list[Example]:
    """Read all of ``folder``, in the order of file names.

    Raises:
        InputError: A file is not what docs/formats.md says, or a claim does not follow from what it cites; says where.
    """
    files = sorted(folder.glob("*.yaml"))
    return [example for file in files for example in examples_of(read_gold_system(file), file, table, rules)]


def read_gold_system(file: Path) -> GoldSystem:
    """Read one file.

    Raises:
        InputError: As above.
    """
    return read_by_hand(file, GoldSystem)


def read_by_hand(file: Path, shape: type[Shape]) -> Shape:
    """Read a YAML file that a person wrote, in which no key may stand twice.

    Raises:
        InputError: It cannot be read, or is of another shape; says where.
    """
    try:
        return shape.model_validate(yaml.load(file.read_text(encoding="utf-8"), _NoDuplicates))  # noqa: S506  # it is a safe loader
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{file}: is not YAML: {error}") from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise InputError(f"{file}: {problems}") from error


def examples_of(written: GoldSystem, file: Path, table: SignTable, rules: SafetyRules) -> Iterator[Example]:
    """Yield the example that each incident of ``written`` makes, in order.

    Args:
        written: What ``file`` holds.
        file: Named in errors, and where an example comes from.
        table: Which line is which sign.
        rules: Which actions there are.

    Raises:
        InputError: A claim does not follow from what it cites.
    """
    for incident in written.incidents:
        where = f"{file}: incident {incident.id}"
        evidence = incident.to_evidence(table)
        _check_numbers(incident, evidence, where)
        if unknown := sorted(set(incident.actions) - set(rules.actions)):
            raise InputError(f"{where}: actions: {', '.join(unknown)}: not on the allow-list of safety_rules.yaml")
        if groundless := [h.component for h in incident.hypotheses if h.holds and not _own_facts(h, evidence)]:
            raise InputError(f"{where}: no supporting fact is about {', '.join(groundless)}")
        pack = _pack_of(incident, tuple(evidence.values()), table)
        draft = _draft(incident, evidence, rules)
        verified = verify(draft, pack)
        if verified.rejected:
            raise InputError(f"{where}: claims do not follow from what they cite: {dict(verified.rejected)}")
        yield Example(
            id="x" + content_hash([written.system, incident.id]),
            pack=pack,
            diagnosis=conclude(draft, pack),
            source="gold",
            provenance=f"{file.name}, {incident.id}",
            system=written.system,
        )


def _check_numbers(incident: GoldIncident, evidence: dict[str, Evidence], where: str) -> None:
    """Every number that the reasoning names stands in a fact that it cites."""
    for hypothesis in incident.hypotheses:
        cited = (*hypothesis.supporting, *hypothesis.contradicting)
        known = [number for key in cited for number in numbers_of(evidence[key])]
        for number in numbers_in(hypothesis.because):
            if not any(numbers_agree(number, other) for other in known):
                raise InputError(
                    f"{where}: {hypothesis.component} {hypothesis.fault_kind.value}: says {number:g}, which no cited fact does"
                )


def _alert_evidence(incident: GoldIncident) -> Evidence:
    return Evidence(
        kind=EvidenceKind.ALERT,
        component=incident.service,
        subject=incident.alert,
        origin="alert",
        observed_at=incident.at,
        score=1.0,
        excerpt="\n".join(filter(None, (f"{incident.alert} (firing) {incident.service}", incident.title, incident.description))),
    )


def _pack_of(incident: GoldIncident, evidence: tuple[Evidence, ...], table: SignTable) -> EvidencePack:
    alert = Alert(
        name=incident.alert,
        severity=incident.severity,
        starts_at=incident.at,
        annotations={"summary": incident.title, "description": incident.description},
    )
    return EvidencePack(
        incident=Incident(
            id="i" + content_hash([incident.id, incident.at.isoformat(), incident.title]),
            title=incident.title,
            description=incident.description,
            severity=incident.severity,
            opened_at=incident.at,
            service=incident.service,
            alerts=(alert,),
        ),
        evidence=evidence,
        candidates=rank_candidates(evidence, table, incident.service),
        sources={item.origin: item.outcome for item in evidence},
    )


def _draft(incident: GoldIncident, evidence: dict[str, Evidence], rules: SafetyRules) -> Diagnosis:
    holding = [h for h in incident.hypotheses if h.holds]
    target = holding[0].component if holding else incident.service
    actions = [rules.propose(name, component=target, namespace="default") for name in incident.actions]
    return Diagnosis(
        incident_id="i" + content_hash([incident.id, incident.at.isoformat(), incident.title]),
        verdict=incident.verdict,
        headline="-",
        reason="-",
        symptoms=tuple(claim_about(evidence[key]) for key in incident.symptoms),
        hypotheses=tuple(_hypothesis(h, evidence, incident.verdict) for h in incident.hypotheses),
        checks=tuple(_check(check, evidence) for check in incident.checks),
        causes=tuple(_cause(h, evidence) for h in holding),
        actions=tuple(
            action.model_copy(
                update={"evidence_ids": tuple(evidence[key].id for key in (holding[0].supporting if holding else ())[:1])}
            )
            for action in actions
        ),
        missing=incident.missing,
    )


def _hypothesis(written: GoldHypothesis, evidence: dict[str, Evidence], verdict: Verdict) -> Hypothesis:
    is_open = verdict is Verdict.UNDETERMINED and not written.contradicting
    return Hypothesis(
        component=written.component,
        fault_kind=written.fault_kind,
        statement=written.because.rstrip("."),
        confidence=_SURE if written.holds else _OPEN if is_open else _REFUTED,
        supporting=tuple(claim_about(evidence[key]) for key in written.supporting),
        contradicting=tuple(claim_about(evidence[key]) for key in written.contradicting),
    )


def _check(written: GoldCheck, evidence: dict[str, Evidence]) -> Check:
    cited: Sequence[Evidence] = [evidence[key] for key in written.facts]
    return Check(
        command=written.command,
        would_show=written.shows,
        state="done" if cited else "to_do",
        evidence_ids=tuple(item.id for item in cited),
    )


def _own_facts(written: GoldHypothesis, evidence: dict[str, Evidence]) -> list[Evidence]:
    """What speaks for a hypothesis and is about its component."""
    cited = (evidence[key] for key in written.supporting)
    return [item for item in cited if is_about(written.component, item) and item.kind is not EvidenceKind.RUNBOOK]


def _cause(written: GoldHypothesis, evidence: dict[str, Evidence]) -> Cause:
    own = _own_facts(written, evidence)
    change = next((item for item in own if item.kind is EvidenceKind.CHANGE), None)
    return Cause(
        component=written.component,
        fault_kind=written.fault_kind,
        change_id=change.query if change else None,
        confidence=_SURE,
        evidence_ids=tuple(item.id for item in own),
    )
