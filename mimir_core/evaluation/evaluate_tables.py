"""An evaluation -> Markdown for people: reports/evaluate.md.

Comes in: what was measured, and the report of it. Goes out: tables and plain sentences. Surprise: a figure that could not be told
is a dash, never a zero; names of variants come from a file and are escaped.
"""

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

from mimir_core.evaluation.evaluate import Evaluated
from mimir_core.evaluation.figures import CALIBRATION, COST, MAIN, difference
from mimir_core.evaluation.judge_calibration import write_table
from mimir_core.evaluation.ranking import Figure
from mimir_core.evaluation.scores import CONTENT, FORM, JUDGED
from mimir_core.evaluation.variants import BUILTIN, OF_A_SEED, TRIVIAL
from mimir_core.safety import escape

PAIRS = (("tuned", "base"), ("tuned_no_hints", "random_in_pack"), ("tuned", BUILTIN))
"""What teaching gained, whether the model reads the evidence at all, and whether it may answer."""
_SCALED = (*CALIBRATION, *COST)
"""What has no interval."""


class Compared(NamedTuple):
    """Two variants, paired by case."""

    one: str
    other: str
    gain: tuple[Figure, int] | None
    """Of the first in ``root_cause_top1``, and over how many cases; None where it cannot be told."""

    @property
    def told(self) -> dict[str, Any]:
        """The same for reports/evaluate.json."""
        if self.gain is None:
            return {"gain": None, "interval": None, "cases": 0, "says": self.sentence}
        figure, cases = self.gain
        return {"gain": figure.value, "interval": [figure.low, figure.high], "cases": cases, "says": self.sentence}

    @property
    def sentence(self) -> str:
        """What that means.

        >>> Compared("tuned", "base", (Figure(0.2, 0.1, 0.3), 40)).sentence
        'tuned names the cause more often than base: by 0.20 [0.10, 0.30] over 40 cases.'
        >>> Compared("tuned", "base", (Figure(0.02, -0.1, 0.1), 40)).sentence
        'tuned and base cannot be told apart: 0.02 [-0.10, 0.10] over 40 cases.'
        """
        if self.gain is None:
            return f"Whether {self.one} is better than {self.other} cannot be told: they have no case in common."
        figure, cases = self.gain
        told = f"{figure} over {cases} cases."
        if figure.low <= 0 <= figure.high:
            return f"{self.one} and {self.other} cannot be told apart: {told}"
        return f"{self.one} names the cause {'more' if figure.low > 0 else 'less'} often than {self.other}: by {told}"


def compare_pairs(evaluated: Evaluated) -> list[Compared]:
    """Return the comparisons that the evaluation is made for."""
    known = evaluated.variants
    return [
        Compared(one, other, difference(known[one], known[other]) if one in known and other in known else None)
        for one, other in PAIRS
    ]


def say_seeds(variants: Mapping[str, Mapping[str, Any]], ablations: Mapping[str, Mapping[str, Any]]) -> str:
    """Return how far apart trainings of the tuned model are that differ by their seed alone; nothing where there is but one.

    >>> say_seeds({"tuned": {"root_cause_top1": 0.5}}, {"ablation:seed=2": {"root_cause_top1": 0.25}})
    'Over 2 trainings that differ by their seed alone, root_cause_top1 of tuned is 0.38, from 0.25 to 0.50.'
    """
    runs = [variants.get("tuned"), *(figures for name, figures in ablations.items() if name.startswith(OF_A_SEED))]
    known = [figures[MAIN] for figures in runs if figures and figures[MAIN] is not None]
    if len(known) < 2:
        return ""
    told = f"{MAIN} of tuned is {fmean(known):.2f}, from {min(known):.2f} to {max(known):.2f}."
    return f"Over {len(known)} trainings that differ by their seed alone, {told}"


def write_tables(report: Mapping[str, Any], compared: Sequence[Compared]) -> str:
    """Return reports/evaluate.json as Markdown."""
    variants, ablations = report["variants"], report["ablations"]
    about = (
        f"{report['cases']} held-out cases (hash `{report['cases_hash'][:12]}`), profile {escape.markdown(report['profile'])}. "
        "What each figure means: [docs/evaluate.md](../docs/evaluate.md). In brackets the 95 % interval; - could not be told; "
        "*variants in italics need no reasoner, and whoever is no better than they are tells nothing.*"
    )
    parts = [
        "# Evaluation",
        about,
        "## Differences of `root_cause_top1`, paired by case",
        "\n".join(f"- {escape.markdown(one.sentence)}" for one in compared),
        "## Variants",
        *_tables(variants),
    ]
    if ablations:
        parts += [
            "## Ablations of tuned",
            *_tables({name: variants[name] for name in ("tuned",) if name in variants} | ablations),
        ]
    if seeds := say_seeds(variants, ablations):
        parts.append(escape.markdown(seeds))
    if report["judge"]:
        parts += ["## The judge", write_table(report["judge"]).strip()]
        graded = {name: figures for name, figures in variants.items() if any(figures[step] is not None for step in JUDGED)}
        if graded:
            parts.append(f"### What it says of the five steps\n\n{_figures(JUDGED, graded)}")
    if report["absent"]:
        absent = [f"- {escape.markdown(name)}: {escape.markdown(reason)}" for name, reason in report["absent"].items()]
        parts += ["## Not there", "\n".join(absent)]
    return "\n\n".join(parts) + "\n"


def told(figures: Mapping[str, Any], name: str) -> str:
    """Return one figure as people read it, with its interval where it has one."""
    value = figures[name]
    if value is None:
        return "-"
    return str(Figure(value, *figures["intervals"][name])) if name in figures["intervals"] else f"{value:.4g}"


def _tables(variants: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Three tables, since one would be too wide to read."""
    for title, names in (
        ("Right answers", CONTENT[:5]),
        ("Sound answers", (*CONTENT[5:], *FORM)),
        ("Confidence and cost", _SCALED),
    ):
        yield f"### {title}\n\n{_figures(names, variants)}"
    counted = {name: figures["counts"] for name, figures in variants.items() if "missing" in figures["counts"]}
    if counted:
        columns = list(next(iter(counted.values())))
        rows = [[_shown(name), *(str(counts[column]) for column in columns)] for name, counts in counted.items()]
        yield f"### Counts\n\n{_table(['', *columns], rows)}"


def _figures(names: Sequence[str], variants: Mapping[str, Mapping[str, Any]]) -> str:
    return _table(
        ["", *names], [[_shown(name), *(told(figures, column) for column in names)] for name, figures in variants.items()]
    )


def _shown(variant: str) -> str:
    name = escape.markdown(variant)
    return f"*{name}*" if variant in TRIVIAL else name


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))
