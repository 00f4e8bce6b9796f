"""Text from outside, made harmless for Prefect's UI, which renders Markdown and HTML in artifacts and in every table cell.

Comes in: any text. Goes out: the same text as Markdown code.
"""


def code_line(text: str) -> str:
    r"""Return ``text`` as one line of inline code.

    >>> code_line("pod `web` <img src=x>\n[more](http://example.com)")
    "`pod 'web' <img src=x> [more](http://example.com)`"
    """
    return f"`{' '.join(_plain(text).split())}`" if text.strip() else ""


def code_block(text: str, language: str = "text") -> str:
    """Return ``text`` as a block of code."""
    return f"```{language}\n{_plain(text)}\n```"


def _plain(text: str) -> str:
    """Replace what would end the code, and drop control characters."""
    return "".join(letter for letter in text.replace("`", "'") if letter.isprintable() or letter == "\n")
