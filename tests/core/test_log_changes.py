"""What a component says differently is found, whatever the traffic, and the one who began is told from those who wait."""

from collections.abc import Iterable

from mimir_core.analysis.log_changes import ChangeKind, Finding, LogChanges, find_log_changes, score_components
from mimir_core.analysis.log_steps import LogLine
from mimir_core.analysis.templates import TemplateGroups
from mimir_core.config import LogChangeSettings, TemplateSettings

SETTINGS = LogChangeSettings(chance=0.05, always=0.99, entry_share=0.1, names_another=0.5, mention_sigmas=3.0, shortest_name=3)
TEMPLATES = TemplateSettings(evidence=20, max_words=30, max_shapes=1000, min_constant_words=2, alike_share=0.5, max_statements=20)
Said = tuple[str, str]
USUAL: list[Said] = [
    ("shop", "Shop#1 order received"),
    ("stock", "Stock#1 looking for item"),
    ("stock", "Stock#2 item found"),
    ("shop", "Shop#2 order stored"),
]


def record(traces: Iterable[list[Said]], *, traced: bool = True) -> list[LogLine]:
    return [
        LogLine(100.0 * number + n, component, "", f"12:30:0{n} INFO {text}", str(number) if traced else "")
        for number, trace in enumerate(traces)
        for n, (component, text) in enumerate(trace)
    ]


def compare(incident: Iterable[list[Said]], reference: Iterable[list[Said]], *, traced: bool = True) -> LogChanges:
    miner = TemplateGroups(TEMPLATES)
    return find_log_changes(record(incident, traced=traced), record(reference, traced=traced), miner, SETTINGS)


def only(findings: list[Finding], kind: ChangeKind) -> Finding:
    (found,) = [finding for finding in findings if finding.kind == kind]
    return found


def test_more_of_the_same_traffic_is_no_finding() -> None:
    assert compare([USUAL] * 90, [USUAL] * 10).findings == []


def test_another_mix_of_usual_requests_is_no_finding() -> None:
    buying, looking = USUAL, [("shop", "Shop#1 order received"), ("shop", "Shop#9 order was a question")]
    assert compare([buying] * 5 + [looking] * 50, [buying] * 50 + [looking] * 5).findings == []


def test_a_method_that_returns_early_lacks_its_next_line() -> None:
    early = [*USUAL[:2], ("stock", "Stock#3 nothing found"), USUAL[3]]
    findings = compare([early] * 20, [USUAL] * 20).findings
    gone = only(findings, ChangeKind.VANISHED)
    assert (gone.component, gone.template, gone.reference, gone.incident) == ("stock", "Stock#2 item found", (20, 20), (0, 20))
    assert gone.first_seen == 1.0
    new = only(findings, ChangeKind.NEW)
    assert (new.after, new.example) == ("Stock#1 looking for item", "12:30:02 INFO Stock#3 nothing found")
    assert score_components(findings).keys() == {"stock"}


def test_strength_grows_with_evidence_and_stays_below_one() -> None:
    early = [*USUAL[:2], USUAL[3]]
    few, many = (compare([early] * n, [USUAL] * n).findings[0].strength for n in (5, 500))
    assert 0 < few < many < 1
    assert compare([early], [USUAL]).findings == []


def test_a_caller_that_fails_because_its_callee_does_is_not_blamed() -> None:
    thrown = [
        *USUAL[:2],
        ("stock", "Stock#8 ValueException: no such item"),
        ("shop", "Shop#7 ERROR order failed"),
    ]
    findings = compare([thrown] * 30, [USUAL] * 30).findings
    assert {finding.component for finding in findings} == {"shop", "stock"}
    scores = score_components(findings)
    assert list(scores) == ["stock", "shop"]
    assert scores["stock"] > 0.7
    assert scores["shop"] < 0.2
    assert only([finding for finding in findings if finding.component == "stock"], ChangeKind.EXCEPTION).own_share == 1


def test_who_names_another_as_failed_counts_half() -> None:
    blaming = [USUAL[0], ("shop", "Shop#7 cannot reach stock")]
    new = only(compare([blaming] * 30, [USUAL] * 30).findings, ChangeKind.NEW)
    assert (new.component, new.own_share) == ("shop", 0.5)


def test_an_error_of_the_reference_that_is_gone_is_no_finding() -> None:
    failing = [*USUAL[:3], ("shop", "Shop#7 order failed")]
    lines = [line._replace(level="error") if "failed" in line.message else line for line in record([failing] * 30)]
    miner = TemplateGroups(TEMPLATES)
    assert find_log_changes(record([USUAL] * 30), lines, miner, SETTINGS).findings == []


def test_lines_without_a_trace_still_show_what_is_new_and_what_bursts() -> None:
    retrying = [("shop", "Shop#1 order received"), *[("shop", "Shop#5 trying again")] * 5, ("shop", "Shop#6 giving up")]
    findings = compare([retrying] * 20, [[*USUAL, ("shop", "Shop#5 trying again")]] * 20, traced=False).findings
    assert only(findings, ChangeKind.BURST).template == "Shop#5 trying again"
    assert only(findings, ChangeKind.NEW).template == "Shop#6 giving up"


def test_a_shift_to_errors_is_a_finding_of_its_own() -> None:
    lines = record([USUAL] * 40)
    worse = [line._replace(level="error") if line.component == "stock" else line for line in lines]
    miner = TemplateGroups(TEMPLATES)
    (found,) = find_log_changes(worse, lines, miner, SETTINGS).findings
    assert (found.component, found.kind, found.incident) == ("stock", ChangeKind.SEVERITY, (80, 80))


def test_a_line_that_was_collected_twice_counts_once_and_is_counted() -> None:
    lines = record([USUAL] * 20)
    miner = TemplateGroups(TEMPLATES)
    twice = [line for line in lines for _ in range(2)]
    assert find_log_changes(twice, lines, miner, SETTINGS) == LogChanges([], {"collected twice": 80})


def test_names_of_components_do_not_matter() -> None:
    early = [*USUAL[:2], USUAL[3]]
    renamed = {"shop": "z", "stock": "a"}
    here, there = (
        score_components(
            compare([[(names.get(c, c), t) for c, t in early]] * 20, [[(names.get(c, c), t) for c, t in USUAL]] * 20).findings
        )
        for names in ({}, renamed)
    )
    assert {renamed[name]: score for name, score in here.items()} == there


def test_nothing_to_compare_with_is_no_finding() -> None:
    assert compare([USUAL] * 20, []).findings == []
    assert compare([], [USUAL] * 20).findings == []
