"""Hostile text is shown and never obeyed, in any output; the first two lines are the answer."""

from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from mimir_core.reasoning.claims import claim_about
from mimir_core.reasoning.conclude import conclude
from mimir_core.reasoning.html_page import Row, render_html, render_night_html
from mimir_core.reasoning.render import render_markdown, render_text
from mimir_core.records import (
    Action,
    Cause,
    Check,
    Diagnosis,
    Evidence,
    EvidenceKind,
    EvidencePack,
    FaultKind,
    Hypothesis,
    Incident,
    Risk,
    Run,
    Verdict,
)

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "[red]not red[/red]",
    "\x1b[31mred\x1b[0m \x1b]8;;http://evil\x07link\x9b2J",
    "[click](javascript:alert(1))",
    "![pixel](http://evil.example/p.png)",
    "| a | b |\n|---|---|\n# heading\n```\nfence",
    "\u202egnp.exe\u202c\u2066x",
    "first\rsecond",
    "https://evil.example www.evil.example <http://evil.example>",
    "`code` ``more`` </pre></td></tr></table>",
    "&lt;b&gt; &amp; $body ${title} {0}",
]
RUN = Run(
    id="r", incident_id="i", diagnosis_hash="h", reasoner="builtin", started_at=datetime(2026, 1, 1, tzinfo=UTC), latency_ms=1
)


class _Tags(HTMLParser):
    """Collects what a browser would act on."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: set[str] = set()
        self.handlers: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses |= {value or "" for name, value in attrs if name in ("href", "src")}
        self.handlers |= {name for name, _ in attrs if name.startswith("on")}


def _diagnosed(text: str) -> tuple[Diagnosis, EvidencePack]:
    item = Evidence(kind=EvidenceKind.LOG, component=text, subject=text, origin=text, query=text, excerpt=text)
    pack = EvidencePack(incident=Incident(id="i", title=text, service=text), evidence=(item,))
    claim = claim_about(item)
    draft = Diagnosis(
        incident_id="i",
        verdict=Verdict.CAUSE_FOUND,
        headline="-",
        reason="-",
        symptoms=(claim,),
        hypotheses=(
            Hypothesis(component=text, fault_kind=FaultKind.CPU, statement=f"{text}: hot", confidence=0.9, supporting=(claim,)),
        ),
        checks=(Check(command=text, would_show=text, state="to_do"),),
        causes=(Cause(component=text, fault_kind=FaultKind.CPU, confidence=0.9, evidence_ids=(item.id,)),),
        actions=(
            Action(
                name="x",
                text=text,
                command=text,
                risk=Risk.LOW,
                reversible=True,
                needs_approval=True,
                blast_radius="pod",
                verification=text,
            ),
        ),
        missing=(text,),
        degraded=text,
    )
    return conclude(draft, pack), pack


@pytest.mark.parametrize("text", HOSTILE)
def test_html_holds_no_tag_address_or_handler_that_is_not_ours(text: str) -> None:
    diagnosis, pack = _diagnosed(text)
    ours = _Tags()
    ours.feed(render_html(*_diagnosed("harmless"), RUN) + render_night_html([Row("n", pack, diagnosis)], {}))
    for page in (render_html(diagnosis, pack, RUN), render_night_html([Row("n", pack, diagnosis)], {"case": text})):
        tags = _Tags()
        tags.feed(page)
        assert tags.tags <= ours.tags
        assert not tags.handlers
        assert all(address.startswith("#e") or address == "n/report.html" for address in tags.addresses)
        assert not set(page) & set("\x1b\x07\x9b\u202e\u2066\r")


@pytest.mark.parametrize("text", HOSTILE)
def test_a_terminal_gets_no_control_character(text: str) -> None:
    shown = render_text(*_diagnosed(text), RUN)
    assert all(character == "\n" or character.isprintable() for character in shown)


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_holds_no_link_image_heading_or_tag_of_others(text: str) -> None:
    shown = render_markdown(*_diagnosed(text), RUN)
    in_code = 0
    for line in shown.splitlines():
        prose = "".join(line.split("`")[::2]) if "``" not in line else ""
        in_code += not prose
        assert "](" not in prose.replace("\\]\\(", "")
        assert "http://" not in prose
        assert "<" not in prose.replace("\\<", "")
    assert "\n# heading" not in shown
    assert "\n```" not in shown


@pytest.mark.parametrize("render", [render_text, render_markdown])
def test_the_first_two_lines_are_the_answer_and_why(render: object) -> None:
    diagnosis, pack = _diagnosed("web")
    assert callable(render)
    first, second, *_ = render(diagnosis, pack, RUN).splitlines()
    assert "web: hot" in first
    assert second.startswith("Because: web")


def test_the_same_diagnosis_gives_the_same_bytes_up_to_the_line_about_the_run() -> None:
    diagnosis, pack = _diagnosed("web")
    later = RUN.model_copy(update={"latency_ms": 999.0})
    for render in (render_text, render_markdown, render_html):
        assert render(diagnosis, pack, RUN).replace("1 ms", "") == render(diagnosis, pack, later).replace("999 ms", "")
