"""Readings say what a question says, in an order of chance, and nothing of its answer."""

import random
import re

import pytest

from mimir_core.learning.readings import read_part, read_question
from mimir_core.records import Chat, Message

SUSPECTS = {"c1": "web", "c2": "web-db", "c3": "queue", "c4": "cache"}
ASKED = """Incident: web is slow
Affected: c1 web, critical
Ranked: c2 disk 0.80 e3 e4, c1 latency 0.20 e1
Suspects:
c1 web
c2 web-db
c3 queue
c4 cache
Evidence:
e1 c1 alert web: alert WebSlow: slow
e2 c1 metric web latency rose from 1 to 9
e3 c2 metric web-db free fell to 0
e4 c2 log web-db: "no space left"
e5 c3 metric queue depth stayed at 3
e6 metric elsewhere cpu rose from 1 to 2
e7 runbook Disks > Mitigation: web-db: clean it"""
FOUND = {
    "affected c1 web",
    "ranked c2 web-db, c1 web",
    "e1 c1 web alert",
    "e2 c1 web rose",
    "e3 c2 web-db fell",
    "e4 c2 web-db log",
    "e5 c3 queue stayed",
}


def dice(seed: int) -> random.Random:
    return random.Random(seed)


@pytest.fixture(scope="module")
def chat() -> Chat:
    said = {"system": "diagnose", "user": ASKED, "assistant": '{"causes":[{"suspect":"c2","fault_kind":"disk"}]}'}
    return Chat(
        id="t1",
        source="gold",
        provenance="p",
        system="s",
        hinted=True,
        suspects=SUSPECTS,
        causes=("c2",),
        first="c2",
        messages=tuple(Message.model_validate({"role": role, "content": content}) for role, content in said.items()),
    )


def test_what_is_found_is_what_the_question_says_in_an_order_of_chance(chat: Chat) -> None:
    orders = set()
    for seed in range(20):
        asked, _, found = read_question(chat, dice(seed)).partition("\nRead:\n")
        assert asked == ASKED
        assert set(found.splitlines()) == FOUND
        orders.add(found)
    assert len(orders) == 20


def test_the_answer_changes_no_reading(chat: Chat) -> None:
    other = chat.model_copy(update={"causes": ("c4",), "first": "c4", "messages": (*chat.messages[:2], chat.messages[0])})
    for read in (read_question, read_part):
        assert [read(chat, dice(seed)) for seed in range(9)] == [read(other, dice(seed)) for seed in range(9)]


def test_a_part_is_about_two_or_three_suspects_and_nobody_else(chat: Chat) -> None:
    sizes = set()
    for seed in range(50):
        asked, _, found = read_part(chat, dice(seed)).partition("\nRead:\n")
        kept = dict(re.findall(r"^(c\d) (.+)$", asked, re.MULTILINE))
        sizes.add(len(kept))
        assert kept.items() <= SUSPECTS.items()
        assert "elsewhere" not in asked
        assert "runbook" not in asked
        about = "\n".join(line for line in found.splitlines() if not line.startswith("Affected: "))
        assert set(re.findall(r"\bc\d\b", about)) <= set(kept)
        assert set(found.splitlines()) == {line for line in asked.splitlines() if re.match(r"[ce]\d|Affected:|Ranked:", line)}
    assert sizes == {2, 3}


def test_a_ranking_of_others_is_none(chat: Chat) -> None:
    parts = [read_part(chat, dice(seed)) for seed in range(50)]
    assert any(part.count("Ranked: none") == 2 for part in parts)
