"""Every incident is a chat or a count, and nothing of what is held out was read before."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from mimir_core.analysis.signs import SignTable
from mimir_core.config import DatasetSettings, Params
from mimir_core.learning.checks import chat_rows, chat_rules, count_unknown_keys
from mimir_core.learning.data_card import count_chats, write_card
from mimir_core.learning.dataset import Dataset, build_dataset, split_systems
from mimir_core.learning.finetune import CHOICE
from mimir_core.learning.lessons import Teacher
from mimir_core.learning.splits import Split
from mimir_core.reasoning.correct import correct
from mimir_core.reasoning.prompt import suspects_of
from mimir_core.reasoning.steps import Steps
from mimir_core.reasoning.verify import verify
from mimir_core.records import (
    Candidate,
    Chat,
    Evidence,
    EvidenceKind,
    EvidencePack,
    Example,
    FaultKind,
    Incident,
    Measurement,
    Message,
    SolvedIncident,
    Verdict,
)
from mimir_core.rules import BrokenRule, Row, Rule
from mimir_core.safety.policy import SafetyRules

PackOf = Callable[..., EvidencePack]
Build = Callable[..., Dataset]
SYSTEMS = [f"{name}-works" for name in ("amber", "birch", "cedar", "delta", "ember", "flint", "grove", "heron")]
VIEWS = 2


class RowByRow:
    """Checks what the rules for chats ask, one row after the other."""

    def find_broken(self, rows: Sequence[Row], rules: Sequence[Rule]) -> list[BrokenRule]:
        broken = [BrokenRule(rule, [place for place in range(len(rows)) if not self._holds(rule, rows, place)]) for rule in rules]
        return [found for found in broken if found.rows]

    def _holds(self, rule: Rule, rows: Sequence[Row], place: int) -> bool:
        value = rows[place][rule.column]
        if rule.test == "unique":
            return sum(row[rule.column] == value for row in rows) == 1
        assert rule.test == "between"
        return (rule.minimum is None or value >= rule.minimum) and (rule.maximum is None or value <= rule.maximum)


def broken(chats: Mapping[Split, Sequence[Chat]], settings: DatasetSettings) -> set[str]:
    """Return the claims that do not hold of ``chats``."""
    return {found.rule.claim for found in RowByRow().find_broken(chat_rows(chats), chat_rules(settings))}


def seen_at(pack_of: PackOf, system: str) -> EvidencePack:
    """Four components of ``system``, of which three complain."""
    name = system.partition("-")[0]
    return pack_of(
        f"{name}-web",
        (f"{name}-web", "java.lang.OutOfMemoryError: Java heap space"),
        (f"{name}-db", f"could not write {name}.wal: no space left on device"),
        (f"{name}-auth", f"{name}: x509: certificate has expired or is not yet valid"),
        (f"{name}-queue", f"{name} rebalanced its partitions"),
    )


def at(system: str, part: str) -> str:
    return f"{system.partition('-')[0]}-{part}"


def incident_at(pack_of: PackOf, system: str, *causes: tuple[str, FaultKind]) -> SolvedIncident:
    return SolvedIncident(
        pack=seen_at(pack_of, system),
        verdict=Verdict.CAUSE_FOUND,
        causes=tuple((at(system, part), kind) for part, kind in causes),
        provenance=f"case of {system}: {causes}",
        system=system,
    )


def healthy_pack() -> EvidencePack:
    """A line that looks bad, and everything that users feel as it was."""
    felt = [
        Evidence(
            kind=EvidenceKind.METRIC,
            component="calm-web",
            subject=subject,
            origin="metrics.csv",
            value=Measurement(before=before, after=before, noise=before / 10),
        )
        for subject, before in (("latency_p95_ms", 100.0), ("error_rate_percent", 0.2))
    ]
    line = Evidence(
        kind=EvidenceKind.LOG,
        component="calm-db",
        subject="NoSpace",
        origin="logs.txt",
        value=Measurement(before=2, after=2, unit="lines"),
        score=0.2,
        excerpt="no space left on device",
    )
    suspicion = Candidate(component="calm-db", fault_kind=FaultKind.DISK, score=0.3, evidence_ids=(line.id,))
    return EvidencePack(
        incident=Incident(id="i-calm", title="calm-web was slow", service="calm-web"),
        evidence=(*felt, line),
        candidates=(suspicion,),
    )


@pytest.fixture(scope="session")
def teacher_of(table: SignTable, rules: SafetyRules, params: Params) -> Callable[[bool], Teacher]:
    return {held_out: Teacher(table, rules, params.diagnose, held_out) for held_out in (False, True)}.__getitem__


@pytest.fixture(scope="session")
def settings(params: Params) -> DatasetSettings:
    return params.dataset


@pytest.fixture(scope="session")
def solved(pack_of: PackOf) -> list[SolvedIncident]:
    """Of each system one incident on the database and one on the web tier; two at once; and one that nothing tells of."""
    single = [incident_at(pack_of, system, cause) for system in SYSTEMS for cause in (DISK, MEMORY)]
    return [*single, incident_at(pack_of, SYSTEMS[0], DISK, MEMORY), incident_at(pack_of, SYSTEMS[1], ("dns", FaultKind.DNS))]


DISK, MEMORY = ("db", FaultKind.DISK), ("web", FaultKind.MEMORY)


@pytest.fixture(scope="session")
def corrections(pack_of: PackOf, table: SignTable, rules: SafetyRules, params: Params) -> list[Example]:
    """Of each system what a person said: it was the certificate."""
    examples = []
    for system in SYSTEMS:
        pack = seen_at(pack_of, system)
        diagnosis = correct(pack, (at(system, "auth"), FaultKind.CERTIFICATE), table, rules, params.diagnose)
        assert diagnosis is not None
        told = {"source": "feedback", "provenance": f"feedback on {system}", "system": system}
        examples.append(Example(id=f"x-{system}", pack=pack, diagnosis=diagnosis, **told))
    return examples


@pytest.fixture(scope="session")
def build(teacher_of: Callable[[bool], Teacher], params: Params) -> Build:
    """Return what builds a data set with the shipped settings, but for some."""

    def build_with(
        solved: Sequence[SolvedIncident], written: Sequence[Example] = (), views: int = VIEWS, **changes: Any
    ) -> Dataset:
        settings = params.dataset.model_copy(update=changes)
        return build_dataset(solved, written, teacher_of, params.prompt, settings, views)

    return build_with


@pytest.fixture(scope="session")
def built(solved: list[SolvedIncident], corrections: list[Example], build: Build) -> Dataset:
    return build(solved, corrections)


def answer(chat: Chat) -> Steps:
    return Steps.model_validate_json(chat.messages[-1].content)


def reasons(chats: Sequence[Chat]) -> set[str]:
    return {weighed.because for chat in chats for weighed in answer(chat).hypotheses}


# --- splits -------------------------------------------------------------------------------------------------------


def test_every_system_is_in_exactly_one_split_and_the_shares_are_kept(settings: DatasetSettings) -> None:
    names = [f"system-{number}" for number in range(40)]
    splits = split_systems([*names, *names], settings)
    assert sorted(splits) == sorted(names)
    assert Counter(splits.values()) == {Split.TEST: 10, Split.DEV: 4, Split.TRAIN: 26}


def test_splits_depend_on_the_seed_and_not_on_the_order_of_what_comes_in(settings: DatasetSettings) -> None:
    names = [f"system-{number}" for number in range(40)]
    assert split_systems(names, settings) == split_systems(reversed(names), settings)
    assert split_systems(names, settings) != split_systems(names, settings.model_copy(update={"seed": 2}))


def test_no_system_and_no_incident_is_in_two_splits(built: Dataset) -> None:
    for name in ("system", "provenance"):
        places = [{getattr(chat, name) for chat in members} for members in built.chats.values()]
        assert sum(map(len, places)) == len(set.union(*places))
    assert all(built.chats.values())


def test_gold_is_split_by_its_own_systems(corrections: list[Example], build: Build, settings: DatasetSettings) -> None:
    gold = [example.model_copy(update={"source": "gold"}) for example in corrections]
    built = build([], gold)
    splits = split_systems(SYSTEMS, settings)
    assert {chat.system: split for split, members in built.chats.items() for chat in members} == splits


# --- counts -------------------------------------------------------------------------------------------------------


def test_each_held_out_incident_is_kept_whole_beside_its_chats(built: Dataset, solved: list[SolvedIncident]) -> None:
    packs = {incident.provenance: incident.pack for incident in solved}
    assert [example.provenance for example in built.held_out] == list(
        dict.fromkeys(chat.provenance for chat in built.chats[Split.TEST])
    )
    assert all(example.pack == packs[example.provenance] for example in built.held_out if example.provenance in packs)


def test_kept_and_dropped_add_up(
    built: Dataset, solved: list[SolvedIncident], corrections: list[Example], settings: DatasetSettings
) -> None:
    splits = split_systems(SYSTEMS, settings)
    views = {split: VIEWS if split is Split.TRAIN else 2 for split in Split}
    taught = [incident for incident in solved if incident.causes[0][1] is not FaultKind.DNS]
    expected = Counter(splits[incident.system] for incident in taught for _ in range(views[splits[incident.system]]))
    learned = [example for example in corrections if splits[example.system] is Split.TRAIN]
    expected[Split.TRAIN] += VIEWS * len(learned)
    assert {split: len(members) for split, members in built.chats.items()} == expected
    assert built.dropped == {
        f"{splits[SYSTEMS[1]].value}: simulated, cause_found: the pack shows nothing of it": 1,
        "feedback: its system is held out": len(corrections) - len(learned),
    }


def test_what_was_corrected_on_a_held_out_system_is_neither_learned_nor_tested(built: Dataset, settings: DatasetSettings) -> None:
    splits = split_systems(SYSTEMS, settings)
    fed = [(split, chat) for split, members in built.chats.items() for chat in members if chat.source == "feedback"]
    assert fed
    assert all(split is splits[chat.system] is Split.TRAIN for split, chat in fed)


def test_what_was_corrected_on_a_system_that_nobody_simulated_is_learned(
    solved: list[SolvedIncident],
    corrections: list[Example],
    build: Build,
) -> None:
    new = corrections[0].model_copy(update={"system": "a-new-one"})
    built = build(solved, [new])
    assert [chat.source for chat in built.chats[Split.TRAIN] if chat.system == "a-new-one"] == ["feedback"] * VIEWS


def test_a_chat_that_is_too_long_is_dropped_and_counted(
    solved: list[SolvedIncident],
    built: Dataset,
    build: Build,
) -> None:
    words = sorted(row["words"] for row in chat_rows(built.chats))
    most = words[len(words) // 2]
    shorter = build(solved, max_words=most)
    assert all(row["words"] <= most for row in chat_rows(shorter.chats))
    whole = build(solved)
    too_long = sum(count for reason, count in shorter.dropped.items() if reason.endswith("longer than dataset.max_words"))
    assert too_long > 0
    assert too_long + sum(map(len, shorter.chats.values())) == sum(map(len, whole.chats.values()))


def test_a_cause_that_the_prompt_does_not_show_makes_no_chat(corrections: list[Example], build: Build) -> None:
    example = corrections[0]
    elsewhere = tuple(cause.model_copy(update={"component": "nowhere"}) for cause in example.diagnosis.causes)
    odd = example.model_copy(update={"diagnosis": example.diagnosis.model_copy(update={"causes": elsewhere})})
    built = build([], [odd])
    assert not any(built.chats.values())
    assert built.dropped == {"train: feedback, the prompt does not show the cause among the suspects": VIEWS}


def test_the_same_sources_give_the_same_chats(
    solved: list[SolvedIncident],
    corrections: list[Example],
    built: Dataset,
    build: Build,
) -> None:
    assert build(solved, corrections) == built


# --- chats --------------------------------------------------------------------------------------------------------


def test_tuning_finds_the_choice_of_every_answer_that_makes_one(built: Dataset) -> None:
    chats = [chat for members in built.chats.values() for chat in members]
    chosen = [CHOICE.findall(chat.messages[-1].content) for chat in chats]
    assert [bool(found) for found in chosen] == [bool(chat.causes) for chat in chats]
    assert all(set(found) <= set(chat.causes) for found, chat in zip(chosen, chats, strict=True))
    assert any(chosen)


def test_a_held_out_incident_is_asked_about_with_hints_and_without(built: Dataset) -> None:
    for split in (Split.DEV, Split.TEST):
        hinted = Counter((chat.provenance, chat.hinted) for chat in built.chats[split])
        assert set(hinted.values()) == {1}
        assert {(name, not flag) for name, flag in hinted} == set(hinted)


def test_a_training_incident_is_asked_about_in_as_many_orders_as_the_settings_say(
    solved: list[SolvedIncident], build: Build
) -> None:
    built = build(solved, views=5)
    kept = Counter(chat.provenance for chat in built.chats[Split.TRAIN])
    twice = sum(count for reason, count in built.dropped.items() if "the same order" in reason)
    assert sum(kept.values()) + twice == 5 * len(kept)
    assert set(Counter(chat.provenance for chat in built.chats[Split.TEST]).values()) == {2}
    orders = {tuple(chat.suspects.values()) for chat in built.chats[Split.TRAIN] if chat.system == SYSTEMS[0]}
    assert len(orders) > 3


def test_more_views_than_there_are_orders_make_no_twins(pack_of: PackOf, build: Build, settings: DatasetSettings) -> None:
    two = pack_of("web", ("web", "java.lang.OutOfMemoryError: Java heap space"), ("db", "no space left on device"))
    few = SolvedIncident(pack=two, verdict=Verdict.CAUSE_FOUND, causes=(DISK,), provenance="two suspects", system="small")
    built = build([few], views=8)
    assert "questions_and_answers_are_no_twins" not in broken(built.chats, settings)


def test_a_chat_names_the_true_cause_by_its_key(built: Dataset, solved: list[SolvedIncident]) -> None:
    truth = {incident.provenance: incident.causes for incident in solved}
    for chat in (chat for members in built.chats.values() for chat in members if chat.source == "simulated"):
        assert {chat.suspects[key] for key in chat.causes} == {component for component, _ in truth[chat.provenance]}
        blamed = {(chat.suspects[cause.suspect], cause.fault_kind) for cause in answer(chat).causes}
        assert blamed == set(truth[chat.provenance])


def test_two_causes_are_both_blamed_and_neither_is_refuted(built: Dataset) -> None:
    double = [chat for members in built.chats.values() for chat in members if len(chat.causes) == 2]
    assert double
    for chat in double:
        assert {cause.fault_kind for cause in answer(chat).causes} == {FaultKind.DISK, FaultKind.MEMORY}
        weighed = [h for h in answer(chat).hypotheses if h.suspect in chat.causes]
        assert {h.suspect for h in weighed} == set(chat.causes)
        assert not any(h.contradicting and not h.supporting for h in weighed)


def test_the_engines_first_is_remembered_by_its_key(built: Dataset, pack_of: PackOf) -> None:
    for chat in built.chats[Split.TRAIN]:
        assert chat.first is not None
        assert chat.suspects[chat.first] == suspects_of(seen_at(pack_of, chat.system))[0]


def test_a_chat_tells_nothing_of_where_it_comes_from(built: Dataset) -> None:
    for chat in (chat for members in built.chats.values() for chat in members):
        said = "\n".join(message.content for message in chat.messages)
        assert chat.provenance not in said
        assert chat.system not in said
        assert [message.role for message in chat.messages] == ["system", "user", "assistant"]


def test_the_reasons_of_the_test_split_are_worded_as_no_other_reason_is(built: Dataset) -> None:
    learned = reasons([*built.chats[Split.TRAIN], *built.chats[Split.DEV]])
    asked = reasons(built.chats[Split.TEST])
    assert learned
    assert asked
    assert not learned & asked


# --- lessons ------------------------------------------------------------------------------------------------------


def test_the_same_incident_is_reasoned_in_other_words_where_it_is_held_out(
    solved: list[SolvedIncident], teacher_of: Callable[[bool], Teacher]
) -> None:
    said: dict[bool, set[str]] = {False: set(), True: set()}
    for held_out in said:
        for seed in range(30):
            diagnosis = teacher_of(held_out).teach(solved[0], str(seed))
            assert not isinstance(diagnosis, str)
            said[held_out] |= {hypothesis.statement for hypothesis in diagnosis.hypotheses}
    assert len(said[False]) > 2 * len(said[True])
    assert not said[False] & said[True]


def test_a_lesson_passes_the_checker_as_it_is(solved: list[SolvedIncident], teacher_of: Callable[[bool], Teacher]) -> None:
    healthy = SolvedIncident(pack=healthy_pack(), verdict=Verdict.HEALTHY, provenance="calm", system="calm")
    for incident in (*solved, healthy):
        diagnosis = teacher_of(False).teach(incident, "1")
        if not isinstance(diagnosis, str):
            assert not verify(diagnosis, incident.pack).rejected


def test_a_healthy_system_teaches_that_nothing_is_wrong(teacher_of: Callable[[bool], Teacher]) -> None:
    healthy = SolvedIncident(pack=healthy_pack(), verdict=Verdict.HEALTHY, provenance="calm", system="calm")
    diagnosis = teacher_of(False).teach(healthy, "1")
    assert not isinstance(diagnosis, str)
    assert (diagnosis.verdict, diagnosis.causes, diagnosis.actions) == (Verdict.HEALTHY, (), ())
    assert diagnosis.symptoms
    assert all(hypothesis.contradicting for hypothesis in diagnosis.hypotheses)


def test_a_system_that_looks_ill_teaches_no_health(pack_of: PackOf, teacher_of: Callable[[bool], Teacher]) -> None:
    ill = SolvedIncident(pack=seen_at(pack_of, SYSTEMS[0]), verdict=Verdict.HEALTHY, provenance="ill", system="s")
    assert teacher_of(False).teach(ill, "1") == "healthy: the pack shows nothing of it"


def test_an_undetermined_incident_teaches_to_blame_nobody_and_to_say_what_is_missing(
    pack_of: PackOf, teacher_of: Callable[[bool], Teacher]
) -> None:
    unclear = SolvedIncident(pack=seen_at(pack_of, SYSTEMS[0]), verdict=Verdict.UNDETERMINED, provenance="unclear", system="s")
    diagnosis = teacher_of(False).teach(unclear, "1")
    assert not isinstance(diagnosis, str)
    assert (diagnosis.verdict, diagnosis.causes) == (Verdict.UNDETERMINED, ())
    assert diagnosis.missing
    assert [action.name for action in diagnosis.actions] == ["collect_more_evidence"]


def test_a_chat_without_a_cause_is_kept_and_blames_nobody(pack_of: PackOf, build: Build) -> None:
    calm = SolvedIncident(pack=healthy_pack(), verdict=Verdict.HEALTHY, provenance="calm", system="calm")
    unclear = SolvedIncident(
        pack=seen_at(pack_of, SYSTEMS[0]), verdict=Verdict.UNDETERMINED, provenance="unclear", system="amber"
    )
    built = build([calm, unclear])
    chats = [chat for members in built.chats.values() for chat in members]
    assert {(chat.provenance, answer(chat).verdict) for chat in chats} == {
        ("calm", Verdict.HEALTHY),
        ("unclear", Verdict.UNDETERMINED),
    }
    assert not any(chat.causes or answer(chat).causes for chat in chats)
    assert not built.dropped


def test_a_cause_that_is_lost_beside_another_one_is_counted(pack_of: PackOf, build: Build) -> None:
    half = incident_at(pack_of, SYSTEMS[0], DISK, ("ghost", FaultKind.DNS))
    built = build([half])
    assert built.dropped


def test_every_reason_says_something_of_what_it_cites(built: Dataset) -> None:
    for chat in (chat for members in built.chats.values() for chat in members):
        for weighed in answer(chat).hypotheses:
            assert weighed.supporting or weighed.contradicting
            assert not any(hole in weighed.because for hole in ("{", "}", "  ", ": .", ", ;", "that .")), weighed.because


# --- what must hold -----------------------------------------------------------------------------------------------


def test_what_was_built_breaks_no_rule(built: Dataset, settings: DatasetSettings) -> None:
    assert broken(built.chats, settings) == set()


def _said(chat: Chat, place: int, content: str) -> Chat:
    messages = [*chat.messages]
    messages[place] = Message(role=messages[place].role, content=content)
    return chat.model_copy(update={"messages": tuple(messages)})


def _answering(chat: Chat, **changes: Any) -> Chat:
    """Return ``chat`` with another answer; ``changes`` are made to its first hypothesis."""
    steps = json.loads(chat.messages[-1].content)
    steps["hypotheses"][0] |= changes
    return _said(chat, -1, json.dumps(steps))


def _new(chat: Chat, **changes: Any) -> Chat:
    """Return a chat like ``chat`` that is no twin of it."""
    other = _said(chat, 1, chat.messages[1].content + "\ne99 log nobody: says something else")
    return other.model_copy(update={"id": f"{chat.id}-planted", **changes})


def _renamed(train: Chat, test: Chat) -> Chat:
    return _new(test, suspects=dict(zip(test.suspects, train.suspects.values(), strict=False)))


PLANTED: dict[str, Callable[[Chat, Chat, DatasetSettings], tuple[Split, Chat]]] = {
    "chat_ids_are_unique": lambda train, _test, _s: (Split.TRAIN, _new(train, id=train.id)),
    "questions_and_answers_are_no_twins": lambda train, _test, _s: (Split.TRAIN, train.model_copy(update={"id": "other"})),
    "answers_are_the_five_steps": lambda train, _test, _s: (Split.TRAIN, _said(_new(train), -1, "I think it is the disk.")),
    "citations_exist": lambda train, _test, _s: (Split.TRAIN, _answering(_new(train), supporting=["e98"])),
    "chats_fit": lambda train, _test, settings: (Split.TRAIN, _said(_new(train), 1, "word " * settings.max_words)),
    "a_system_is_in_one_split": lambda train, test, _s: (
        Split.TEST,
        _new(test, source=train.source, system=train.system, provenance="another case"),
    ),
    "an_incident_is_in_one_split": lambda train, test, _s: (Split.TEST, _new(test, provenance=train.provenance)),
    "no_held_out_system_is_a_training_one_renamed": lambda train, test, _s: (Split.TEST, _renamed(train, test)),
    "no_held_out_reason_was_read_in_training": lambda train, test, _s: (
        Split.TEST,
        _answering(_new(test), because=answer(train).hypotheses[0].because),
    ),
}


@pytest.mark.parametrize("claim", PLANTED)
def test_each_rule_is_broken_by_a_planted_chat(claim: str, built: Dataset, settings: DatasetSettings) -> None:
    train = next(chat for chat in built.chats[Split.TRAIN] if chat.source == "simulated")
    split, planted = PLANTED[claim](train, built.chats[Split.TEST][0], settings)
    chats = {**built.chats, split: [*built.chats[split], planted]}
    also = {"citations_exist"} if claim == "chats_fit" else set()  # what was cited is gone with the evidence
    assert broken(chats, settings) == {claim, *also}


def test_no_rule_is_without_a_planted_chat(settings: DatasetSettings) -> None:
    assert {rule.claim for rule in chat_rules(settings)} == set(PLANTED)


def test_a_system_that_came_back_from_another_source_is_in_one_split_too(built: Dataset, settings: DatasetSettings) -> None:
    test = built.chats[Split.TEST][0]
    fed = _answering(_new(test, source="feedback", provenance="another case"), because="somebody said so afterwards")
    chats = {**built.chats, Split.TRAIN: [*built.chats[Split.TRAIN], fed]}
    assert "a_system_is_in_one_split" in broken(chats, settings)


@pytest.mark.parametrize("place", ["symptoms", "supporting", "contradicting", "suspect", "cause"])
def test_a_key_that_the_question_does_not_explain_is_counted_wherever_it_stands(place: str, built: Dataset) -> None:
    chat = built.chats[Split.TRAIN][0]
    steps = json.loads(chat.messages[-1].content)
    if place == "symptoms":
        steps["symptoms"] = ["e77"]
    elif place == "cause":
        steps["causes"][0]["suspect"] = "c77"
    else:
        steps["hypotheses"][0][place] = "c77" if place == "suspect" else ["e77"]
    assert count_unknown_keys(chat) == 0
    assert count_unknown_keys(_said(chat, -1, json.dumps(steps))) == 1


def test_the_card_counts_what_is_there(built: Dataset) -> None:
    counts = count_chats(built.chats)
    card = write_card(built, "abc")
    assert sum(sum(sources.values()) for sources in counts.values()) == sum(map(len, built.chats.values()))
    for split, members in built.chats.items():
        assert f"| {split.value} | {len(members)} |" in card
    assert all(f"- {count}: {reason}" in card for reason, count in built.dropped.items())
    assert "{" not in card
