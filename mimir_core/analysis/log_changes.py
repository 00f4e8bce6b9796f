"""Log lines of an incident, and lines of when all was well -> what each component says differently, and who began.

Comes in: two recordings, each in order of time; the second best from a fault-free time, else from before the onset (which may
hold the fault already). Goes out: :class:`Finding` records, and a score for each component. Everything is one question asked
of steps (``log_steps.py``): of the times that a component stood at line A, what share went on to B? The strength of a finding
is the least change of that share that both confidence intervals allow (Jeffreys; Brown, Cai and DasGupta, "Interval Estimation
for a Binomial Proportion", Statistical Science 2001): 1 is "always became never", 0 is "may be chance", for all kinds alike.

Surprises: that A itself is said more or less often is no finding: it tells of the traffic, or of a caller. A caller that
waits for a failing callee changes too; its step spans the callee's, so ``own_share`` says what part of a finding no component
deeper in the same trace explains.
"""

import re
from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import beta

from mimir_core.analysis.log_steps import ANYTHING, CALM, END, LEVEL, START, LogLine, Recording, Step, Vocabulary
from mimir_core.analysis.logs import TemplateMiner
from mimir_core.config import LogChangeSettings

_EXCEPTION = re.compile(r"\b\w*(?:Exception|Error)\b|\bTraceback\b|\bpanic: |\n\s*at ")


class ChangeKind(StrEnum):
    """What is different."""

    NEW = "new template"
    BURST = "burst"
    VANISHED = "vanished template"
    SEQUENCE = "changed sequence"
    MISSING = "missing successor"
    EXCEPTION = "exception"
    SEVERITY = "severity shift"


class Share(NamedTuple):
    """How often a step was made, of how many that could have been."""

    made: int
    of: int


class Finding(NamedTuple):
    """One thing that a component says differently."""

    component: str
    kind: ChangeKind
    strength: float
    """Change of the share that is certain, in (0, 1]."""
    own_share: float
    """What part of it no deeper component explains, in [0, 1]."""
    reference: Share
    incident: Share
    after: str
    """Template of the line before; empty where it does not matter."""
    template: str
    """Template of the line that came, or that is missing; empty for the end of a trace."""
    example: str
    """A line of that template, or, at the end of a trace, of the last one."""
    first_seen: float
    """Unix seconds of the first step that differs."""


class LogChanges(NamedTuple):
    """What was found, and what was not looked at."""

    findings: list[Finding]
    """Strongest first."""
    dropped: Counter[str]
    """Lines by the reason why they do not count."""


def find_log_changes(
    incident: Iterable[LogLine], reference: Iterable[LogLine], miner: TemplateMiner, settings: LogChangeSettings
) -> LogChanges:
    """Compare ``incident`` with ``reference``.

    Args:
        incident: Lines in order of time; read once. Cut between traces, not through them.
        reference: Likewise. Two references are better compared one by one than joined: one may hold the fault already.
        miner: An empty miner.
        settings: The section ``culprits.logs`` of params.yaml.

    Returns:
        No finding where either is empty: there is nothing to compare.
    """
    vocabulary = Vocabulary(miner)
    before, after = vocabulary.settle([vocabulary.read(reference), vocabulary.read(incident)], settings.entry_share)
    dropped = Counter({"collected twice": before.repeated + after.repeated})
    return LogChanges(compare_recordings(vocabulary, before, after, settings), dropped)


def compare_recordings(vocabulary: Vocabulary, before: Recording, after: Recording, settings: LogChangeSettings) -> list[Finding]:
    """Return what ``after`` says differently, strongest first; both recordings are settled in ``vocabulary``."""
    if not before.steps or not after.steps:
        return []
    changes = _compare(_count(before), _count(after), vocabulary.errors(), settings)
    own = _own_parts(after, _deviations(after, changes))
    examples = vocabulary.examples()
    names = {component for component, _ in examples}
    rows = _rows_by_step(after)
    findings = []
    for change in changes:
        differs = np.concatenate([rows[step] for step in _concerned(change, after.steps)])
        component, said = change.step.component, change.step.next
        example = examples.get((component, change.step.before if said == END else said), "")
        blames = settings.names_another if change.is_gain and _words(example) & names - {component} else 1.0
        findings.append(
            Finding(
                component=component,
                kind=_kind(change, example),
                strength=change.strength,
                own_share=blames * float(own[differs].mean()),
                reference=change.reference,
                incident=change.incident,
                after=vocabulary.template(change.step.before),
                template=vocabulary.template(said),
                example=example,
                first_seen=float(after.since[differs].min()),
            )
        )
    return sorted(findings, key=lambda finding: (-finding.strength * finding.own_share, finding))


def score_components(findings: Iterable[Finding]) -> dict[str, float]:
    """Return how sure it is that a fault of the code sits in a component, in [0, 1], surest first."""
    scores: dict[str, float] = {}
    for finding in findings:
        scores[finding.component] = max(finding.strength * finding.own_share, scores.get(finding.component, 0.0))
    return dict(sorted(scores.items(), key=lambda item: (-item[1], item[0])))


class _Change(NamedTuple):
    """A step whose share changed more than by chance."""

    step: Step
    is_gain: bool
    strength: float
    reference: Share
    incident: Share
    was_said: bool
    """Whether the component said the next line at all in the reference."""
    is_said: bool
    """Likewise in the incident."""


def _count(recording: Recording) -> pd.Series:
    counts = np.bincount(recording.made, minlength=len(recording.steps))
    return pd.Series(counts, index=pd.MultiIndex.from_tuples(recording.steps, names=Step._fields), dtype=float)


def _compare(
    reference: pd.Series, incident: pd.Series, errors: set[tuple[str, int]], settings: LogChangeSettings
) -> list[_Change]:
    counts = _without_recovery(pd.DataFrame({"reference": reference, "incident": incident}).fillna(0.0), errors)
    of = counts.groupby(level=["component", "before"]).transform("sum")
    told = counts.groupby(level=["component", "next"]).transform("sum") > 0
    low, high = _interval(counts, of, settings.chance)
    gain, loss = low["incident"] - high["reference"], low["reference"] - high["incident"]
    before, said = (counts.index.get_level_values(level) for level in ("before", "next"))
    comparable = (of > 0).all(axis="columns") & (before != START) & (said != CALM)
    follows = ~np.isin(before, [ANYTHING, LEVEL])
    share = counts["reference"] / of["reference"]
    usual = follows & (share > 1 - settings.always) & ~_are_errors(counts, errors)
    gained = comparable & (gain > 0) & ~usual
    lost = comparable & (loss > 0) & follows & (share >= settings.always)
    return [
        _Change(
            step=Step(*row),
            is_gain=is_gain,
            strength=float(strength[row]),
            reference=Share(int(counts["reference"][row]), int(of["reference"][row])),
            incident=Share(int(counts["incident"][row]), int(of["incident"][row])),
            was_said=bool(told["reference"][row]),
            is_said=bool(told["incident"][row]),
        )
        for is_gain, strength, rows in ((True, gain, gained), (False, loss, lost))
        for row in counts.index[rows]
    ]


def _without_recovery(counts: pd.DataFrame, errors: set[tuple[str, int]]) -> pd.DataFrame:
    """Forget errors of the reference that are rarer now: that something works again is no trace of a fault."""
    share = counts / counts.groupby(level=["component", "before"]).transform("sum")
    rarer = _are_errors(counts, errors) & (share["incident"] < share["reference"])
    kept = (counts["reference"] * share["incident"] / share["reference"]).round()
    return counts.assign(reference=counts["reference"].where(~rarer, kept))


def _are_errors(counts: pd.DataFrame, errors: set[tuple[str, int]]) -> NDArray[np.bool_]:
    return np.array([(component, said) in errors for component, _, said in counts.index], bool)


def _interval(counts: pd.DataFrame, of: pd.DataFrame, chance: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the ends of the Jeffreys interval: open to 0 and 1 where nothing or everything was seen."""
    a, b = counts + 0.5, of - counts + 0.5
    low = pd.DataFrame(beta.ppf(chance / 2, a, b), counts.index, counts.columns).where(counts > 0, 0.0)
    high = pd.DataFrame(beta.ppf(1 - chance / 2, a, b), counts.index, counts.columns).where(counts < of, 1.0)
    return low, high


def _kind(change: _Change, example: str) -> ChangeKind:
    if not change.is_gain:
        return ChangeKind.MISSING if change.is_said else ChangeKind.VANISHED
    if change.step.before == LEVEL:
        return ChangeKind.SEVERITY
    if change.step.next == END:
        return ChangeKind.SEQUENCE
    if not change.was_said:
        return ChangeKind.EXCEPTION if _EXCEPTION.search(example) else ChangeKind.NEW
    return ChangeKind.BURST if change.step.before in (ANYTHING, change.step.next) else ChangeKind.SEQUENCE


def _rows_by_step(recording: Recording) -> dict[Step, NDArray[np.intp]]:
    ends = np.bincount(recording.made, minlength=len(recording.steps)).cumsum()
    return dict(zip(recording.steps, np.split(np.argsort(recording.made, kind="stable"), ends[:-1]), strict=True))


def _concerned(change: _Change, steps: Iterable[Step]) -> list[Step]:
    """Return the steps that ``change`` is about: the one gained, or those made in place of the one lost."""
    if change.is_gain:
        return [change.step]
    return [step for step in steps if step[:2] == change.step[:2] and step != change.step]


def _deviations(incident: Recording, changes: Iterable[_Change]) -> NDArray[np.float64]:
    """Return for each step that was made how much it differs, in [0, 1]: by the strongest change that it is part of."""
    strongest = dict.fromkeys(incident.steps, 0.0)
    for change in changes:
        for step in _concerned(change, incident.steps):
            strongest[step] = max(strongest[step], change.strength)
    return np.array(list(strongest.values()))[incident.made]


def _own_parts(incident: Recording, deviation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for each step that was made what part of its deviation nobody deeper in its trace explains.

    Deeper is who deviates between the two lines of the step: whoever waits spans whom he waits for.
    """
    own = np.ones(len(incident.made))
    rows = np.flatnonzero((deviation > 0) & (incident.trace >= 0))
    components = pd.factorize(np.array([step.component for step in incident.steps]))[0][incident.made]
    for _, trace in pd.Series(rows).groupby(incident.trace[rows]):
        for row in trace:
            inside = trace[
                (components[trace] != components[row])
                & (incident.since[trace] > incident.since[row])
                & (incident.since[trace] < incident.until[row])
            ]
            own[row] = np.prod(1 - deviation[inside])
    return own


def _words(example: str) -> set[str]:
    return set(re.findall(r"[\w.-]+", example))
