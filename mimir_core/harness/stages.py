"""The stages of a bench run, by name: what each does with one case, and which figures it gives.

Comes in: one case on its walk, and what the run was wired with. Goes out: figures and the stage's own result; what later stages
need stays with the walk. A further stage is a function and a line in :data:`STAGES`. Surprises: what the built-in reasoner
answered in place of a model counts as no answer of the model, here and in every later stage; the same cases are also answered by
the built-in reasoner and by who always blames the service that the alert names, so that a figure never stands alone.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sized
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from mimir_core.analysis.signs import SignTable
from mimir_core.config import DiagnoseSettings
from mimir_core.evaluation.answers import Said, name_suspect, say
from mimir_core.harness.dry_run import obstacle_to
from mimir_core.harness.prices import Prices
from mimir_core.harness.reasoners import BuiltinReasoner, Reasoner, Turn
from mimir_core.harness.scores import Figures, Known, find_helping, score_actions, score_cause
from mimir_core.reasoning.model import Reasoned
from mimir_core.reasoning.prompt import suspects_of
from mimir_core.reasoning.verify import Verified
from mimir_core.records import Action, Diagnosis, EvidenceKind, EvidencePack
from mimir_core.safety.policy import SafetyRules
from mimir_core.telemetry.signals import Signals

WITH_FALLBACK, BUILTIN_BESIDE, ALERTING = "with_fallback", "builtin", "alerting_service"
"""Who else answers: the model with the built-in reasoner behind it, as operators would have it; that reasoner; nobody at all."""
_REFLEX = "restart_workload"
"""What is done where nobody thinks."""


@dataclass(frozen=True)
class Bench:
    """What the stages work with: wired once, used for every case."""

    build_pack: Callable[[Signals], EvidencePack]
    reasoner: Reasoner
    table: SignTable
    rules: SafetyRules
    settings: DiagnoseSettings
    prices: Prices | None
    """None where nobody said: then nothing has a cost."""


@dataclass
class Walk:
    """One case on its way; each stage adds what later ones need."""

    signals: Signals
    known: Known
    pack: EvidencePack = field(init=False)
    diagnosis: Diagnosis = field(init=False)
    """Whoever's stands."""
    turns: tuple[Turn, ...] = ()
    said: Said = field(init=False)
    """The provider's own answer."""
    beside: dict[str, Said] = field(default_factory=dict)
    """What others say."""


class Found(NamedTuple):
    """What a stage found out about one case."""

    figures: Figures
    result: Mapping[str, Any]
    """For people: what it came to."""
    beside: Mapping[str, Figures] = MappingProxyType({})
    """The figures of others."""


class Stage(NamedTuple):
    """A function, and the stages that go before it."""

    run: Callable[[Walk, Bench], Found]
    needs: tuple[str, ...] = ()


def correlate(walk: Walk, bench: Bench) -> Found:
    """Signals -> the evidence pack: how much was recorded, what is left to read, and whether the cause is still in it."""
    signals = walk.signals
    walk.pack = pack = bench.build_pack(signals)
    kinds = Counter(item.kind.value for item in pack.evidence if item.kind is not EvidenceKind.RUNBOOK)
    read, kept = _count_signals(signals), kinds.total()
    at_fault = {component for component, _ in walk.known.truth.causes}
    figures = {
        "alerts": len(signals.incident.alerts),
        "signals": read,
        "evidence": kept,
        "noise_reduction": round(1 - kept / read, 4) if read >= kept > 0 else None,
        "cause_in_pack": not at_fault.isdisjoint(suspects_of(pack)) if at_fault else None,
    }
    return Found(
        figures,
        {
            "evidence": dict(kinds),
            "dropped": pack.dropped,
            "sources": {name: outcome.value for name, outcome in pack.sources.items()},
        },
    )


def find_cause(walk: Walk, bench: Bench) -> Found:
    """The pack -> the provider's diagnosis, scored beside those of others."""
    reasoned, walk.turns = bench.reasoner.reason(walk.pack)
    walk.diagnosis = diagnosis = reasoned.diagnosis
    stands = say(Verified(diagnosis, Counter()))
    walk.said = Said(None) if diagnosis.degraded else stands
    reflex = name_suspect(walk.pack.incident.service)._replace(actions=(_REFLEX,))
    walk.beside = {ALERTING: reflex}
    if reasoned.model:
        builtin = BuiltinReasoner(bench.table, bench.rules, bench.settings).reason(walk.pack).reasoned.diagnosis
        walk.beside = {WITH_FALLBACK: stands, BUILTIN_BESIDE: say(Verified(builtin, Counter())), **walk.beside}
    read, written = reasoned.input_tokens, reasoned.output_tokens
    figures = {
        **score_cause(walk.said, walk.known, bench.rules),
        "degraded": diagnosis.degraded is not None,
        "input_tokens": read,
        "output_tokens": written,
        "cost_per_1000": 1000 * bench.prices.cost_of(read, written) if bench.prices else None,
    }
    beside = {name: score_cause(said, walk.known, bench.rules) for name, said in walk.beside.items()}
    return Found(figures, _told(reasoned), beside)


def remedy(walk: Walk, bench: Bench) -> Found:
    """The provider's proposals against what would have helped."""
    helping = find_helping(walk.pack, walk.known, bench.table, bench.rules, bench.settings)
    figures = {"proposed": len(walk.said.actions), **score_actions(walk.said, walk.known, helping, bench.rules)}
    beside = {name: score_actions(said, walk.known, helping, bench.rules) for name, said in walk.beside.items()}
    return Found(figures, {"proposed": list(walk.said.actions), "helping": [action.name for action in helping]}, beside)


def run_dry(walk: Walk, bench: Bench) -> Found:
    """The provider's proposals -> which of them could be executed as they stand. Nothing is."""
    proposed: tuple[Action, ...] = walk.said.standing.actions if walk.said.standing else ()
    obstacles = [obstacle_to(action, walk.pack, bench.rules) for action in proposed]
    figures = {
        "executable": _share(not obstacle for obstacle in obstacles),
        "needs_approval": _share(action.needs_approval for action in proposed),
    }
    tried = zip(proposed, obstacles, strict=True)
    told = [{"action": action.name, "command": action.command, "obstacle": obstacle} for action, obstacle in tried]
    return Found(figures, {"dry_run": told})


STAGES: Mapping[str, Stage] = MappingProxyType(
    {
        "correlation": Stage(correlate),
        "rca": Stage(find_cause, ("correlation",)),
        "remediation": Stage(remedy, ("rca",)),
        "executor": Stage(run_dry, ("rca",)),
    }
)
"""What a run may name, in the usual order."""


def _count_signals(signals: Signals) -> int:
    """Everything that somebody without Mimir would have to look at: series, lines and events, spans, objects, changes, alerts."""
    changes = signals.changes
    listed: tuple[Sized, ...] = (
        signals.statements,
        signals.spans,
        signals.manifests,
        signals.query_loads,
        signals.incident.alerts,
    )
    return int(signals.metrics.shape[1]) + sum(map(len, (*listed, changes.commits, changes.deploys, changes.flags)))


def _share(outcomes: Iterable[bool]) -> float | None:
    counted = list(outcomes)
    return sum(counted) / len(counted) if counted else None


def _told(reasoned: Reasoned) -> dict[str, Any]:
    diagnosis = reasoned.diagnosis
    return {
        "verdict": diagnosis.verdict.value,
        "causes": [[cause.component, cause.fault_kind.value] for cause in diagnosis.causes],
        "headline": diagnosis.headline,
        "confidence": diagnosis.confidence,
        "degraded": diagnosis.degraded,
        "rejected": dict(reasoned.rejected),
    }
