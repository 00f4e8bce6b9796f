"""Lines of one statement share a group, and lines of two do not."""

import pytest

from mimir_core.analysis.shapes import HOLE, shape_of
from mimir_core.analysis.templates import TemplateGroups
from mimir_core.config import TemplateSettings

SETTINGS = TemplateSettings(evidence=20, max_words=30, max_shapes=1000, min_constant_words=2, alike_share=0.5, max_statements=20)
NAMES = ("anna", "bert", "carl", "dora", "emil", "fritz", "gerd")


def group(lines: list[str], settings: TemplateSettings = SETTINGS) -> tuple[list[int], TemplateGroups]:
    groups = TemplateGroups(settings)
    numbers = [groups.add(line) for line in lines]
    return [groups.current(number) for number in numbers], groups


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("took 12 ms", "took 3.5 s"),
        ("sent 900 bytes", "sent 1843 bytes (1.8 KB)"),
        ("open 10.0.0.7:80", "open db.example.net:5432"),
        ("read /var/lib/a/b.db", "read ./c"),
        ("at Sun Jul 10 07:24:34 2005", "at 2026-03-01T02:14:00.250Z"),
        ("request 6656c3da-ba79-4e84-9872-642135434bfa", "request 0xdeadbeef01"),
        ("deleting blk_31 blk_-42", "deleting blk_53 blk_64 blk_75 blk_86"),
        ("link 00:1a:2b:3c:4d:5e is up", "link fe:ed:fa:ce:be:ef is up"),
        ("closed by 10.0.0.7 ()", "closed by 10.0.0.7 (db.example.net:5432)"),
        ("mode=fast, tag=a", "mode=slow, tag=b"),
    ],
)
def test_values_that_differ_do_not_make_a_shape(one: str, other: str) -> None:
    assert shape_of(one, 30) == shape_of(other, 30)


def test_a_place_in_the_code_and_a_word_with_a_digit_are_names() -> None:
    line = "OrdersImpl#451 failed at Orders.java:81 over ssh2"
    assert shape_of(line, 30) == line
    assert shape_of("line 451: 81", 30) == f"line {HOLE}"


def test_names_that_look_like_words_become_a_hole() -> None:
    numbers, groups = group([f"session opened for user {name} by root" for name in NAMES])
    assert len(set(numbers)) == 1
    assert groups.template(numbers[0]) == "session opened for user <*> by root"


def test_a_group_that_was_told_before_the_merge_is_still_known() -> None:
    groups = TemplateGroups(SETTINGS)
    first = groups.add("session opened for user anna by root")
    before = groups.template(first)
    for name in NAMES:
        groups.add(f"session opened for user {name} by root")
    assert before == "session opened for user anna by root"
    assert groups.template(first) == "session opened for user <*> by root"


def test_a_word_where_others_have_a_value_is_a_value() -> None:
    numbers, _ = group(["cannot load image 12 now", "cannot load image latest now"])
    assert len(set(numbers)) == 1


def test_few_choices_in_a_short_line_stay_apart() -> None:
    numbers, _ = group(["GET items done", "PUT items done", "GET items done", "cache opened", "cache closed"])
    assert len(set(numbers)) == 4
    assert numbers[0] == numbers[2]


def test_lines_from_one_place_in_the_code_are_one_group_when_they_share_most_words() -> None:
    numbers, _ = group(
        [
            "Trips#12 searching a trip from berlin to paris",
            "Trips#12 searching a trip from rome to oslo",
            "Trips#13 searching a trip from rome to oslo",
            "Logger#7 connection refused",
            "Logger#7 pool is empty",
        ]
    )
    assert numbers[0] == numbers[1]
    assert len(set(numbers)) == 4


def test_memory_is_bounded_and_what_was_unseen_for_longest_is_forgotten() -> None:
    groups = TemplateGroups(SETTINGS.model_copy(update={"max_shapes": 2}))
    take, ship, bill = (groups.add(f"{verb} the last order of Pool#3 and rest") for verb in ("take", "ship", "bill"))
    other = groups.add("nothing else is to be done today")
    assert groups.template(other) == "nothing else is to be done today"
    assert {groups.current(number) for number in (take, ship, bill)} == {take}
    assert groups.template(take) == "<*>"
    assert len(groups._groups) == 2
    assert not groups._said_at
    assert len(groups._words) == 7
