"""lxml: what must happen to HTML and Markdown before their text is read.

Surprise: lxml's HTML parser knows no entities of its own making and opens no address, so a document type is cut off, not read.
"""

import re

_AWAY = ("nav", "header", "footer", "aside", "form", "script", "style", "noscript", "template", "iframe", "svg", "button")
_AWAY_ROLES = ("navigation", "banner", "contentinfo", "search", "complementary")
_DOCTYPE = re.compile(r"<!DOCTYPE[^\[>]*(?:\[.*?\]\s*)?>", re.IGNORECASE | re.DOTALL)
_FENCE = re.compile(r"^(?P<indent>[ \t]*)(?P<fence>`{3,}|~{3,})(?P<rest>[^`]*)$")
_CODE_OR_TAG = re.compile(r"(?P<ticks>(?<!`)`+(?!`)).+?(?<!`)(?P=ticks)(?!`)|<(?=/?(?P<tag>[A-Za-z][\w.:-]*))|<(?=\$)")


def strip_navigation(html: str) -> str:
    """Return ``html`` without menus, page heads and feet, forms and scripts; a page head that holds the only title stays."""
    from lxml import etree  # type: ignore[import-untyped]  # noqa: PLC0415  # imports only when reading
    from lxml import html as lxml_html  # noqa: PLC0415

    try:
        page = lxml_html.document_fromstring(_DOCTYPE.sub("", html).encode(), lxml_html.HTMLParser(encoding="utf-8"))
    except etree.ParserError:  # nothing but space and comments
        return ""
    title_stands_elsewhere = bool(page.xpath("//h1[not(ancestor::header)]"))
    for element in list(page.iter(etree.Element)):
        if element.tag == "header" and not title_stands_elsewhere and element.find(".//h1") is not None:
            continue
        away = element.tag in _AWAY or element.get("role") in _AWAY_ROLES or "hidden" in element.attrib
        if away and element.getparent() is not None:
            element.drop_tree()
    return str(lxml_html.tostring(page, encoding="unicode"))


def read_rows(table: str) -> str:
    """Return the rows of an HTML table as lines, cells separated by " | "."""
    from lxml import html as lxml_html  # noqa: PLC0415

    rows = lxml_html.fragment_fromstring(table, create_parent="div").iter("tr")
    cells = ([" ".join(cell.text_content().split()) for cell in row.iterchildren("td", "th")] for row in rows)
    return "\n".join(" | ".join(row) for row in cells if any(row))


def level_fences(markdown: str) -> str:
    r"""Move fenced code out of list items to the left edge, with the rest of the item, under fences that every parser knows.

    >>> level_fences("1. Look:\n\n   ```bash\n   df -h\n     du\n   ```\n   Then clean.\n2. Wait")
    '1. Look:\n\n\n```\ndf -h\n  du\n```\n\nThen clean.\n\n2. Wait'
    """
    lines: list[str] = []
    fence, indent = "", 0
    for line in markdown.expandtabs(4).split("\n"):
        marker = _FENCE.match(line)
        if fence:
            if marker and marker["fence"].startswith(fence) and not marker["rest"].strip():
                lines += [fence, ""]
                fence = ""
            else:
                lines.append(_outdent(line, indent))
        elif marker:
            fence, indent = marker["fence"], len(marker["indent"])
            lines += ["", fence]
        else:
            if line.strip() and len(line) - len(line.lstrip()) < indent:
                indent = 0
                lines.append("")
            lines.append(_outdent(line, indent))
    if fence:  # as a browser does with code that nobody closed
        lines.append(fence)
    return "\n".join(lines)


def escape_placeholders(markdown: str) -> str:
    """Escape what looks like a tag and is none, outside of code: ``<pod-name>`` is a word to the reader, not markup.

    >>> escape_placeholders("drain <node-name>, not `<node>`<br>")
    'drain &lt;node-name>, not `<node>`<br>'
    """
    from lxml.html import defs  # type: ignore[import-untyped]  # noqa: PLC0415

    def escape(match: re.Match[str]) -> str:
        if match["ticks"] or (match["tag"] or "").lower() in defs.tags or (match["tag"] or "").startswith(("http", "mailto")):
            return match[0]
        return "&lt;"

    lines, fence = [], ""
    for line in markdown.split("\n"):
        marker = _FENCE.match(line)
        if marker and (not fence or marker["fence"].startswith(fence)):
            fence = "" if fence else marker["fence"]
        lines.append(line if fence or marker or line.startswith("    ") else _CODE_OR_TAG.sub(escape, line))
    return "\n".join(lines)


def _outdent(line: str, indent: int) -> str:
    return line[min(indent, len(line) - len(line.lstrip())) :]
