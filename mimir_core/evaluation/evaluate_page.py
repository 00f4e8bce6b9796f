"""An evaluation -> one HTML page that loads nothing: reports/evaluate.html.

Comes in: reports/evaluate.json, and the comparisons. Goes out: HTML with one chart a figure, a bar a variant, its interval as a
whisker. Surprise: the page forbids itself to load or run anything, should something slip through the escaping all the same.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

from mimir_core.evaluation.evaluate_tables import Compared, say_seeds, told
from mimir_core.evaluation.figures import CALIBRATION, COST
from mimir_core.evaluation.judge_calibration import say_judge
from mimir_core.evaluation.scores import SHARES
from mimir_core.evaluation.variants import TRIVIAL
from mimir_core.reasoning.charts_svg import picture, shown

_PAGE = Path(__file__).with_name("page.html")
_LEFT, _WIDTH, _ROW, _TOP, _BOTTOM = 180, 300, 22, 6, 22
_NAME_CHARACTERS = 25


def render_page(report: Mapping[str, Any], compared: Sequence[Compared]) -> str:
    """Render as one page that loads nothing."""
    variants = {**report["variants"], **report["ablations"]}
    charts = "".join(
        f"<figure><figcaption>{name}</figcaption>{draw_figure(name, variants)}</figure>"
        for name in SHARES
        if any(figures[name] is not None for figures in variants.values())
    )
    columns = [name for name in (*SHARES, *CALIBRATION, *COST) if any(figures[name] is not None for figures in variants.values())]
    head = "".join(f"<th>{name}</th>" for name in ("", *columns))
    rows = "".join(
        f"<tr{_mark(name)}><td>{shown(name)}</td>{''.join(f'<td>{told(figures, column)}</td>' for column in columns)}</tr>"
        for name, figures in variants.items()
    )
    said = [*(one.sentence for one in compared), say_seeds(report["variants"], report["ablations"])]
    sentences = "".join(f"<li>{shown(one)}</li>" for one in said if one)
    judges = "".join(f"<li>{shown(say_judge(name, figures))}</li>" for name, figures in report["judge"].items())
    absent = "".join(f"<li>{shown(name)}: {shown(reason)}</li>" for name, reason in report["absent"].items())
    body = (
        f"<h1>Evaluation on {report['cases']} held-out cases</h1><p class='note'>Profile {shown(report['profile'])}, cases "
        f"{shown(report['cases_hash'][:12])}. Whiskers and brackets: 95 % intervals. Grey and italics: needs no reasoner.</p>"
        f"<h2>Differences of root_cause_top1, paired by case</h2><ul>{sentences}</ul>"
        f"<h2>Figures</h2><div class='charts'>{charts}</div>"
        f"<h2>All of them</h2><div class='wide'><table><tr>{head}</tr>{rows}</table></div>"
        + (f"<h2>Judges</h2><ul>{judges}</ul>" if judges else "")
        + (f"<h2>Not there</h2><ul>{absent}</ul>" if absent else "")
    )
    return Template(_PAGE.read_text(encoding="utf-8")).substitute(body=body)


def draw_figure(name: str, variants: Mapping[str, Mapping[str, Any]]) -> str:
    """Draw one share, from 0 to 1, of each variant that has it."""
    known = {variant: figures for variant, figures in variants.items() if figures[name] is not None}
    bottom = _TOP + _ROW * len(known)
    parts = []
    for tick in (0, 0.25, 0.5, 0.75, 1):
        parts.append(f'<path class="grid" d="M{_x(tick)} {_TOP}V{bottom}"/>')
        parts.append(f'<text class="tick" x="{_x(tick)}" y="{bottom + 15}">{tick:g}</text>')
    for number, (variant, figures) in enumerate(known.items()):
        top = _TOP + _ROW * number
        low, high = (_x(end) for end in figures["intervals"][name])
        parts.append(f'<text class="name" x="{_LEFT - 8}" y="{top + 15}">{shown(variant[:_NAME_CHARACTERS])}</text>')
        bar = f'x="{_LEFT}" y="{top + 4}" width="{_x(figures[name]) - _LEFT:.1f}" height="{_ROW - 8}"'
        parts.append(f"<rect{_mark(variant)} {bar}/>")
        parts.append(f'<path class="whisker" d="M{low} {top + 7}v8M{low} {top + 11}H{high}M{high} {top + 7}v8"/>')
    words = "; ".join(f"{variant} {told(figures, name)}" for variant, figures in known.items())
    return picture(name, _LEFT + _WIDTH + 20, bottom + _BOTTOM, words, parts)


def _x(value: float) -> float:
    return round(_LEFT + value * _WIDTH, 1)


def _mark(variant: str) -> str:
    return ' class="trivial"' if variant in TRIVIAL else ""
