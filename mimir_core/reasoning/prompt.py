"""A pack -> what a model is asked about it, within a budget.

Comes in: a pack, trimmed by :func:`focus` to what a model is shown. Goes out: two messages, and what the short keys in them stand
for: ``e1`` is a piece of evidence, ``c1`` a suspect, and each piece bears the key of the suspect that it is about. Surprises:
suspects are shuffled by a seed and the evidence stands in their
order, so that no place tells what the evidence engine, or a writer, thinks; with hints a line of its own says it. Instructions
are a file of their own (``prompts/diagnose.md``); its hash, with that of this code, names the version of the prompt.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from textwrap import shorten
from typing import NamedTuple

from mimir_core.analysis.last_words import LAST_WORDS
from mimir_core.config import PromptSettings
from mimir_core.reasoning import claims
from mimir_core.reasoning.claims import claim_about
from mimir_core.records import Candidate, Evidence, EvidenceKind, EvidencePack, FaultKind, Outcome, content_hash
from mimir_core.safety.policy import SafetyRules
from mimir_core.telemetry.signals import UNKNOWN_COMPONENT

_INSTRUCTIONS = Path(__file__).with_name("prompts") / "diagnose.md"
_WRITERS = (Path(__file__), Path(claims.__file__))
_SAY_NOTHING_OF_A_CAUSE = frozenset({EvidenceKind.RUNBOOK, EvidenceKind.ALERT})
"""A page says what could be, an alert what is to be explained."""
_QUOTED_CHARACTERS = 100
_LINE_CHARACTERS = 400
_PASSAGE_CHARACTERS = 220
_CALM_PLACE = 2
"""After so many things that moved, one that stayed calm: without any, nothing could be refuted."""


class Prompt(NamedTuple):
    """What is asked, and what its keys stand for."""

    system: str
    user: str
    evidence: Mapping[str, str]
    """Key (``e1``) to evidence id."""
    suspects: Mapping[str, str]
    """Key (``c1``) to component, in the order shown."""


def suspects_of(pack: EvidencePack) -> list[str]:
    """Return the components that may be the cause: the ranked ones, then those with evidence, furthest from normal first."""
    ranked = [candidate.component for candidate in pack.candidates]
    seen = [item for item in pack.evidence if item.kind not in _SAY_NOTHING_OF_A_CAUSE and item.outcome is Outcome.DATA]
    rest = [item.component for item in sorted(seen, key=lambda item: (-item.score, item.component))]
    return [name for name in dict.fromkeys([*ranked, *rest]) if name and name != UNKNOWN_COMPONENT]


def focus(pack: EvidencePack, settings: PromptSettings) -> EvidencePack:
    """Return ``pack`` with no more evidence, and about no more suspects, than a model is shown.

    Suspects take turns, the first one's strongest evidence first; the alert and the best passages come before all.
    """
    suspects = suspects_of(pack)[: settings.max_suspects]
    deciding = {i for candidate in pack.candidates for i in candidate.evidence_ids}
    turns = zip_longest(*(_in_order(_about(name, pack), deciding) for name in suspects))
    passages = sorted((i for i in pack.evidence if i.kind is EvidenceKind.RUNBOOK), key=lambda item: -item.score)
    alerts = [item for item in pack.evidence if item.kind is EvidenceKind.ALERT][:1]
    wanted = [*alerts, *passages[: settings.max_passages], *(item for turn in turns for item in turn if item)]
    kept = {item.id for item in list(dict.fromkeys(wanted))[: settings.max_evidence]}
    return pack.model_copy(
        update={
            "evidence": tuple(item for item in pack.evidence if item.id in kept),
            "candidates": tuple(_citing(pack.candidates, kept, suspects)),
            "charts": (),
        }
    )


def write_prompt(pack: EvidencePack, seed: str, rules: SafetyRules, *, hints: bool) -> Prompt:
    """Ask about ``pack``, whole.

    Args:
        pack: As :func:`focus` returns it.
        seed: Decides the order of the suspects, and so of the evidence.
        rules: Which actions may be proposed.
        hints: Whether it is said how the evidence engine ranks the suspects.
    """
    names = sorted(suspects_of(pack))
    random.Random(seed).shuffle(names)  # noqa: S311  # an order, not a secret
    suspects = {f"c{number}": name for number, name in enumerate(names, start=1)}
    evidence = {item.id: f"e{number}" for number, item in enumerate(_in_turn(pack.evidence, names), start=1)}
    keys = {name: key for key, name in suspects.items()}
    incident = pack.incident
    affected = " ".join(filter(None, (keys.get(incident.service or ""), incident.service or "unknown")))
    lines = [
        f"Incident: {incident.title}",
        f"Affected: {affected}, {incident.severity.value}",
        *([f"Ranked: {_ranked(pack, keys, evidence) or 'none'}"] if hints else []),
        "Suspects:",
        *(f"{key} {name}" for key, name in suspects.items()),
        "Evidence:",
        *(f"{key} {_shown(pack.find(item), keys)}" for item, key in evidence.items()),
    ]
    # One line each, whatever was sent: text from outside opens no section and names no key.
    asked = "\n".join(shorten(line, _LINE_CHARACTERS, placeholder=" …") for line in lines)
    return Prompt(instructions(rules), asked, {key: item for item, key in evidence.items()}, suspects)


def instructions(rules: SafetyRules) -> str:
    """Return what a model is told before the first incident."""
    kinds = ", ".join(kind.value for kind in FaultKind if kind is not FaultKind.NONE)
    text = _INSTRUCTIONS.read_text(encoding="utf-8")
    return text.replace("{kinds}", kinds).replace("{actions}", ", ".join(sorted(rules.actions))).strip()


def prompt_version(rules: SafetyRules) -> str:
    """Return the hash that names this version: of the instructions, and of the code that writes what follows them."""
    return content_hash([instructions(rules), *(file.read_text(encoding="utf-8") for file in _WRITERS)])


def _in_turn(items: Iterable[Evidence], names: Sequence[str]) -> list[Evidence]:
    """The alert, what is about each suspect in turn, what is about nobody, pages; of one suspect, furthest from normal first."""
    ends = {EvidenceKind.ALERT: -1, EvidenceKind.RUNBOOK: len(names) + 1}
    places = {name: place for place, name in enumerate(names)}
    return sorted(items, key=lambda i: (ends.get(i.kind, places.get(i.component, len(names))), -i.score, i.id))


def _about(component: str, pack: EvidencePack) -> list[Evidence]:
    return [
        item
        for item in pack.evidence
        if item.outcome is Outcome.DATA and item.kind not in _SAY_NOTHING_OF_A_CAUSE and item.component == component
    ]


def _in_order(items: Iterable[Evidence], deciding: set[str]) -> list[Evidence]:
    """Deciding evidence first, then by distance from normal; one calm piece among the first."""
    order = sorted(items, key=lambda item: (item.id not in deciding, -item.score, item.subject))
    moved, calm = [i for i in order if i.score > 0], [i for i in order if i.score == 0]
    return [*moved[:_CALM_PLACE], *calm[:1], *moved[_CALM_PLACE:], *calm[1:]]


def _citing(candidates: Iterable[Candidate], kept: set[str], suspects: list[str]) -> Iterable[Candidate]:
    """The candidates about the suspects, as far as what they cite is shown."""
    for candidate in candidates:
        cited = tuple(evidence_id for evidence_id in candidate.evidence_ids if evidence_id in kept)
        if cited and candidate.component in suspects:
            yield candidate.model_copy(update={"evidence_ids": cited})


def _ranked(pack: EvidencePack, keys: Mapping[str, str], evidence: Mapping[str, str]) -> str:
    """What the engine thinks: each suspect that it ranks, the likeliest first, with its strongest candidate and what decided."""
    strongest = {candidate.component: candidate for candidate in reversed(pack.candidates)}
    ranked = dict.fromkeys(candidate.component for candidate in pack.candidates)
    return ", ".join(
        f"{keys[name]} {found.fault_kind.value} {found.score:.2f} {' '.join(evidence[i] for i in found.evidence_ids[:2])}"
        for name, found in ((name, strongest[name]) for name in ranked)
    )


def _shown(item: Evidence | None, keys: Mapping[str, str]) -> str:
    assert item is not None  # noqa: S101  # keys are made of the pack's own evidence
    if item.kind is EvidenceKind.RUNBOOK:
        return f"runbook {item.subject}: {shorten(item.excerpt, _PASSAGE_CHARACTERS, placeholder=' …')}"
    about = f"{keys[item.component]} {item.kind.value}" if item.component in keys else item.kind.value
    if item.outcome is not Outcome.DATA:
        return f"{about} {item.component} {item.subject}: {item.outcome.value}"
    said = claim_about(item).text
    is_sign = item.kind in (EvidenceKind.LOG, EvidenceKind.KUBERNETES) and item.subject != LAST_WORDS
    line = next(iter(item.excerpt.splitlines()), "") if is_sign and item.subject not in item.excerpt else ""
    quoted = f' "{shorten(line, _QUOTED_CHARACTERS, placeholder=" …")}"' if line and line not in said else ""
    return f"{about} {said}{quoted}"
