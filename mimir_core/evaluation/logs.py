"""Groups of log lines against the true ones.

Comes in: for every line a group, found and true; what they are called does not matter. Goes out: shares in [0, 1]. Surprise: a
group counts only when it holds all lines of a true group and no other, so one stray line loses both groups.
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence

from mimir_core.errors import InputError


def score_groups(found: Sequence[Hashable], true: Sequence[Hashable]) -> dict[str, float]:
    """Return the share of lines in a right group, and the F1 of the groups.

    ``grouping_accuracy`` is that of Zhu et al., "Tools and Benchmarks for Automated Log Parsing", ICSE-SEIP 2019;
    ``group_f1`` counts groups instead of lines, so that rare ones count (Jiang et al., "A Large-Scale Evaluation for Log
    Parsing Techniques: How Far Are We?", ISSTA 2024).

    Raises:
        InputError: There is no line, or the two are not of the same length.

    >>> score_groups([1, 1, 2, 3], ["a", "a", "b", "b"])
    {'grouping_accuracy': 0.5, 'group_f1': 0.4}
    """
    if not true or len(found) != len(true):
        raise InputError(f"{len(found)} groups found for {len(true)} lines with truth: nothing can be scored")
    found_groups, true_groups = _lines_by_group(found), _lines_by_group(true)
    right = found_groups & true_groups
    return {
        "grouping_accuracy": sum(map(len, right)) / len(true),
        "group_f1": 2 * len(right) / (len(found_groups) + len(true_groups)),
    }


def _lines_by_group(groups: Sequence[Hashable]) -> set[frozenset[int]]:
    lines = defaultdict(set)
    for line, group in enumerate(groups):
        lines[group].add(line)
    return {frozenset(numbers) for numbers in lines.values()}
