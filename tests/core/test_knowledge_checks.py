import json
from pathlib import Path

import pytest

from mimir_core.config import IngestSettings
from mimir_core.errors import InputError
from mimir_core.knowledge.checks import check_rows, chunk_rules, document_rules
from mimir_core.rules import Row, Rule
from tasks import wiring

SETTINGS = IngestSettings(folders=("docs",), max_file_mib=1, max_pages=1, min_words=20, chunk_words=160, overlap_words=24)
RULES = {"documents": document_rules(SETTINGS), "chunks": chunk_rules(SETTINGS, ["d1", "d2"])}
FILES = sorted(Path(__file__).with_name("knowledge_checks").glob("*/*.jsonl"))


def read_rows(file: Path) -> list[Row]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("file", [file for file in FILES if file.stem != "fine"], ids=lambda file: file.stem)
def test_each_rule_has_a_file_that_trips_it_and_no_other(file: Path) -> None:
    broken = wiring.checker().find_broken(read_rows(file), RULES[file.parent.name])
    assert [rule.claim for rule, _ in broken] == [file.stem]


@pytest.mark.parametrize("name", RULES)
def test_no_rule_is_without_a_file(name: str) -> None:
    assert {rule.claim for rule in RULES[name]} | {"fine"} == {file.stem for file in FILES if file.parent.name == name}


@pytest.mark.parametrize("name", RULES)
def test_rows_that_are_fine_pass(name: str) -> None:
    rows = read_rows(Path(__file__).with_name("knowledge_checks") / name / "fine.jsonl")
    check_rows(name, rows, RULES[name], wiring.checker())


def test_the_report_names_the_rule_the_count_the_place_and_the_value() -> None:
    rows = [{"path": "a.md", "words": 3}, {"path": "b.md", "words": 30}]
    with pytest.raises(InputError) as raised:
        check_rows("documents", rows, [Rule("documents_say_enough", "words", "between", minimum=20)], wiring.checker())
    assert str(raised.value) == (
        "the documents break 1 of 1 rules, so nothing was written:\n"
        "  documents_say_enough: broken by 1 of 2 (words): a.md has '3'"
    )
