"""Words of code, log lines and metric names, made comparable.

Comes in: text. Goes out: lower-case words, names taken apart, and whether a word can tell one matter from another. Surprise:
the words that tell nothing are those of any programming language and of any incident, not of any one system.
"""

import re

SHORTEST_WORD = 3
_JOINT = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[_\W]+")
_ENDING = re.compile(r"(?:ing|ed|es|s)$")
_LONGEST_WITHOUT_ENDING = 4
_SAYS_NOTHING = frozenset({
    "the", "and", "for", "with", "from", "this", "that", "not", "are", "was", "has", "have", "had", "will", "can",
    "its", "into", "than", "then", "when", "while", "after", "before", "above", "below", "over", "under", "func",
    "return", "err", "error", "errors", "nil", "null", "none", "var", "const", "let", "string", "int", "bool", "float",
    "byte", "true", "false", "type", "struct", "map", "range", "len", "new", "make", "if", "else", "case", "switch",
    "break", "continue", "def", "class", "self", "import", "package", "public", "private", "static", "final", "void",
    "service", "services", "svc", "rate", "ratio", "count", "total", "avg", "sum", "max", "min", "p50", "p90", "p95",
    "p99", "pct", "percent", "seconds", "second", "minutes", "milliseconds", "rises", "falls", "failed", "fail",
    "failure", "fails", "failing", "observed", "elevated", "http", "https", "request", "requests", "response", "server",
    "client", "status", "code", "call", "calls", "data", "value", "values", "time", "times", "name", "set", "get",
    "add", "run", "use", "used", "using", "level", "message", "log", "logs", "info", "warn", "warning", "internal",
    "src", "pkg", "lib", "app", "main", "test", "feat", "fix", "chore", "refactor", "perf", "docs", "update", "chang",
})  # fmt: skip


def split_words(text: str) -> list[str]:
    """Return the words in ``text``, names taken apart, in lower case.

    >>> split_words("db.MaxConnIdleTime = max_idle")
    ['db', 'max', 'conn', 'idle', 'time', 'max', 'idle']
    """
    return [word.lower() for word in _JOINT.split(text) if word]


def stem(word: str) -> str:
    """Return ``word`` without the ending of a plural or a participle.

    >>> stem("batching"), stem("limits"), stem("rows")
    ('batch', 'limit', 'rows')
    """
    return _ENDING.sub("", word) if len(word) > _LONGEST_WITHOUT_ENDING else word


def tells(word: str) -> bool:
    """Whether ``word`` can tell one matter from another.

    >>> tells("mutex"), tells("func"), tells("requests"), tells("503")
    (True, False, False, False)
    """
    return len(word) >= SHORTEST_WORD and not word.isdigit() and not {word, stem(word)} & _SAYS_NOTHING
