"""What was seen of the component that an incident is about, before anybody asks why.

Comes in: a pack and the table of signs. Goes out: claims: the symptoms, the states, or what shows that all is well and what
brought it back. Surprise: where no alert fired, no series moved and no line is new, the component's states are the symptoms,
those that many faults end in first.
"""

from collections.abc import Iterator

from mimir_core.analysis.last_words import LAST_WORDS
from mimir_core.analysis.pack import FINE, QUIET
from mimir_core.analysis.signs import MetricFamily, Sign, SignTable
from mimir_core.reasoning.claims import claim_about, is_about
from mimir_core.records import Claim, Direction, Evidence, EvidenceKind, EvidencePack, FaultKind

_MAX_SYMPTOMS = 6
_MAX_STATES = 3
_MAX_WARNINGS = 2


class Sight:
    """Reads one pack for what is to be explained."""

    def __init__(self, pack: EvidencePack, table: SignTable) -> None:
        self._pack = pack
        self._table = table
        self._service = pack.incident.service or ""

    def symptoms(self) -> tuple[Claim, ...]:
        """What users and operators see: the alerts, what moved on the affected component (what users feel first), new lines."""
        alerts = [item for item in self._pack.evidence if item.kind is EvidenceKind.ALERT]
        moved = [item for item in self._of(EvidenceKind.METRIC) if item.score > 0]
        moved.sort(
            key=lambda item: (not self._is_affected(item), not self._felt(item), -item.score, item.component, item.subject)
        )
        templates = [
            i for i in self._of(EvidenceKind.LOG) if not self._table.sign_of(i) and i.score > 0 and i.subject != LAST_WORDS
        ]
        templates.sort(key=lambda item: (not self._is_affected(item), -item.score, -_lines(item), item.subject))
        warnings = [item for item in self._warnings() if self._is_affected(item)]
        shown = [*alerts[:1], *moved[: _MAX_SYMPTOMS - 2], *warnings, *templates][:_MAX_SYMPTOMS]
        return tuple(claim_about(item) for item in shown) or self._states()

    def proofs_of_health(self) -> tuple[Claim, ...]:
        """What shows that the affected component is well: what users feel, what brought it back, its states and its log.

        And what will not stay so: a limit that will be met, on any component.
        """
        proofs = [item for item in self._pack.evidence if is_about(self._service, item) and self._proves_health(item)]
        proofs.sort(key=lambda i: (i.kind is not EvidenceKind.METRIC, not self._is_affected(i), i.component, i.subject))
        eased = [i for i in self._of(EvidenceKind.METRIC) if self._is_affected(i) and i.score > 0 and self._family(i)]
        claims = [claim_about(item) for item in (*proofs[:1], *eased[:2], *proofs[1:])]
        warnings = [claim_about(item) for item in self._warnings()]
        return (*(*claims[:1], *self._recoveries(), *claims[1:])[: _MAX_SYMPTOMS - len(warnings)], *warnings)

    def is_worrying(self, item: Evidence) -> bool:
        """A series that moved worries, unless it is one whose rise would be bad and it fell; fewer requests do worry."""
        if item.kind is not EvidenceKind.METRIC or item.score == 0:
            return False
        family = self._family(item)
        if family is None or family.fault is FaultKind.TRAFFIC:
            return True
        return item.direction in (family.bad, Direction.VANISHED)

    def is_steady_and_felt(self, item: Evidence) -> bool:
        """Whether it is a series that users feel, and it did not move."""
        return self._felt(item) and item.direction is Direction.STEADY

    def _states(self) -> tuple[Claim, ...]:
        """The bad states of the affected component, weak signs first, without the strongest, which is the likely cause.

        Where it has no bad one, what shows that it is well.
        """
        bad = [item for item in self._of(EvidenceKind.KUBERNETES) if self._is_affected(item) and item.score >= 1]
        signed = [(sign.weight, item.subject, item.id, item, sign) for item in bad if (sign := self._table.sign_of(item))]
        signed = sorted(signed)[:-1] or signed
        claims = {sign.means: _in_words(item, sign) for *_, item, sign in signed[:_MAX_STATES]}
        return tuple(claims.values()) or self.proofs_of_health()

    def _warnings(self) -> list[Evidence]:
        """Which limits will be met, the affected component's first, then the soonest."""
        found = self._of(EvidenceKind.FORECAST)
        hours = {item.id: item.value.after or 0.0 for item in found if item.value}
        return sorted(found, key=lambda item: (not self._is_affected(item), hours.get(item.id, 0.0)))[:_MAX_WARNINGS]

    def _recoveries(self) -> Iterator[Claim]:
        """What brought the affected component back: said of it, or by another that names it."""
        for item in self._pack.evidence:
            about = item.component == self._service or self._service in item.excerpt
            if about and self._table.tells_of_recovery(item):
                yield _in_words(item, self._table.signs[item.subject])

    def _of(self, kind: EvidenceKind) -> list[Evidence]:
        return [item for item in self._pack.evidence if item.kind is kind]

    def _is_affected(self, item: Evidence) -> bool:
        return item.component == self._service

    def _family(self, item: Evidence) -> MetricFamily | None:
        return self._table.family_of(item.subject) if item.kind is EvidenceKind.METRIC else None

    def _felt(self, item: Evidence) -> bool:
        family = self._family(item)
        return bool(family and family.felt)

    def _proves_health(self, item: Evidence) -> bool:
        return self.is_steady_and_felt(item) or item.subject in (FINE, QUIET)


def _in_words(item: Evidence, sign: Sign) -> Claim:
    """State what ``item`` shows in the plain words of its sign."""
    return claim_about(item).model_copy(update={"text": f"{item.component}: {sign.meaning(item.excerpt)}"})


def _lines(item: Evidence) -> float:
    return (item.value.after or 0.0) if item.value else 0.0
