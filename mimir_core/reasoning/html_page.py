"""A diagnosis, or a night of them -> one HTML page that loads nothing.

Comes in: diagnoses with their packs. Goes out: HTML. Surprise: the page forbids itself to load or run anything
(Content-Security-Policy), should something slip through the escaping all the same.
"""

import html
from collections.abc import Iterable, Mapping
from pathlib import Path
from string import Template
from typing import NamedTuple

from mimir_core.reasoning.charts_svg import draw_bars, draw_series
from mimir_core.reasoning.graph_svg import draw_graph
from mimir_core.reasoning.render import about_run, cited_evidence, five_steps
from mimir_core.records import Chart, Diagnosis, EvidencePack, Run, Verdict
from mimir_core.safety import escape

_PAGE = Path(__file__).with_name("page.html")
_DRAW = {"series": draw_series, "lines": draw_bars, "calls": draw_graph}


class Row(NamedTuple):
    """One case of a batch."""

    name: str
    pack: EvidencePack
    diagnosis: Diagnosis


def render_html(diagnosis: Diagnosis, pack: EvidencePack, run: Run) -> str:
    """Render as one page that loads nothing."""
    steps = ""
    for number, (heading, points) in enumerate(five_steps(diagnosis, _html, _code), start=1):
        items = "".join(f"<li>{_linked(point)}</li>" for point in points)
        steps += f"<section><h2><span>{number}</span>{heading}</h2><ul>{items}</ul></section>"
    evidence = "".join(
        f'<tr id="e{mark}"><td>{mark}</td><td>{_html(origin)}</td><td><pre>{_html(excerpt)}</pre></td></tr>'
        for mark, origin, excerpt in cited_evidence(diagnosis, pack)
    )
    marks = {citation.evidence_id: citation.number for citation in diagnosis.citations}
    wrong = pack.charts if diagnosis.verdict is not Verdict.HEALTHY else ()
    figures = "".join(_figure(chart, marks) for chart in wrong)
    charts = f'<section class="charts"><h2>At a glance</h2>{figures}</section>' if figures else ""
    banner = f'<p class="banner">Degraded: {_html(diagnosis.degraded)}</p>' if diagnosis.degraded else ""
    facts = [f"verdict: {diagnosis.verdict.value.replace('_', ' ')}", f"severity: {pack.incident.severity.value}"]
    facts += [f"confidence: {diagnosis.confidence:.0%}"] if diagnosis.causes else []
    facts += [f"onset: {pack.onset:%Y-%m-%d %H:%M} UTC"] if pack.onset else []
    body = (
        f'<header class="{diagnosis.verdict.value}"><p class="title">{_html(pack.incident.title)}</p>'
        f"<h1>{_html(diagnosis.headline)}</h1><p>{_linked(_html(diagnosis.reason))}</p>"
        f"<p class='facts'>{''.join(f'<span>{_html(fact)}</span>' for fact in facts)}</p></header>{banner}{charts}{steps}"
        f"<section><h2>Evidence</h2><table><tr><th></th><th>from</th><th>excerpt</th></tr>{evidence}</table></section>"
        f"<footer>{_html(about_run(run))}</footer>"
    )
    return _page(diagnosis.headline, body)


def render_night_html(night: Iterable[Row], failed: Mapping[str, str]) -> str:
    """Render the summary page of a batch; each row links to ``NAME/report.html``."""
    rows = "".join(
        f'<tr class="{done.diagnosis.verdict.value}"><td><a href="{_html(done.name)}/report.html">{_html(done.name)}</a></td>'
        f"<td>{done.pack.incident.severity.value}</td><td>{done.diagnosis.verdict.value.replace('_', ' ')}</td>"
        f"<td>{_html(done.diagnosis.headline)}</td></tr>"
        for done in night
    )
    rows += "".join(
        f'<tr class="failed"><td>{_html(name)}</td><td></td><td>failed</td><td>{_html(error)}</td></tr>'
        for name, error in failed.items()
    )
    head = "<tr><th>case</th><th>severity</th><th>verdict</th><th>answer</th></tr>"
    return _page("Diagnoses", f"<header><h1>Diagnoses</h1></header><table>{head}{rows}</table>")


def _figure(chart: Chart, marks: Mapping[str, int]) -> str:
    cited = "".join(f" [{marks[evidence_id]}]" for evidence_id in chart.evidence_ids if evidence_id in marks)
    caption = f"<figcaption>{_html(chart.title)}{_linked(cited)}</figcaption>"
    return f'<figure class="{chart.kind}">{caption}{_DRAW[chart.kind](chart)}</figure>'


def _html(text: str) -> str:
    return html.escape(escape.plain(text))


def _code(text: str) -> str:
    return f"<code>{_html(text)}</code>"


def _linked(escaped: str) -> str:
    """Turn our own ``[3]`` into a link to the evidence; what is in brackets otherwise stays text."""
    return escape.CITATION.sub(r'<a href="#e\1">[\1]</a>', escaped)


def _page(title: str, body: str) -> str:
    return Template(_PAGE.read_text(encoding="utf-8")).substitute(title=_html(title), body=body)
