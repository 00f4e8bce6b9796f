"""Text -> the same text without its secrets.

Comes in: any text, before it is written, logged or shown to a model. Goes out: the text with every secret replaced by
``[redacted:kind]``, and how many of each kind were masked. Names, hosts, hashes, ids and error messages stay: without them
nothing can be diagnosed. Surprise: redacting twice changes nothing more.
"""

import re
from collections import Counter
from typing import NamedTuple

from mimir_core.safety.secret_rules import BARE, QUOTED, RULES, Rule

_HINTS = frozenset(hint for rule in RULES for hint in rule.hints)


class Redaction(NamedTuple):
    """A text without secrets, and what was in it."""

    text: str
    masked: Counter[str]
    """Secrets that were masked, by kind."""


def redact(text: str) -> Redaction:
    """Mask every secret in ``text``, in time linear in its length.

    >>> redact("GET https://app:" + "s3cr3t" + "@orders-db:5432/shop failed, password=" + "hunter2").text
    'GET https://app:[redacted:password]@orders-db:5432/shop failed, password=[redacted:password]'
    >>> redact('password authentication failed for user "orders"').masked
    Counter()
    """
    masked: Counter[str] = Counter()
    lowered = text.lower()
    if "secret" in lowered or "opaque" in lowered:
        text = _mask_kubernetes_secrets(text, masked)
    hints = {hint for hint in _HINTS if hint in lowered}
    for rule in RULES:
        if not hints.isdisjoint(rule.hints):
            text = rule.apply(text, masked)
    return Redaction(text, masked)


# --- the data of Kubernetes Secrets, which no name gives away ------------------------------------------------------------

_IS_SECRET = re.compile(r"""\bkind\\*["']?:\s*\\*["']?Secret\b|\btype\\*["']?:\s*\\*["']?(?:Opaque|kubernetes\.io/[a-z-]+)\b""")
_IS_CONFIG_MAP = re.compile(r"""\bkind\\*["']?:\s*\\*["']?ConfigMap\b""")
_NEXT_OBJECT = re.compile(
    r"""(?m)(?=^---)|(?=^[ \t]*-[ \t]+(?:apiVersion|kind):)|(?=\{\s{0,80}\\{0,7}"(?:apiVersion|kind)\\{0,7}")"""
)
_YAML_DATA = re.compile(
    r"(?m)^(?P<indent>[ \t]*+)(?:data|stringData):[ \t]*+\n(?P<body>(?:(?P=indent)[ \t]++\S[^\n]*+(?:\n|\Z)|[ \t]*+\n)++)"
)
_JSON_DATA = re.compile(r"""\b(?:data|stringData)\\*["']?:\s*+\{(?P<body>(?:"(?:\\.|[^"\\\n])*+"|[^{}"])*+)""")
_YAML_VALUE = Rule(
    "kubernetes",
    (),
    re.compile(
        r"""(?m)^(?P<indent>[ \t]++)["']?[\w./-]++["']?:[ \t]*+(?P<secret>[^\s][^\n]*+(?:\n(?P=indent)[ \t]++[^\n]*+)*+)"""
    ),
)
_JSON_VALUE = Rule("kubernetes", (), re.compile(rf"""["\\\w./-]++:\s*+(?:{QUOTED}|{BARE})""", re.VERBOSE))


def _mask_kubernetes_secrets(text: str, masked: Counter[str]) -> str:
    """Mask the values under ``data`` and ``stringData`` where the text holds a Secret; a ConfigMap beside it stays."""
    if not _IS_SECRET.search(text):
        return text

    def mask_values(rule: Rule, match: re.Match[str]) -> str:
        start = match.start("body") - match.start()
        return match[0][:start] + rule.apply(match["body"], masked)

    objects = []
    for part in _NEXT_OBJECT.split(text):
        is_spared = _IS_CONFIG_MAP.search(part) and not _IS_SECRET.search(part)
        masked_yaml = part if is_spared else _YAML_DATA.sub(lambda match: mask_values(_YAML_VALUE, match), part)
        objects.append(part if is_spared else _JSON_DATA.sub(lambda match: mask_values(_JSON_VALUE, match), masked_yaml))
    return "".join(objects)
