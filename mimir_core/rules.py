"""What must hold of each row of a table, and who finds out where it does not."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

Row = Mapping[str, Any]


class Rule(NamedTuple):
    """One claim about a column of all rows."""

    claim: str
    column: str
    test: Literal["unique", "between", "without", "one_of"]
    minimum: int | None = None
    maximum: int | None = None
    pattern: str = ""
    values: tuple[str, ...] = ()


class BrokenRule(NamedTuple):
    """A rule and the rows that break it."""

    rule: Rule
    rows: list[int]


class Checker(Protocol):
    """Tells which rules are broken."""

    def find_broken(self, rows: Sequence[Row], rules: Sequence[Rule]) -> list[BrokenRule]:
        """Return the rules that some of ``rows`` break."""
        ...
