"""A diagnosis -> text for a terminal, or Markdown (html_page.py makes the page).

Comes in: the diagnosis, its pack (for excerpts) and the run (for the last line). Goes out: text. The first two lines of
text and Markdown are the answer and why. Surprise: everything that came from telemetry, a document or a model is escaped
for the output at hand; the same diagnosis gives the same bytes up to the line about the run.
"""

from collections.abc import Callable, Iterable, Iterator

from mimir_core.records import Action, Check, Claim, Diagnosis, EvidencePack, Hypothesis, Run, Verdict
from mimir_core.safety import escape

Step = tuple[str, list[str]]
"""A heading and its points."""


def render_text(diagnosis: Diagnosis, pack: EvidencePack, run: Run) -> str:
    """Render for a terminal."""
    lines = [escape.line(diagnosis.headline), escape.line(diagnosis.reason), ""]
    if diagnosis.degraded:
        lines += [f"DEGRADED: {escape.line(diagnosis.degraded)}", ""]
    for number, (heading, points) in enumerate(five_steps(diagnosis, escape.line, escape.line), start=1):
        lines += [f"{number}. {heading}", *(f"   - {point}" for point in points), ""]
    lines.append("Evidence")
    for mark, origin, excerpt in cited_evidence(diagnosis, pack):
        lines.append(f"   [{mark}] {escape.line(origin)}: {escape.line(excerpt)[:160]}")
    return "\n".join([*lines, "", about_run(run), ""])


def render_markdown(diagnosis: Diagnosis, pack: EvidencePack, run: Run) -> str:
    """Render as Markdown."""
    lines = [f"**{escape.markdown(diagnosis.headline)}**  ", escape.markdown(diagnosis.reason), ""]
    if diagnosis.degraded:
        lines += [f"> Degraded: {escape.markdown(diagnosis.degraded)}", ""]
    for number, (heading, points) in enumerate(five_steps(diagnosis, escape.markdown, escape.code), start=1):
        lines += [f"## {number}. {heading}", "", *(f"- {point}" for point in points), ""]
    lines += ["## Evidence", "", "| | from | excerpt |", "|---|---|---|"]
    for mark, origin, excerpt in cited_evidence(diagnosis, pack):
        lines.append(f"| {mark} | {escape.markdown(origin)} | {escape.markdown(excerpt[:300])} |")
    return "\n".join([*lines, "", about_run(run), ""])


# --- the five steps, the same for every output ------------------------------------------------------------------


def five_steps(diagnosis: Diagnosis, say: Callable[[str], str], command: Callable[[str], str]) -> Iterator[Step]:
    """Yield the steps with their points.

    Args:
        diagnosis: What to say.
        say: Escapes a sentence for the output.
        command: Escapes a command and sets it apart.
    """
    marks = {citation.evidence_id: citation.number for citation in diagnosis.citations}

    def cite(evidence_ids: Iterable[str]) -> str:
        return "".join(f" [{marks[i]}]" for i in evidence_ids if i in marks)

    def claim(it: Claim) -> str:
        return say(it.text) + cite(it.evidence_ids)

    def hypothesis(it: Hypothesis) -> str:
        against = "; ".join(map(claim, it.contradicting)) or "nothing that was read"
        return f"{say(it.statement)} ({it.confidence:.0%}). For: {'; '.join(map(claim, it.supporting))}. Against: {against}."

    def check(it: Check) -> str:
        done = "done" if it.state == "done" else "to do"
        return f"{done}: {command(it.command)} - {say(it.would_show)}{cite(it.evidence_ids)}"

    def action(it: Action) -> str:
        approval = "needs approval" if it.needs_approval else "safe to run"
        how = f" {command(it.command)}" if it.command else ""
        undo = "reversible" if it.reversible else "not reversible"
        facts = f"{it.risk.value} risk, touches {it.blast_radius}, {undo}, {approval}; then check: {say(it.verification)}"
        return f"{say(it.text)}.{how} ({facts}){cite(it.evidence_ids)}"

    causes = [
        f"{say(cause.component)}: {cause.fault_kind.value} ({cause.confidence:.0%}){cite(cause.evidence_ids)}"
        for cause in diagnosis.causes
    ]
    missing = [f"missing: {say(item)}" for item in diagnosis.missing]
    none = "none: nothing is wrong" if diagnosis.verdict is Verdict.HEALTHY else "not determined"
    yield "Symptoms", [claim(it) for it in diagnosis.symptoms] or ["nothing was seen"]
    yield "Hypotheses", [hypothesis(it) for it in diagnosis.hypotheses] or ["none"]
    yield "Checks", [*(check(it) for it in diagnosis.checks), *missing] or ["none"]
    yield "Root cause", causes or [none]
    yield "Actions", [action(it) for it in diagnosis.actions] or ["none"]


def cited_evidence(diagnosis: Diagnosis, pack: EvidencePack) -> Iterator[tuple[int, str, str]]:
    """Yield number, origin with the way to ask again, and excerpt of what is cited."""
    for citation in diagnosis.citations:
        evidence = pack.find(citation.evidence_id)
        asked = f" ({citation.query})" if citation.query and citation.query != citation.origin else ""
        yield citation.number, f"{citation.origin}{asked}", evidence.excerpt if evidence else ""


def about_run(run: Run) -> str:
    """Say how the diagnosis came about, in one line."""
    index = f"index {run.index_version}" if run.index_version else "no runbook index"
    asked = f" (asked: {run.model}, {run.input_tokens} + {run.output_tokens} tokens)" if run.model else ""
    return f"{run.reasoner} reasoner{asked}, {index}, {run.latency_ms:.0f} ms"
