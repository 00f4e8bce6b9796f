"""A log line -> its shape: what a programmer wrote, with holes where values stood.

Comes in: one line of any system. Goes out: the line with :data:`HOLE` for every value that can be told by its own look
(numbers and quantities, dates, addresses, paths, identifiers, what follows ``=``); several in a row are one hole, so that
lists of any length share a shape. Surprises: a class or a file with its line number (``Orders#31``, ``Orders.java:31``) is a
name, not a value, and so is a word with a single digit (``ssh2``). Only the first words count: what follows them are the
values of a long list.

The masks are ours; that they matter more than the grouping does is found by Zhu et al., "Tools and Benchmarks for Automated
Log Parsing", ICSE-SEIP 2019, and by ``mimir bench logs``.
"""

import re

HOLE = "\0"

_SOURCE_FILE = "java|kt|scala|groovy|py|go|rs|c|cc|cpp|h|hpp|cs|js|ts|rb|php|swift|pl"
_CODE_PLACE = rf"(?<![\w$])[A-Za-z_$][\w$.]*(?:#|\.(?:{_SOURCE_FILE}):)\d+\b"
_MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_UNIT = "(?:bytes?|[KMGT]i?B|B|[mun]?s|secs?|seconds?|minutes?|mins?|hours?|h|days?|%)"
_QUANTITY = rf"[<>]?[+-]?\d+(?:[.,]\d+)*\s?{_UNIT}(?!\w)"
_ROOTED_PATH = r"(?<![.)/])\.{0,2}/[\w.+@~%$*-]+(?:/+[\w.+@~%$*=-]*)*"
_LONG_PATH = r"(?<![.)/-])(?:[\w.+@~-]+/){2,}[\w.+@~-]*"

_LOOKS = (
    rf"(?P<name>{_CODE_PLACE}|[A-Za-z_]{{2,}}\d[A-Za-z_]*\b(?![-.:@+/]\w))",
    r"\w+://[^\s,;\"'\])]+",
    rf"(?:[A-Z][a-z]{{2}},?\s+)?{_MONTH}\s+\d+\s+\d\d:\d\d:\d\d(?:(?:\s+[A-Z]+)?\s+\d{{4}}(?![\w:]))?",
    r"\d{4}[-/]\d\d[-/]\d\d(?:[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?)?",
    rf"(?:{_ROOTED_PATH}|{_LONG_PATH})(?::\d+|\?[^\s\"']*)?",
    r"(?:[0-9A-Fa-f]{2}:){5,}[0-9A-Fa-f]{2}(?![\w:])",  # a hardware address
    r"(?<![.-])[\w-]+(?:\.[\w-]+)+:\d+\b",  # a host with its port
    rf"(?<!\.){_QUANTITY}(?:\s\({_QUANTITY}\))?",
    r"[+-]?(?=[\w.@+/-]*\d)\w+(?:[.@+/-]\w+)*(?::(?=\w*\d)\w+)*",  # whatever else has a digit
)
_VALUE = re.compile(rf"(?<!\w)(?:{'|'.join(_LOOKS)})")
_AFTER_EQUALS = re.compile(r"(?<==)[^\s,;)\]}\0]+|(?<= = )[^\s,;)\]}\0=]+")
_NOTHING_IN_BRACKETS = re.compile(r"(?<=\s)(?:\(\)|\[\])")
_RUN = re.compile(r"\0(?:[\s,;:|/#_.*@-]*(?:\0|\(\0\)|\[\0\]))+")
_WORD = re.compile(r"[A-Za-z_$][\w$.#-]*|\0")
_CODE = re.compile(_CODE_PLACE)
_CHARACTERS_A_WORD = 40
"""No more of a line is looked at for each word that counts."""


def shape_of(line: str, max_words: int) -> str:
    r"""Return the shape of ``line``, at most ``max_words`` words and holes long.

    >>> shape_of("Orders#31 took 12 ms (0.2 s) for user=ann, parts [3, 4, 5]", 20).replace(HOLE, "<*>")
    'Orders#31 took <*> for user=<*>, parts [<*>]'
    >>> shape_of("a closed from 10.0.0.1:80 to ()", 20) == shape_of("a closed from 10.0.0.2:81 to (db.example.net:5432)", 20)
    True
    >>> shape_of("one two three", 2)
    'one two'
    """
    line = line[: max_words * _CHARACTERS_A_WORD].replace(HOLE, " ")
    masked = _VALUE.sub(lambda value: value.group() if value.lastgroup else HOLE, line)
    masked = _AFTER_EQUALS.sub(HOLE, masked)
    shape = join_holes(_NOTHING_IN_BRACKETS.sub(f"({HOLE})", masked))
    words = words_in(shape)
    return shape[: words[max_words - 1].end()] if len(words) > max_words else shape


def join_holes(shape: str) -> str:
    """Make one hole of several in a row, and one space of many."""
    return " ".join(_RUN.sub(HOLE, shape).split())


def words_in(shape: str) -> list[re.Match[str]]:
    """Return the words and holes of a shape, in order."""
    return list(_WORD.finditer(shape))


def code_place_in(shape: str) -> re.Match[str] | None:
    """Return the first class or source file with a line number, None when there is none."""
    return _CODE.search(shape)
