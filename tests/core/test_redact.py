"""Claims about redaction: no secret stays, nothing that a diagnosis needs goes, and the time is linear."""

import random
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from mimir_core.safety.redact import redact
from mimir_core.safety.secret_rules import RULES, Rule

if TYPE_CHECKING:
    from tests.conftest import PlantedSecret

NEAR_MISSES = """\
password authentication failed for user "orders"
FATAL: password authentication failed for user "orders" (SQLSTATE 28P01)
WARN token expired at 2026-03-01T02:14:07Z, subject=orders
error: token: expired
invalid token: signature is invalid
oauth2: cannot fetch token: 401 Unauthorized
could not read token: open /var/run/secrets/kubernetes.io/serviceaccount/token: no such file or directory
SyntaxError: Unexpected token: '}'
Unexpected token < in JSON at position 0
CreateContainerConfigError: couldn't find key DB_PASSWORD in Secret shop/db
Error: secret "db-credentials" not found
MountVolume.SetUp failed for volume "certs" : secret "orders-tls" not found
E0301 kubelet "Couldn't get secret" err="forbidden" secret="shop/db-credentials"
valueFrom: {secretKeyRef: {name: db-credentials, key: password}}
      DB_PASSWORD:  <set to the key 'password' in secret 'db-credentials'>  Optional: false
password:  8 bytes
secretName: orders-tls
imagePullSecrets: [{name: registry-login}]
automountServiceAccountToken: false
DB_PASSWORD_FILE=/run/secrets/db-password
--password-file=/run/secrets/db-password --token-ttl 15m
DB_PASSWORD=${DB_PASSWORD}
password: $(cat /run/secrets/db)
password: {{ .Values.db.password }}
PASSWORD=********
PWD=/srv/orders/current
OLDPWD=/srv
image: registry.example.com/shop/orders@sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945
docker://registry.example.com/shop/orders:1.4.2@sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945
commit 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b by jo
traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
trace_id=4bf92f3577b34da6a3ce929d0e0e4736 span_id=00f067aa0ba902b7
X-Request-Id: 7c9e6679-7425-40de-944b-e07fc1f90ae7
uid: 7c9e6679-7425-40de-944b-e07fc1f90ae7
pod/checkout-api-6d4cf56db6-x7k2p restarted 7 times
pod/sk-learn-training-worker-6d4cf56db6-x7k2p is Pending
pypi-mirror-production-frontend-6d4cf56db6-x7k2p OOMKilled
npm_config_registry=https://npm.example.com/ npm_package_name=orders
checksum/config: 4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945
dial tcp 10.0.3.7:5432: connect: connection refused
http://orders.shop.svc:8080/api/v1/orders?page=2&size=50
ssh://git@git.example.com:22/shop/orders.git
git clone git@git.example.com:shop/orders.git failed for jo@example.com
www-authenticate: Bearer realm="https://auth.example.com/token",service="registry"
Basic authentication failed, bearer token rejected
max_tokens=4096 tokens: 1200 next token: 17
tokenExpirationSeconds: 3600
the --password flag is deprecated
Password: must be at least 12 characters
PasswordAuthentication no
docker run -u 1000:1000 -p 8080:80 shop/orders:1.4.2
kubectl patch deployment orders -p '{"spec":{"replicas":3}}'
sessionAffinity: ClientIP
session closed by peer, cookie "theme" not set
bypass=true compass: north pass=12 fail=0
routing_key=orders.created queue=orders
SHA256:uNiVztksCsDhcc0u9e8BgrJXVGDxgUmzyrE0qDqW7o0 fingerprint of the host
listen on main.go:4213:err:unexpected end of file
panic: runtime error: invalid memory address or nil pointer dereference [signal SIGSEGV: segmentation violation]
Readiness probe failed: HTTP probe failed with statuscode: 503
partition_key=7c9e6679 primary_key=order_id public_key=/etc/orders/key.pub
private_key=/etc/orders/tls/server.key
x509: certificate has expired or is not yet valid: current time 2026-03-01T02:14:07Z is after 2026-02-28T23:59:59Z
jwt malformed: token contains an invalid number of segments
kind: SecretProviderClass data: none
rotate_credentials waits for approval, credentials: registry-login
""".splitlines()

TWO_OBJECTS = """\
apiVersion: v1
items:
- apiVersion: v1
  data:
    pool_size: "5"
    mode: strict
  kind: ConfigMap
- apiVersion: v1
  data:
    login: b3JkZXJz
  kind: Secret
kind: List
"""

# fmt: off
UNITS = [
    "a", "A1", " ", "\n", "\\", '"', "'", "=", ":", "-", "://", "://a:", "a:b@", "eyJ", "sk-", "sk-a",
    "-----BEGIN PRIVATE KEY-----", "password", "password=", 'password="', "password='", 'password=\\"',
    "password: |\n", "token: ", "Authorization: Bearer ", "Cookie: a=", "mysql -", "curl -u a", "docker login ",
    "kind: Secret\ndata:\n  a: b\n", '{"kind":"Secret","data":{', "</a><token>", "QUJDREVGR0hJSktM\n", "name: x value",
    "--a", "xoxb-", "login a ", "a.b.", "&sig=", "/hooks/", "[redacted:", "\\n", "{", "secret",
    "-----END PRIVATE KEY-----", "-----BEGIN RSA PRIVATE KEY-----\nQUJDREVGR0hJSktM\n-----END", "a: ", "  a:\n",
    "https://a/hooks/a",
]
# fmt: on
"""What a hostile line may repeat."""

WORDS = """proxy-authorization, authorization, bearer, basic, token, digest, negotiate, apikey, api-key, ntlm, geniekey, splunk,
set-cookie, cookie, --cookie, pass, password, passwd, passphrase, pwd, secret, secret_access_key, credential, credentials,
api_key, client-key-data, .dockerconfigjson, auth, name: token value, key: token value, mysql -p, mariadb-dump -p, sshpass -p,
redis-cli -a, docker login -p, podman login -p, helm login -p, az login -p, oc login -p, skopeo login -p, buildah login -p,
nerdctl login -p, mongosh -p, ldapsearch -w, identified by, -passin pass:, login orders password""".replace("\n", " ").split(", ")
"""What stands before a secret."""


def test_no_planted_secret_stays(planted_secrets: "list[PlantedSecret]") -> None:
    assert len({planted.secret for planted in planted_secrets}) >= 50
    assert [planted for planted in planted_secrets if planted.secret in redact(planted.line).text] == []


def test_no_planted_secret_stays_between_other_lines(planted_secrets: "list[PlantedSecret]") -> None:
    text = "\n---\n".join(f"02:14:07 orders started\n{planted.line}\n02:14:08 orders stopped" for planted in planted_secrets)
    redaction = redact(text)
    assert [planted for planted in planted_secrets if planted.secret in redaction.text] == []
    assert redaction.text.count("orders started") == redaction.text.count("orders stopped") == len(planted_secrets)


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.starts], ids=lambda rule: rule.starts[0])
def test_a_rule_misses_nothing_by_looking_at_its_words_alone(rule: Rule, planted_secrets: "list[PlantedSecret]") -> None:
    lots = random.Random(29)  # which texts are tried, no secret
    values = ("b3JkZXJzOmh1bnRlcjI=", "a=q8Zt4mWx2LpV", "'q8Zt4mWx2LpV'")  # the first is base64 of a user and a password
    lines = [f"{word}{between}{value}" for word in WORDS for between in (": ", "=", " ", "") for value in values]
    lines += [planted.line for planted in planted_secrets]
    texts = [*lines, *map(str.upper, lines)]
    texts += ["".join(lots.choices([*lines, *NEAR_MISSES, *UNITS], k=5)) for _ in range(1000)]
    texts.append("\n".join(texts) + "\N{LATIN SMALL LETTER DOTLESS I}\N{KELVIN SIGN}")
    looking, everywhere = Counter[str](), Counter[str]()
    for text in texts:
        assert rule.apply(text, looking) == rule._replace(starts=()).apply(text, everywhere)
    assert looking == everywhere
    assert looking[rule.kind]


@pytest.mark.parametrize("odd", ["to\N{KELVIN SIGN}en", "pa\N{LATIN SMALL LETTER LONG S}\N{LATIN SMALL LETTER LONG S}word"])
def test_letters_that_look_like_others_hide_nothing(odd: str) -> None:
    assert "q8Zt4mWx2LpV" not in redact(f"token password {odd}=q8Zt4mWx2LpV").text


def test_every_mask_is_counted_under_its_kind(planted_secrets: "list[PlantedSecret]") -> None:
    for planted in planted_secrets:
        redaction = redact(planted.line)
        assert redaction.masked.total() >= 1
        assert all(f"[redacted:{kind}]" in redaction.text for kind in redaction.masked), planted


@pytest.mark.parametrize("line", NEAR_MISSES)
def test_what_a_diagnosis_needs_stays(line: str) -> None:
    assert redact(line).text == line


def test_the_host_of_an_address_stays() -> None:
    text = redact("open postgres://orders:" + "s3cr3tpw" + "@orders-db.shop.svc:5432/shop: timeout").text
    assert text == "open postgres://orders:[redacted:password]@orders-db.shop.svc:5432/shop: timeout"


def test_a_config_map_beside_a_secret_stays() -> None:
    text = redact(TWO_OBJECTS).text
    assert text == TWO_OBJECTS.replace("b3JkZXJz", "[redacted:kubernetes]")


def test_the_lines_after_a_key_that_has_no_end_stay() -> None:
    begin = "-----BEGIN EC " + "PRIVATE KEY-----"
    text = redact(f"{begin}\n{'Ab1/' * 16}\n02:14:07 orders: connection refused").text
    assert text == "[redacted:private_key]\n02:14:07 orders: connection refused"


def test_redacting_twice_changes_nothing_more(planted_secrets: "list[PlantedSecret]") -> None:
    for planted in planted_secrets:
        once = redact(planted.line)
        assert redact(once.text) == (once.text, {}), planted


def test_redacting_twice_changes_nothing_more_in_shuffled_text(planted_secrets: "list[PlantedSecret]") -> None:
    lots = random.Random(11)  # which texts are tried, no secret
    pieces = [part for planted in planted_secrets for part in (planted.line, planted.line[: lots.randrange(len(planted.line))])]
    pieces += [*NEAR_MISSES, *"=:'\"\\{}", "password", "token", "secret", "[redacted:password]", "Bearer "]
    for _ in range(1500):
        text = "".join(
            lots.choice(pieces) + lots.choice(["", " ", "\n", ",", ";", ": ", "="]) for _ in range(lots.randrange(1, 7))
        )
        once = redact(text).text
        assert redact(once).text == once, text


def test_a_mask_that_somebody_writes_into_a_log_hides_nothing_behind_it() -> None:
    assert "hunter2" not in redact("password=[redacted:password]" + "hunter2").text


def test_two_megabytes_of_log_full_of_secrets_take_seconds(planted_secrets: "list[PlantedSecret]") -> None:
    lines = [*NEAR_MISSES, *(planted.line for planted in planted_secrets[::20])]
    text = "\n".join(lines) + "\n"
    text *= 2_000_000 // len(text)
    started = time.perf_counter()
    redact(text)
    assert time.perf_counter() - started < 20


@pytest.mark.parametrize("unit", UNITS)
def test_time_grows_with_the_length_and_no_faster(unit: str) -> None:
    def seconds(length: int) -> float:
        text = f"kind: Secret -----end eyj :// {unit * (length // len(unit))}"
        started = time.perf_counter()
        redact(text)
        return time.perf_counter() - started

    assert seconds(200_000) < 10 * max(seconds(50_000), 0.05)  # linear: 4 times; quadratic: 16 times, and more than 0.5 s


def test_a_yaml_block_inside_json_is_masked_before_it_is_parsed() -> None:
    text = r'{"message": "apply failed: password: |\n  q8Zt4mWx2LpV", "level": "error"}'
    assert redact(text).text == text.replace("q8Zt4mWx2LpV", "[redacted:password]")
