"""A question fits the budget, whatever is in the pack, and so does its repair."""

import pytest

from mimir_core.config import PromptSettings, ReasonerSettings
from mimir_core.reasoning.prompt import focus, write_prompt
from mimir_core.reasoning.question import Question, ask_again, ask_within, count_tokens
from mimir_core.records import Evidence, EvidenceKind, EvidencePack, Measurement
from mimir_core.safety.policy import SafetyRules

WIDE = PromptSettings(max_evidence=40, max_suspects=20, max_passages=4)


@pytest.fixture
def large(pack: EvidencePack) -> EvidencePack:
    """The pack, and twenty more components with long names that moved a little."""
    names = [f"{'a-component-with-a-long-name-' * 3}{number}" for number in range(20)]
    more = (
        Evidence(
            kind=EvidenceKind.METRIC,
            component=name,
            subject="error_rate_percent",
            origin="metrics.csv",
            value=Measurement(before=1, after=2),
            score=0.1,
        )
        for name in names
    )
    return pack.model_copy(update={"evidence": (*pack.evidence, *more)})


def ask(pack: EvidencePack, rules: SafetyRules, settings: ReasonerSettings, budget: int) -> Question | None:
    return ask_within(pack, rules, WIDE, settings.model_copy(update={"max_input_tokens": budget}))


def test_what_fits_is_asked_as_the_model_was_taught(large: EvidencePack, rules: SafetyRules, settings: ReasonerSettings) -> None:
    question = ask(large, rules, settings, 100_000)
    assert question == Question(write_prompt(focus(large, WIDE), "i1", rules, hints=settings.hints), 0)


def test_the_weakest_evidence_is_left_out_first_and_counted(
    large: EvidencePack, rules: SafetyRules, settings: ReasonerSettings
) -> None:
    whole = len(focus(large, WIDE).evidence)
    last = 0
    for budget in (2600, 2000, 1500, 1200):
        question = ask(large, rules, settings, budget)
        assert question
        shown = [item for key in question.prompt.evidence.values() if (item := large.find(key))]
        assert count_tokens(question.messages) <= budget
        assert question.trimmed == whole - len(shown) > last
        assert {"WebSlow", "too many clients"} <= {item.subject for item in shown}
        last = question.trimmed
    assert EvidenceKind.RUNBOOK not in {item.kind for item in shown}


def test_where_not_even_the_strongest_evidence_fits_nothing_is_asked(
    large: EvidencePack, rules: SafetyRules, settings: ReasonerSettings
) -> None:
    assert ask(large, rules, settings, 400) is None


@pytest.mark.parametrize("answer", ["", " ", "{}", "x" * 1_000_000, "長" * 100_000, "\ud800"])
@pytest.mark.parametrize("budget", [1200, 2600])
def test_a_repair_fits_however_long_the_answer_was(
    large: EvidencePack, rules: SafetyRules, settings: ReasonerSettings, answer: str, budget: int
) -> None:
    tight = settings.model_copy(update={"max_input_tokens": budget})
    question = ask_within(large, rules, WIDE, tight)
    assert question
    chat = ask_again(question, answer, "names no cause that holds; " * 50, tight)
    assert [message.role for message in chat] == ["system", "user", "assistant", "user"]
    assert count_tokens(chat) <= budget
    assert all(message.content for message in chat)
    assert f"e1 to e{len(question.prompt.evidence)}" in chat[-1].content
