"""A correction teaches what could have been seen, and nothing else."""

from pathlib import Path

from mimir_core.analysis.pack import EvidenceEngine
from mimir_core.analysis.signs import read_signs
from mimir_core.config import read_params
from mimir_core.reasoning.correct import correct
from mimir_core.reasoning.diagnose import diagnose
from mimir_core.reasoning.verify import verify
from mimir_core.records import EvidencePack, FaultKind, Incident, Verdict
from mimir_core.safety.policy import read_safety_rules
from mimir_core.telemetry.signals import Signals, Statement

PARAMS = read_params(Path(__file__).parents[2] / "params.yaml")
TABLE, RULES = read_signs(), read_safety_rules()


def pack_of(*lines: tuple[str, str]) -> EvidencePack:
    said = [Statement("log", component, text, "case.txt") for component, text in lines]
    engine = EvidenceEngine(lambda _query, _top_k: [], TABLE, PARAMS)
    return engine.build_pack(Signals(Incident(id="i", title="checkout", service="web"), statements=said))


PACK = pack_of(("web", "java.lang.OutOfMemoryError: Java heap space"), ("db", "could not write: no space left on device"))


def test_the_cause_that_a_person_names_is_the_cause() -> None:
    first = diagnose(PACK, TABLE, RULES, PARAMS.diagnose).diagnosis.causes[0]
    other = next(c for c in PACK.candidates if (c.component, c.fault_kind) != (first.component, first.fault_kind))
    corrected = correct(PACK, (other.component, other.fault_kind), TABLE, RULES, PARAMS.diagnose)
    assert corrected is not None
    assert corrected.verdict is Verdict.CAUSE_FOUND
    assert [(cause.component, cause.fault_kind) for cause in corrected.causes] == [(other.component, other.fault_kind)]
    assert not verify(corrected, PACK).rejected


def test_a_fault_that_nobody_had_thought_of_cites_what_was_seen_of_its_component() -> None:
    corrected = correct(PACK, ("db", FaultKind.QUOTA), TABLE, RULES, PARAMS.diagnose)
    assert corrected is not None
    cited = [PACK.find(evidence_id) for evidence_id in corrected.causes[0].evidence_ids]
    assert {item.component for item in cited if item} == {"db"}


def test_what_nobody_could_have_seen_teaches_nothing() -> None:
    assert correct(PACK, ("dns", FaultKind.DNS), TABLE, RULES, PARAMS.diagnose) is None
