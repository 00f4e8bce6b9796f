"""Evidence -> a claim about it, in words.

Comes in: one piece of evidence. Goes out: a structured :class:`Claim` whose sentence says no more than its fields do.
"""

import re
from textwrap import shorten

from mimir_core.analysis.last_words import LAST_WORDS
from mimir_core.analysis.pack import FINE, QUIET
from mimir_core.records import Claim, Direction, Evidence, EvidenceKind

_QUOTED_CHARACTERS = 160
_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"))
"""Of the International System of Units."""


def claim_about(evidence: Evidence, component: str | None = None) -> Claim:
    """State what ``evidence`` shows.

    Args:
        evidence: What is cited.
        component: Whom the claim is about, where that is not the speaker: a component that the excerpt names.
    """
    value = evidence.value
    claim = Claim(
        component=component or evidence.component,
        subject=evidence.subject,
        direction=evidence.direction,
        value=value.after if value else None,
        before=value.before if value else None,
        unit=value.unit if value else "",
        window=evidence.window,
        evidence_ids=(evidence.id,),
        text="-",
    )
    return claim.model_copy(update={"text": _say(claim, evidence)})


def is_about(component: str, evidence: Evidence) -> bool:
    """Whether ``evidence`` was seen on ``component``, or names it."""
    return component == evidence.component or names(evidence.excerpt, component)


def names(text: str, component: str) -> bool:
    """Whether ``text`` names ``component`` as a whole word.

    >>> names("cannot reach orders-db:5432", "orders-db"), names("orders-db-2 is slow", "orders-db")
    (True, False)
    """
    return bool(component) and re.search(rf"(?<![\w-]){re.escape(component)}(?![\w-])", text) is not None


def _say(claim: Claim, evidence: Evidence) -> str:
    speaker = evidence.component or "the system"
    if evidence.kind is EvidenceKind.ALERT:
        words = evidence.excerpt.splitlines()[1:]
        summary = shorten(words[0].rstrip(". "), _QUOTED_CHARACTERS, placeholder=" …") if words else ""
        return ": ".join(filter(None, (speaker, f"alert {claim.subject.rstrip('.')}", summary)))
    if evidence.kind is EvidenceKind.METRIC:
        return f"{speaker} {claim.subject} {_movement(claim)}"
    if evidence.kind is EvidenceKind.TRACE:
        return f"{claim.subject} {_movement(claim)} ({claim.unit})"
    if evidence.kind is EvidenceKind.CHANGE:
        return f"{speaker}: {evidence.excerpt}"
    if evidence.kind is EvidenceKind.FORECAST:
        return evidence.excerpt
    if claim.subject == QUIET:
        lines = "1 line" if claim.value == 1 else f"{claim.value:g} lines"
        return f"{speaker} logged nothing new and no sign of trouble in {lines}, at last {_quote(evidence)}"
    if claim.subject == LAST_WORDS:
        return f"{speaker} said before it ended {_quote(evidence)}"
    if claim.subject == FINE:
        return f"{speaker} reports itself fine"
    about = f" (about {claim.component})" if claim.component != speaker else ""
    return f"{speaker}{about}: {claim.subject}, {_times(claim)}"


def _quote(evidence: Evidence) -> str:
    return f'"{" ".join(evidence.excerpt.splitlines()[0].split())[:_QUOTED_CHARACTERS]}"'


def _movement(claim: Claim) -> str:
    before, after = _say_number(claim.before), _say_number(claim.value)
    match claim.direction:
        case Direction.UP:
            return f"rose from {before} to {after}"
        case Direction.DOWN:
            return f"fell from {before} to {after}"
        case Direction.STEADY:
            return f"stayed at {after} (was {before})"
        case _:
            return f"is {after}" if claim.value is not None else f"was {before} and is gone"


def _say_number(number: float | None) -> str:
    """Return ``number`` as people say it.

    >>> _say_number(13958643712.0), _say_number(0.0014), _say_number(4856)
    ('13.96G', '0.0014', '4856')
    """
    if number is None:
        return "nothing"
    scale, prefix = next(((scale, prefix) for scale, prefix in _PREFIXES if abs(number) >= scale), (1.0, ""))
    return f"{number / scale:.4g}{prefix}" if prefix else f"{number:g}"


def _times(claim: Claim) -> str:
    after = int(claim.value or 0)
    seen = "seen once" if after == 1 else f"seen {after} times"
    if claim.before is None:
        return seen
    if not after:
        return f"not said any more ({claim.before:g} times before)"
    return f"{seen}, never before" if claim.before == 0 else f"{seen} since the onset, {claim.before:g} times before"
