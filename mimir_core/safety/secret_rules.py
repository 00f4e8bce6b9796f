r"""Where secrets stand in a text: the table of patterns that redaction goes through, in order.

Comes in: nothing. Goes out: :data:`RULES`. A rule finds a place where a secret can stand; its test then says whether what
stands there is a secret, or a reference, a name, or the rest of a sentence.

Surprise: the time must stay linear in the length of the text. So each pattern starts at a literal, and what may repeat is
bounded or possessive (``*+``): no pattern goes back over what it has read. ``re`` tries a pattern that ignores case at every
character, which takes ten times as long as to look for a few words; so a rule may name the words that its pattern starts with.
"""

import base64
import binascii
import re
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

# --- what is no secret, although it stands where one could ---------------------------------------------------------------

_MASK = r"\[redacted:[a-z_]+\]"
_REFERENCE = re.compile(
    rf"""{_MASK}(?:\W*|@.*)
    | \$\{{[^}}]*\}}?\W* | \$[A-Z_][A-Z0-9_]*\W* | \$\(.* | %\(?\w+\)?[sd]?
    | \{{\{{.* | \{{[\w"']*:? | <[A-Za-z ._-]*>?                                                       # filled in later
    | [*•.#-]+ | [xX]{{3,}} | \([A-Za-z ]*\)? | \[[A-Za-z _*-]*\]?                                    # masked by somebody else
    | (?:vault|arn|op|sm|ref\+\w+|gcpsm|awssm|secretsmanager|file):[\w/:.@-]+ | projects/[\w/-]+       # named, not told
    | (?:~|\.{{1,2}})?/[\w.-]+(?:/[\w.-]+)+                                                           # a path
    """,
    re.VERBOSE | re.DOTALL,
)
_WORDS = frozenset(
    """a access all an and any are as at auth authentication authorization base64 bearer basic be because been but by can cannot
    changed contains could couldn denied deprecated digest disabled does doesn empty enabled error exceeded exchange exit expired
    expires expiry fail failed failing failure false fetch file flag for forbidden found from has have header http https if
    illegal in incorrect invalid is issued it key length lookup malformed may mismatch missing must name needs negotiate nil no
    none not null of ok on open option or parameter permission please policy present prompt provided realm received redacted
    refresh refused rejected required requires reset revoked rotated scheme secret service set should signature stdin string that
    the this timed timeout to token true type unauthorized undefined unexpected unknown unset update updated used user valid
    value verification was were when which will with without wrong yes you your""".split()  # noqa: SIM905  # a list of words
)
"""What follows "password:" in a sentence rather than in a setting."""
_NAME = re.compile(r"[a-z]+(?:[-./][a-z0-9]{1,20})*")
_SENTENCE = re.compile(r"[ \t]+[A-Za-z(\"]")
_ERROR_IN_AN_ERROR = re.compile(r"(?:oauth2|x509|base64|[A-Za-z./_*-]+):")
_SIZE = re.compile(r"[ \t]+bytes\b")
_PROSE_BEFORE = re.compile(r"[A-Za-z)\"'][ \t]+[\w.-]*$")


def _is_told(match: re.Match[str]) -> bool:
    """Whether a setting's value is the secret itself, not a reference, a name, a number or the rest of a sentence."""
    key, value = match["key"].lower(), match[match.lastgroup or 0]
    after = match.string[match.end() : match.end() + 10]
    before = match.string[max(0, match.start() - 40) : match.start()]
    if not value.strip() or _REFERENCE.fullmatch(value) or value.lower().rstrip(".,!?)") in _WORDS or _SIZE.match(after):
        return False
    if value.isdigit() and len(value) < 6 and not key.startswith("passw"):
        return False
    if key == "pwd" and value.startswith(("/", "~")):
        return False
    if key in ("secret", "credential", "credentials") and _NAME.fullmatch(value) and not before.endswith(("_", "-")):
        return False  # Kubernetes logs name the Secret so: secret="shop/db"
    if key == "token" and before.lower().endswith("unexpected "):
        return False  # a parser speaks
    if match.lastgroup != "bare" or ":" not in match["sep"]:
        return True
    is_spoken = value.rstrip(".,").isalpha() and _SENTENCE.match(after) and _PROSE_BEFORE.search(before)
    return not is_spoken and not _ERROR_IN_AN_ERROR.fullmatch(value)


def _is_random(match: re.Match[str]) -> bool:
    """Whether a token looks drawn by lot: a pod's name does not."""
    token = match["secret"]
    return bool(re.search(r"[A-Za-z0-9]{20}", token)) or bool(
        re.search(r"[A-Z]", token) and re.search(r"[a-z]", token) and re.search(r"\d", token)
    )


def _is_credential(match: re.Match[str]) -> bool:
    """Whether what follows Bearer, Basic or Authorization is a credential rather than a word about one."""
    value = match["secret"]
    if _REFERENCE.fullmatch(value) or value.lower().strip(".,=") in _WORDS:
        return False
    has_digit, has_letter = bool(re.search(r"\d", value)), bool(re.search(r"[A-Za-z]", value))
    if match["scheme"] and (match["header"] or match["scheme"].lower() == "basic"):
        return bool(match["header"]) or _is_user_and_password(match)
    return has_letter and ((has_digit and len(value) >= 12) or len(value) >= 32)


def _is_user_and_password(match: re.Match[str]) -> bool:
    """Whether the value is base64 of ``user:password``, as in HTTP basic authentication and in Docker's config."""
    value = match["secret"].rstrip("=")
    try:
        return b":" in base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
    except binascii.Error:
        return False


def _is_url_password(match: re.Match[str]) -> bool:
    value = match["secret"]
    return not _REFERENCE.fullmatch(value) and not re.match(r"\d{1,5}/", value)


def _is_flag_password(match: re.Match[str]) -> bool:
    value = match["secret"]
    return not _REFERENCE.fullmatch(value) and value.lower() not in _WORDS and not re.fullmatch(r"\d{1,5}", value)


# --- where secrets stand -------------------------------------------------------------------------------------------------


_ODD_LETTERS = "\u0130\u0131\u017f\u212a"
"""``re`` takes them for i, s and k where it ignores case; ``str.lower`` does not, or makes two letters of one."""


class Rule(NamedTuple):
    """One place where secrets stand, and the test that tells them from what else stands there."""

    kind: str
    hints: tuple[str, ...]
    """In lower case. Where none of them occurs, the pattern cannot match and is not tried."""
    pattern: re.Pattern[str]
    """Its last group is what gets masked; the rest stays."""
    is_secret: Callable[[re.Match[str]], bool] = lambda match: not re.fullmatch(rf"{_MASK}\W*", match[match.lastgroup or 0])
    starts: tuple[str, ...] = ()
    """In lower case. Where given, whatever the pattern matches starts with one of them, and it is tried there alone."""

    def apply(self, text: str, masked: Counter[str]) -> str:
        """Return ``text`` with the secrets at this place masked, and count them in ``masked``."""

        def mask(match: re.Match[str]) -> str:
            if not self.is_secret(match):
                return match[0]
            masked[self.kind] += 1
            start, end = match.span(match.lastgroup or 0)
            return f"{match.string[match.start() : start]}[redacted:{self.kind}]{match.string[end : match.end()]}"

        if not self.starts or any(letter in text for letter in _ODD_LETTERS):
            return self.pattern.sub(mask, text)
        lowered, pieces, end = text.lower(), [], 0
        for start in sorted(found.start() for word in self.starts for found in re.finditer(re.escape(word), lowered)):
            if start >= end and (match := self.pattern.match(text, start)):
                pieces += [text[end:start], mask(match)]
                end = match.end()
        return "".join([*pieces, text[end:]])


_KINDS_OF_KEY = (
    *(
        "api",
        "access",
        "account",
        "admin",
        "app",
        "application",
        "auth",
        "deploy",
        "encryption",
        "hmac",
        "jwt",
        "license",
        "licence",
    ),
    *("master", "private", "root", "shared", "signing", "ssh", "storage", "subscription"),
)
_AFTER_ITS_KIND = "|".join(rf"(?<={kind}key)|(?<={kind}[_-]key)" for kind in _KINDS_OF_KEY)
_KEY = rf"""(?P<key>secret(?:[_-]?access)?(?:[_-]?key(?:[_-]?base)?)? | credentials? | token | passw(?:or)?d | passphrase
    | (?<![A-Za-z])pass | pwd | key(?:{_AFTER_ITS_KIND}) | (?<=client[_-])key[_-]data | \.dockerconfigjson)"""
QUOTED = r"""\\{1,7}["'](?P<escaped>(?:[^\\\n]|\\(?!\\{0,7}["']))++)
    | "(?P<double>(?:\\.|[^"\\\n])++) | '(?P<single>(?:\\.|[^'\\\n])++)"""
BARE = r"""(?P<bare>(?![|>][+-]?\d?[ \t]*(?:\n|\\n|$))
    (?:\[redacted:[a-z_]+\] | (?![;&,|](?:\s|$|[\w.-]{1,40}[=:]) | \\[nrt"'] | [)}\]](?:[)}\],;.\s]|$))[^\s"'`])++)"""
_BLOCK = r"""[|>][+-]?\d?[ \t]*(?:\n[ \t]*(?P<block>[^\n]++)|\\n[ \t]*(?P<line>[^\\"\n]++))"""  # the second: as JSON writes it
_SEPARATOR = r"""\\*["']?
    (?:\](?<!\[redacted:password\])(?<!\[redacted:secret\])(?<!\[redacted:token\])(?<!\[redacted:private_key\]))?
    (?P<sep>[ \t]*(?:=>|:=|[:=])[ \t]*)"""
_FLAGS = re.IGNORECASE | re.VERBOSE

_SHAPES = r"""(?<![A-Za-z0-9])(?P<secret>
      gh[pousr]_[A-Za-z0-9]{20,255}+ | github_pat_\w{20,255}+
    | gl(?:pat|dt|rt|ptt|cbt|soat|ft|agent|oas|imt|ffct)-[\w-]{16,255}+
    | xox[a-z](?:\.xox[a-z])?-[\w-]{10,255}+ | xapp-[\w-]{10,255}+
    | [spr]k_(?:live|test|prod)_\w{10,255}+ | whsec_[\w+/=]{16,255}+
    | npm_[A-Za-z0-9]{30,255}+ | pypi-AgE[\w-]{16,512}+ | rubygems_[0-9a-f]{48}
    | hf_[A-Za-z0-9]{30,255}+ | do[opr]_v1_[0-9a-f]{40,64} | SG\.[\w-]{16,64}\.[\w-]{16,64} | dapi[0-9a-f]{32}
    | hv[sbr]\.[\w-]{20,255}+ | gl(?:sa|c)_[\w=/+]{20,512}+ | dckr_(?:pat|oat)_[\w-]{20,255}+ | shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}
    | NR(?:AK|II|JS|AA)-[\w-]{20,64} | PMAK-[\w-]{20,128} | sntry[su]_[\w+/=]{20,512}+ | lin_api_\w{20,64} | ATATT3[\w=-]{20,512}+
    | pscale_(?:tkn|pw|oauth)_[\w.-]{20,128} | AGE-SECRET-KEY-1[A-Z0-9]{40,64} | sq0[a-z]{3}-[\w-]{20,64} | sha256~[\w-]{40,64}
    | key-[0-9a-f]{32}(?![0-9a-f]) | SK[0-9a-f]{32}(?![0-9a-f]) )"""

RULES = (
    Rule(
        "private_key",
        ("private key",),
        re.compile(
            r"""(?P<secret>-----BEGIN[ ](?:[A-Z0-9]+[ ]){0,3}PRIVATE[ ]KEY(?:[ ]BLOCK)?-----
                (?: (?:(?!-----)[\s\S]){0,20000}+ -----END[ ](?:[A-Z0-9]+[ ]){0,3}PRIVATE[ ]KEY(?:[ ]BLOCK)?-----
                  | (?:(?:[\s>|"',+]|\\+[nr])*+(?:[\w-]++:[ ][^\n\\]*+|[A-Za-z0-9+/=]{16,}+))*+
                    (?:(?:\s|\\+[nr])++[A-Za-z0-9+/]*+={1,2})? ))""",
            re.VERBOSE,
        ),
    ),
    Rule(
        "private_key",
        ("-----end",),
        re.compile(
            r"""(?<![A-Za-z0-9+/=])(?P<secret>(?:[A-Za-z0-9+/]{16,76}+={0,2}(?:\s|\\+[nr]){1,4}+)++(?:[A-Za-z0-9+/]{1,76}+={0,2}(?:\s|\\+[nr]){1,4}+)?+
                (?:-----END[ ](?:[A-Z0-9]+[ ]){0,3}PRIVATE[ ]KEY-----)?+)""",
            re.VERBOSE,
        ),
        lambda match: match[0].endswith("PRIVATE KEY-----"),
    ),
    Rule("private_key", ("ls0tls1crudjti",), re.compile(r"(?P<secret>LS0tLS1CRUdJTi(?!BDRVJUSUZJQ0FURS)[A-Za-z0-9+/=]{16,}+)")),
    Rule(
        "password",
        ("://",),
        re.compile(
            r"""(?<=://)[^\s/:@"'<>?#]{0,256}+:(?P<secret>[^\s"'<>@/?#][^\s"'<>]{0,512})(?<!\\)@(?!sha256:)(?=[\w\[$.-])"""
        ),
        _is_url_password,
    ),
    Rule("token", ("://",), re.compile(r"(?<=://)(?P<secret>[\w-]{16,255}+)(?=@[\w.-])"), _is_random),
    Rule(
        "password",
        ("@tcp(", "@unix(", "@udp("),
        re.compile(r"""(?<![\w.:-])[\w.-]{1,64}+:(?P<secret>[^\s"'@()]{1,128}+)(?=@(?:tcp|unix|udp)\()"""),
        _is_url_password,
    ),
    Rule(
        "password",
        ("jdbc:oracle:",),
        re.compile(r"jdbc:oracle:\w{1,10}:[^\s/@]{1,64}+/(?P<secret>[^\s@/]{1,128}+)(?=@)"),
        _is_url_password,
    ),
    Rule(
        "webhook",
        ("hook", "api.telegram.org", "logic.azure"),
        re.compile(
            r"""https?://(?: hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/
                | (?:\w+\.)?discord(?:app)?\.com/api/webhooks/\d+/
                | [\w.-]{1,200}?webhook\.office\.com/webhookb2/ | outlook\.office\.com/webhook/ | hooks\.zapier\.com/hooks/catch/
                | api\.telegram\.org/bot | [\w.:-]{1,200}+/hooks/(?=[a-z0-9]{26}(?![a-z0-9])) )(?P<secret>[^\s"'<>\\)?]++)""",
            _FLAGS,
        ),
    ),
    Rule("webhook", ("telegram.org/bot",), re.compile(r"telegram\.org/bot(?P<secret>\d{6,12}:[\w-]{20,64})")),
    Rule(
        "jwt",
        ("eyj",),
        re.compile(r"(?<![A-Za-z0-9])(?P<secret>eyJ(?:[\w-]{8,}+\.[\w-]{8,}+(?:\.[\w-]*+){0,3}|hbGciOi[\w.-]{10,}+))"),
    ),
    Rule(
        "aws_key",
        ("akia", "asia", "abia", "acca"),
        re.compile(
            r"(?<![A-Za-z0-9])(?P<secret>(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])"
            r"(?:[\s,:|\"']{1,4}[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=]))?)"
        ),
    ),
    Rule(
        "gcp_key",
        ("aiza", "ya29.", "gocspx-", "1//0"),
        re.compile(r"(?<![A-Za-z0-9])(?P<secret>AIza[\w-]{35}|ya29\.[\w.-]{20,}+|GOCSPX-[\w-]{20,64}|1//0[\w-]{30,255}+)"),
    ),
    Rule("azure_key", ("q~",), re.compile(r"(?<![\w~.-])(?P<secret>[\w~.-]{3}\dQ~[\w~.-]{31,34})(?![\w~-])")),
    Rule("token", ("sk-",), re.compile(r"(?<![A-Za-z0-9-])(?P<secret>sk-[\w-]{20,512}+)"), _is_random),
    Rule("token", ("pypi-",), re.compile(r"(?<![A-Za-z0-9-])(?P<secret>pypi-[\w-]{40,512}+)"), _is_random),
    Rule("token", ("_", "-", "~", "dapi", "sk", "."), re.compile(_SHAPES, re.VERBOSE)),
    Rule(
        "hash",
        ("$2", "$5$", "$6$", "$y$", "$apr1$", "$argon2", "{ssha"),
        re.compile(
            r"(?P<secret>\$(?:2[abxy]|5|6|y|apr1|argon2i?d?)\$[\w./$=,+-]{20,255}+|\{SSHA\d{0,3}\}[A-Za-z0-9+/=]{20,128}+)"
        ),
    ),
    Rule(
        "authorization",
        ("bearer", "basic", "authorization"),
        re.compile(
            r"""(?P<header>(?<![a-z])authorization\\*["']?[ \t]*(?:=>|[:=,])[ \t]*\\*["']?)?
                (?:(?P<scheme>\b(?:bearer|basic|token|digest|negotiate|apikey|api-key|ntlm|geniekey|splunk))
                    (?:[ \t]+|%20|:[ ]?))?
                (?(header)|(?(scheme)|(?!)))(?P<secret>[\w.~+/=-]{6,8192}+)""",
            _FLAGS,
        ),
        _is_credential,
        starts=(
            *("authorization", "bearer", "basic", "token", "digest", "negotiate", "apikey", "api-key", "ntlm", "geniekey"),
            "splunk",
        ),
    ),
    Rule(
        "signature",
        ("sig=", "signature=", "code="),
        re.compile(r"""(?:[?&](?:sig|code)=|\b(?:x-amz-|x-goog-)?signature=)(?P<secret>[\w%+/=.~-]{20,1024}+)""", re.IGNORECASE),
    ),
    Rule(
        "cookie",
        ("cookie",),
        re.compile(
            r"""(?<![a-z])(?: set-cookie\\*["']?[ \t]*[:=][ \t]*\\*["']?[\w.-]{1,80}+=(?P<set>[^\s;"'\\]++)
                | cookie\\*["']?[ \t]*[:=][ \t]*\\*["']?(?P<all>[\w.-]{1,80}+=[^\n\r"'\\]++)
                | --cookie[ =]["']?(?P<flag>[\w.-]{1,80}+=[^\n\r"'\\]++) )""",
            _FLAGS,
        ),
        starts=("set-cookie", "cookie", "--cookie"),
    ),
    Rule(
        "session",
        ("sess", "sid="),
        re.compile(
            r"""(?: (?:j|php|asp\.net_|asp)?sess(?:ion)?[_-]?(?:id|key) | connect\.sid | (?<=[?&;])sid )
                \\*["']?[ \t]*[:=][ \t]*\\*["']?(?P<secret>[\w%.+/=-]{8,512}+)""",
            _FLAGS,
        ),
    ),
    Rule(
        "secret",
        ("value",),
        re.compile(
            rf"""\b(?:name|key)\\*["']?[ \t]*[:=][ \t]*\\*["']?[\w.-]{{0,80}}?{_KEY}
                \\*["']?[ \t]*,?\s{{0,80}}\\*["']?value\\*["']?(?P<sep>[ \t]*[:=][ \t]*)
                (?:{QUOTED}|{BARE})""",
            _FLAGS,
        ),
        _is_told,
        starts=("name", "key"),
    ),
    Rule(
        "password",
        ("pass", "pwd"),
        re.compile(
            rf"""(?P<key>passw(?:or)?d|passphrase|(?<![A-Za-z])pass|pwd){_SEPARATOR}(?:{QUOTED}|{_BLOCK}|{BARE})""",
            _FLAGS,
        ),
        _is_told,
        starts=("pass", "pwd"),
    ),
    Rule(
        "secret",
        ("secret", "credential", "token", "key", "dockerconfigjson"),
        re.compile(rf"""{_KEY}{_SEPARATOR}(?:{QUOTED}|{_BLOCK}|{BARE})""", _FLAGS),
        _is_told,
        starts=("secret", "credential", "token", "pass", "pwd", "key", ".dockerconfigjson"),
    ),
    Rule(
        "secret",
        ("--", "-pass"),
        re.compile(rf"""(?<![\w-])--?[\w-]{{0,40}}?{_KEY}(?P<sep>[ \t]+)(?:{QUOTED}|(?!-){BARE})""", _FLAGS),
        _is_told,
    ),
    Rule(
        "secret",
        ("--from-literal",),
        re.compile(r"""--from-literal[ =]["']?[\w.-]{1,253}+=(?P<secret>[^\s"']++)"""),
        _is_flag_password,
    ),
    Rule(
        "password",
        ("mysql", "mariadb", "sshpass", "redis-cli", " login", "mongo", "ldap"),
        re.compile(
            r"""\b(?: (?:mysql\w*|mariadb[\w-]*)\b[^\n|;]{0,300}?[ ]-p(?=\S) | sshpass[ ]+-p[ ]?
                | redis-cli\b[^\n|;]{0,300}?[ ]-a[ ]+
                | (?:docker|podman|helm|az|oc|skopeo|buildah|nerdctl)[ ][\w ]{0,20}login\b[^\n|;]{0,300}?[ ]-p[ ]*
                | mongo\w*\b[^\n|;]{0,300}?[ ]-p[ ]+
                | ldap\w+\b[^\n|;]{0,300}?[ ]-w[ ]+ )["']?(?P<secret>[^\s"']++)""",
            re.VERBOSE,
        ),
        _is_flag_password,
        starts=(
            *("mysql", "mariadb", "sshpass", "redis-cli", "docker ", "podman ", "helm ", "az ", "oc ", "skopeo ", "buildah "),
            *("nerdctl ", "mongo", "ldap"),
        ),
    ),
    Rule(
        "password",
        ("-u", "--user", "--proxy-user"),
        re.compile(r"""(?<!\S)(?:-u|--user|--proxy-user)[ =]?["']?[^\s:"'=/]{1,128}+:(?P<secret>[^\s"']{1,256}+)"""),
        _is_flag_password,
    ),
    Rule(
        "password",
        ("password", "identified by", "passwd", "pass:"),
        re.compile(
            r"""(?: \bidentified[ ]+by[ ]+(?:password[ ]+)?["'] | \bpassw(?:or)?d[ ]+["'] | -pass(?:in|out)?[ ]+["']?pass:
                | \bpassw(?:or)?d[ ]+(?:is|was)[ ]+["']?(?=[^\s"']*[\d!@#$%^&*+=]) | \blogin\s+\S{1,128}+\s+password\s+
                )(?P<secret>[^\s"']++)""",
            _FLAGS,
        ),
        _is_flag_password,
        starts=("identified", "passw", "-pass", "login"),
    ),
    Rule(
        "secret",
        ("</",),
        re.compile(rf"<(?:[\w.:-]{{0,80}}?){_KEY}(?P<sep>>)\s{{0,20}}(?P<bare>[^<\s][^<\n]{{0,500}})(?=</)", _FLAGS),
        _is_told,
    ),
    Rule(
        "password",
        (":5432:", ":*:", ":6432:", ":5433:"),
        re.compile(r"(?m)^[ \t]*[\w.*-]{1,255}+:(?:\d{4,5}|\*):[\w.*-]{1,64}+:[\w.*@-]{1,64}+:(?P<secret>\S{1,256}+)$"),
    ),
    Rule(
        "authorization",
        ("auth",),
        re.compile(r"""\bauth["']?[ \t]*[:=][ \t]*["']?(?P<secret>[A-Za-z0-9+/]{8,1024}+={0,2})"""),
        _is_user_and_password,
        starts=("auth",),
    ),
    Rule(
        "secret",
        ("routing_key", "service_key", "integration_key", "routingkey", "servicekey"),
        re.compile(
            r"""(?:routing|service|integration)_?key["']?[ \t]*[:=][ \t]*["']?(?P<secret>[A-Za-z0-9]{32}(?![A-Za-z0-9]))""",
            re.IGNORECASE,
        ),
    ),
)
