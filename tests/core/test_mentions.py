"""Who is complained about more than before, and does not pass it on, is suspected."""

from collections.abc import Iterable

import pytest

from mimir_core.analysis.log_steps import LogLine
from mimir_core.analysis.mentions import Complaints, Mention, find_complaints, find_mentions

NAMES = {"web", "cart", "cart-db", "mail"}
ONSET, END = 600.0, 1200.0
NOTHING = Complaints([], 0.0, 0.0)


def line(component: str, message: str, level: str = "error", time: float = 0.0) -> LogLine:
    return LogLine(time, component, level, message, trace="")


def named(*lines: LogLine, names: Iterable[str] = frozenset(NAMES)) -> list[tuple[str, str]]:
    return [(item.speaker, item.named) for item in find_complaints(lines, set(names), shortest_name=3).made]


def recording(**counts: tuple[int, int]) -> Complaints:
    """So many lines before and after the onset in which, for `web__mail`, web complains about mail."""
    lines = [line("web", "begins", "info", 0.0), line("web", "ends", "info", END)]
    for pair, (before, after) in counts.items():
        speaker, other = pair.replace("cart_db", "cart-db").split("__")
        for count, begin in ((before, 0.0), (after, ONSET)):
            lines += [line(speaker, f"{other} refused", time=begin + 500.0 * place / count) for place in range(count)]
    return find_complaints(sorted(lines), NAMES, shortest_name=3)


def mentions(said: Complaints, reference: Complaints = NOTHING) -> dict[str, Mention]:
    return {item.component: item for item in find_mentions(said, reference, ONSET, sigmas=3.0)}


@pytest.mark.parametrize(("level", "message"), [("error", "cart is gone"), ("fatal", "cart is gone"), ("", "ERROR cart is gone")])
def test_an_error_that_names_another_component_is_a_complaint(level: str, message: str) -> None:
    assert named(line("web", message, level)) == [("web", "cart")]


@pytest.mark.parametrize(("level", "message"), [("info", "cart is gone"), ("warn", "cart is gone"), ("", "cart is gone")])
def test_what_is_no_error_is_no_complaint(level: str, message: str) -> None:
    assert named(line("web", message, level)) == []


def test_nobody_complains_about_itself() -> None:
    assert named(line("cart", "cart is gone")) == []
    assert named(line("cart", "cart cannot reach mail")) == [("cart", "mail")]


def test_a_name_is_a_whole_word_and_one_line_is_one_complaint() -> None:
    assert named(line("web", "cart-db.shop.svc:5432 refused, cart-db again")) == [("web", "cart-db")]
    assert named(line("web", "carts, my-cart, cart_id and cart-dbs")) == []


def test_a_name_that_is_found_in_any_text_is_not_looked_for() -> None:
    assert named(line("web", "no db"), names={"web", "db"}) == []
    assert named(line("web", "no dbs"), names={"web", "dbs"}) == [("web", "dbs")]
    assert named(line("web", "anything at all"), names=()) == []


def test_a_dot_in_a_name_is_a_dot() -> None:
    assert named(line("web", "no shop.cart"), line("web", "no shopXcart"), names={"shop.cart"}) == [("web", "shop.cart")]


def test_who_is_complained_about_more_than_chance_allows_is_mentioned() -> None:
    [found] = mentions(recording(web__mail=(2, 30))).values()
    assert found == Mention("mail", before=0.2, after=3.0, own=21, share=1.0, example="mail refused")  # 30 - 3 - 3 * sqrt(3)


@pytest.mark.parametrize(("before", "after"), [(0, 0), (0, 4), (10, 12), (10, 20), (100, 130), (30, 2)])
def test_who_is_complained_about_as_usual_is_not(before: int, after: int) -> None:
    assert mentions(recording(web__mail=(before, after))) == {}


def test_what_the_reference_holds_too_is_usual() -> None:
    said = recording(web__mail=(0, 20))
    assert mentions(said).keys() == {"mail"}
    assert mentions(said, recording(web__mail=(30, 30))) == {}


def test_who_passes_the_complaint_on_is_left_with_what_it_does_not_pass_on() -> None:
    found = mentions(recording(web__cart=(0, 40), cart__cart_db=(0, 40)))
    assert found.keys() == {"cart-db"}
    found = mentions(recording(web__cart=(0, 40), cart__cart_db=(0, 10)))
    assert found["cart"].own == 36 - 6  # each less one that was to be expected and three deviations
    assert found["cart-db"].own == 6


def test_without_a_time_before_or_after_nothing_is_more_than_before() -> None:
    said = recording(web__mail=(0, 30))
    assert list(find_mentions(said._replace(begin=ONSET), NOTHING, ONSET, sigmas=3.0)) == []
    assert list(find_mentions(said, NOTHING, END, sigmas=3.0)) == []
    assert list(find_mentions(NOTHING, NOTHING, ONSET, sigmas=3.0)) == []


def test_other_names_mean_other_names_and_nothing_else() -> None:
    said = recording(web__cart=(1, 40), cart__mail=(3, 30), web__mail=(0, 9))
    new = {"web": "zz", "cart": "mm", "mail": "aa"}
    renamed = said._replace(made=[item._replace(speaker=new[item.speaker], named=new[item.named]) for item in said.made])
    assert mentions(renamed) == {new[name]: item._replace(component=new[name]) for name, item in mentions(said).items()}
