"""Fixtures that several folders of tests share."""

import base64
import json
import logging
import random
import string
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from mimir_core.analysis.signs import SignTable, read_signs
from mimir_core.config import Params, read_params
from mimir_core.safety.policy import SafetyRules, read_safety_rules

pytest_plugins = ["gates", "model_server", "stores"]


@pytest.fixture(autouse=True)
def _no_log_outlives_its_stream() -> Iterator[None]:
    """A command that was run within a test set up a log whose stream is closed: later lines would end as errors of logging."""
    yield
    root = logging.getLogger()
    for handler in [one for one in root.handlers if getattr(getattr(one, "stream", None), "closed", False)]:
        root.removeHandler(handler)


@pytest.fixture(scope="session")
def params() -> Params:
    return read_params(Path(__file__).parents[1] / "params.yaml")


@pytest.fixture(scope="session")
def table() -> SignTable:
    return read_signs()


@pytest.fixture(scope="session")
def rules() -> SafetyRules:
    return read_safety_rules()


class PlantedSecret(NamedTuple):
    """A made-up secret in a text that a system could have written."""

    kind: str
    secret: str
    """What must be found in no written file."""
    line: str
    """May hold line breaks; ends with none."""


@pytest.fixture(scope="session")
def planted_secrets() -> list[PlantedSecret]:
    """Secrets of many kinds in several contexts. They are drawn here, so that no file of the project holds one."""
    return [*_tokens(), *_settings(), *_addresses(), *_headers(), *_commands(), *_files()]


_LOTS = random.Random(20260301)  # reproducible on purpose: nothing here protects anything
_ALNUM = string.ascii_letters + string.digits


def _draw(length: int, alphabet: str = _ALNUM) -> str:
    drawn = "".join(_LOTS.choice(alphabet) for _ in range(length - 3))
    return drawn[:2] + alphabet[0] + alphabet[-1] + drawn[2:] + alphabet[-2]  # never without a digit


def _hex(length: int) -> str:
    return _draw(length, "abcdef0123456789")


def _password() -> str:
    return f"{_draw(7)}!{_draw(5)}"


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _tokens() -> list[PlantedSecret]:
    """Secrets that are known by their own shape, each as a log line, in JSON, in YAML and in a shell."""
    upper = string.ascii_uppercase + string.digits
    jwt = f"{_b64('{' + chr(34) + 'alg' + chr(34) + ':1}').rstrip('=')}.{_draw(40)}.{_draw(43)}"
    shapes = {
        "aws access key": "AK" + "IA" + _draw(16, upper),
        "aws session key": "AS" + "IA" + _draw(16, upper),
        "gcp api key": "AI" + "za" + _draw(35),
        "gcp oauth": "ya" + "29." + _draw(60),
        "gcp client secret": "GOC" + "SPX-" + _draw(28),
        "azure client secret": _draw(3) + "8" + "Q~" + _draw(34),
        "github": "gh" + "p_" + _draw(36),
        "github app": "gh" + "s_" + _draw(36),
        "github fine": "github" + "_pat_" + _draw(22) + "_" + _draw(59),
        "gitlab": "gl" + "pat-" + _draw(20),
        "gitlab runner": "gl" + "rt-" + _draw(20),
        "slack bot": "xo" + "xb-" + _draw(12, string.digits) + "-" + _draw(24),
        "slack user": "xo" + "xp-" + _draw(12, string.digits) + "-" + _draw(32),
        "slack app": "xa" + "pp-1-" + _draw(11, upper) + "-" + _hex(64),
        "stripe": "sk" + "_live_" + _draw(24),
        "stripe restricted": "rk" + "_test_" + _draw(24),
        "stripe webhook": "wh" + "sec_" + _draw(32),
        "npm": "np" + "m_" + _draw(36),
        "pypi": "py" + "pi-AgE" + _draw(120),
        "openai": "s" + "k-" + _draw(48),
        "openai project": "s" + "k-proj-" + _draw(30) + "_" + _draw(30),
        "anthropic": "s" + "k-ant-api03-" + _draw(60) + "-" + _draw(20),
        "hugging face": "h" + "f_" + _draw(34),
        "sendgrid": "S" + "G." + _draw(22) + "." + _draw(43),
        "digitalocean": "do" + "p_v1_" + _hex(64),
        "vault": "hv" + "s." + _draw(28),
        "grafana": "gl" + "sa_" + _draw(32) + "_" + _hex(8),
        "docker hub": "dck" + "r_pat_" + _draw(27),
        "databricks": "da" + "pi" + _hex(32),
        "openshift": "sha" + "256~" + _draw(43),
        "jwt": jwt,
    }
    return [
        PlantedSecret(kind, secret, line)
        for kind, secret in shapes.items()
        for line in (
            f"2026-03-01T02:14:07Z WARN client sent {secret} and was refused",
            json.dumps({"level": "error", "msg": f"upstream said no to {secret}", "code": 401}),
            f"env:\n  - name: UPSTREAM\n    value: {secret}",
            f"curl -s https://api.example.com/v1/orders?key={secret} | head",
        )
    ]


def _settings() -> list[PlantedSecret]:
    """Secrets that are known by the name before them."""
    names = (
        *("DB_PASSWORD", "password", "spring.datasource.password", "redisPassword", "PGPASSWORD", "SMTP_PASS", "passphrase"),
        *("AWS_SECRET_ACCESS_KEY", "client_secret", "SECRET_KEY_BASE", "apiKey", "X-Api-Key", "auth_token", "JWT_SECRET"),
        *("encryption_key", "AccountKey", "signing-key", "webhook_secret", "MINIO_ACCESS_KEY", "sessionToken"),
    )
    planted = []
    for name in names:
        for template in (
            "{name}={secret}",
            "export {name}='{secret}'",
            "  {name}: {secret}",
            '  {name}: "{secret}"',
            '{{"user": "orders", "{name}": "{secret}", "port": 5432}}',
            '{{"msg": "config {{\\"{name}\\":\\"{secret}\\",\\"retries\\":3}}"}}',
            "2026-03-01T02:14:07Z INFO orders config loaded user=orders {name}={secret} host=orders-db",
            "docker run -e {name}={secret} -p 8080:80 shop/orders:1.4",
            "https://orders.example.com/login?user=orders&{name}={secret}&page=2",
            "{{user: orders, {name}: {secret}, port: 5432}}",
        ):
            secret = _password()
            planted.append(PlantedSecret(name, secret, template.format(name=name, secret=secret)))
    pairs = (
        ("container environment", '{{"name": "DB_PASSWORD", "value": "{}"}}'),
        ("container environment", "- name: DB_PASSWORD\n  value: {}"),
        ("xml", "<dbPassword>{}</dbPassword>"),
        ("xml", '<add key="DbPassword" value="{}" />'),
        ("yaml block", "password: |\n  {}"),
        ("ruby", ':password => "{}"'),
        ("go struct", "&{{User:orders Password:{} Host:orders-db}}"),
        ("sentence", "reset done, the new password is {}"),
        ("sentence", "login with password: {} was refused"),
        ("sql", "ALTER USER orders WITH PASSWORD '{}';"),
        ("sql", "CREATE USER 'orders'@'%' IDENTIFIED BY '{}';"),
        ("truncated json", '{{"user": "orders", "password": "{}'),
    )
    return planted + [PlantedSecret(kind, secret := _password(), line.format(secret)) for kind, line in pairs]


def _addresses() -> list[PlantedSecret]:
    """Secrets inside URLs and connection strings."""
    lines = (
        ("postgres url", "dial postgres://orders:{}@orders-db.shop.svc:5432/shop?sslmode=disable failed"),
        ("mongodb url", '{{"uri": "mongodb+srv://orders:{}@cluster0.example.net/shop"}}'),
        ("redis url", "REDIS_URL=redis://:{}@redis-cart:6379/0"),
        ("amqp url", "  broker: amqp://guest:{}@rabbitmq:5672//"),
        ("git url", "git clone https://ci:{}@git.example.com/shop/orders.git"),
        ("go dsn", "open orders:{}@tcp(10.0.3.7:3306)/shop: i/o timeout"),
        ("oracle", "jdbc:oracle:thin:orders/{}@//ora:1521/SHOP"),
        ("ado", "Server=tcp:shop.example.net,1433;User ID=orders;Password={};Encrypt=True"),
        ("jdbc", "jdbc:sqlserver://shop:1433;user=orders;password={};encrypt=true"),
        ("libpq", "host=orders-db port=5432 user=orders password={} dbname=shop"),
        ("azure storage", "DefaultEndpointsProtocol=https;AccountName=shop;AccountKey={};EndpointSuffix=core.example.net"),
    )
    planted = [PlantedSecret(kind, secret := _password(), line.format(secret)) for kind, line in lines]
    slack = f"T{_draw(9).upper()}/B{_draw(9).upper()}/{_draw(24)}"
    discord, sas, amazon, mattermost = _draw(68), _draw(43), _hex(64), _draw(26, "abcdefghijkmnopqrstuvwxyz0123456789")
    return [
        *planted,
        PlantedSecret("password with @", secret := f"{_draw(5)}@{_draw(6)}", f"postgres://orders:{secret}@orders-db:5432/shop"),
        PlantedSecret("slack webhook", slack, f"POST https://hooks.slack.com/services/{slack}: 404"),
        PlantedSecret("discord webhook", discord, f'{{"url": "https://discord.com/api/webhooks/123456789/{discord}"}}'),
        PlantedSecret("mattermost webhook", mattermost, f"url: https://chat.example.com/hooks/{mattermost}"),
        PlantedSecret("azure sas", sas, f"https://shop.blob.example.net/c/b?sv=2026-01-01&sr=b&sig={sas}%3D&se=2026-03-02"),
        PlantedSecret("presigned url", amazon, f"https://s3.example.com/b/k?X-Amz-Expires=60&X-Amz-Signature={amazon}"),
    ]


def _headers() -> list[PlantedSecret]:
    """Secrets in HTTP headers."""
    opaque, basic, session = _draw(40), _b64("orders:" + _draw(12)), _draw(32)
    return [
        PlantedSecret("bearer", opaque, f"> Authorization: Bearer {opaque}"),
        PlantedSecret("bearer", opaque, f'{{"headers": {{"authorization": "Bearer {opaque}", "accept": "*/*"}}}}'),
        PlantedSecret("bearer", opaque, f"curl -H 'Authorization: Bearer {opaque}' https://api.example.com/v1"),
        PlantedSecret("bearer", opaque, f"request failed with bearer {opaque}: 403"),
        PlantedSecret("basic", basic, f"Authorization: Basic {basic}"),
        PlantedSecret("basic", basic, f"Proxy-Authorization: basic {basic}"),
        PlantedSecret("basic", basic, f"headers={{'Authorization': 'Basic {basic}'}}"),
        PlantedSecret("token header", opaque, f"Authorization: token {opaque}"),
        PlantedSecret("vault header", opaque, f'-H "X-Vault-Token: {opaque}"'),
        PlantedSecret("gitlab header", opaque, f"PRIVATE-TOKEN: {opaque}"),
        PlantedSecret("cookie", session, f"Cookie: theme=dark; shop_session={session}"),
        PlantedSecret("cookie", session, f'{{"cookie": "shop={session}; theme=dark"}}'),
        PlantedSecret("set-cookie", session, f"< Set-Cookie: shop={session}; Path=/; HttpOnly"),
        PlantedSecret("session", session, f"GET /cart JSESSIONID={session} 500"),
        PlantedSecret("session", session, f"/index.php?PHPSESSID={session}&page=2"),
        PlantedSecret("session", session, f'{{"session_id": "{session}"}}'),
    ]


def _commands() -> list[PlantedSecret]:
    """Secrets in command lines."""
    lines = (
        ("flag", "backup --host orders-db --password {} --verbose"),
        ("flag", "backup --password={} --host orders-db"),
        ("flag", 'vault-login --token "{}"'),
        ("flag", "deployctl --api-key {} apply"),
        ("flag", "java -jar orders.jar -Dspring.datasource.password={}"),
        ("mysql", "mysqldump -h orders-db -u orders -p{} shop"),
        ("docker login", "docker login -u ci -p {} registry.example.com"),
        ("sshpass", "sshpass -p {} ssh deploy@10.0.3.7"),
        ("redis-cli", "redis-cli -h redis-cart -a {} ping"),
        ("curl", "curl -u orders:{} https://orders.example.com"),
        ("curl", "curl --user 'orders:{}' https://orders.example.com"),
        ("kubectl", "kubectl create secret generic db --from-literal=user-pin={}"),
        ("openssl", "openssl rsa -in server.key -passin pass:{}"),
    )
    return [PlantedSecret(kind, secret := _password(), line.format(secret)) for kind, line in lines]


def _files() -> list[PlantedSecret]:
    """Secrets in whole files: keys, Kubernetes Secrets, password files."""
    body = [_draw(64) for _ in range(4)] + [_draw(30) + "=="]
    kind = "-----{} RSA " + "PRIVATE KEY-----"
    begin, end = kind.format("BEGIN"), kind.format("END")
    pem = "\n".join([begin, *body, end])
    whole, text = _b64(f"orders:{_draw(20)}"), _password()
    manifest = f"apiVersion: v1\ndata:\n  login: {whole}\nkind: Secret\nmetadata:\n  name: db\ntype: Opaque"
    string_data = f"apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\nstringData:\n  login.txt: |\n    {text}\n"
    as_json = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, "data": {"login": whole}}
    applied = {"metadata": {"annotations": {"last-applied": json.dumps(as_json)}}}
    docker = {"auths": {"registry.example.com": {"auth": whole}}}
    return [
        PlantedSecret("pem, begin missing", body[2], "\n".join([*body[2:], end])),
        *(PlantedSecret("pem", part, pem) for part in (body[0], body[-1])),
        PlantedSecret("pem in json", body[1], json.dumps({"type": "service_account", "private_key": pem})),
        PlantedSecret("pem in a log", body[2], "\n".join(f"02:14:07 orders: {line}" for line in pem.splitlines())),
        PlantedSecret("pem, end missing", body[3], "\n".join([begin, *body[:4]])),
        PlantedSecret("pem, end missing", body[3], json.dumps("\n".join([begin, *body[:4]]))[:-1]),
        PlantedSecret("pem as base64", _b64(pem)[:200], f"client-key-data: {_b64(pem)}"),
        PlantedSecret("kubernetes yaml", whole, manifest),
        PlantedSecret("kubernetes yaml", text, string_data),
        PlantedSecret("kubernetes list", whole, "items:\n- " + manifest.replace("\n", "\n  ")),
        PlantedSecret("kubernetes json", whole, json.dumps(as_json)),
        PlantedSecret("kubernetes json", whole, json.dumps(as_json, indent=4)),
        PlantedSecret("kubernetes annotation", whole, json.dumps(applied)),
        PlantedSecret("docker config", whole, json.dumps(docker)),
        PlantedSecret("npmrc", text, f"//registry.example.com/:_authToken={text}"),
        PlantedSecret("pgpass", text, f"orders-db:5432:shop:orders:{text}"),
        PlantedSecret("netrc", text, f"machine git.example.com login ci password {text}"),
        PlantedSecret("netrc", text, f"machine git.example.com\n  login ci\n  password {text}"),
        PlantedSecret("password hash", hashed := "$2" + "b$12$" + _draw(53), f"user orders has {hashed}"),
        PlantedSecret("aws csv", long := _draw(40), f"{'AK' + 'IA' + _draw(16, string.ascii_uppercase + string.digits)},{long}"),
    ]
