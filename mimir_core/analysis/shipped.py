"""Which changes began to run, when and where.

Comes in: :class:`Changes`. Goes out: one :class:`Shipped` for each change that can have done anything. Surprises: a commit runs
when it is deployed, not when it is written; a deploy carries, besides the commit it is made for, the earlier ones that touch
its service or whose diff is there to read, down to its last deploy; where no deploy is recorded at all, a commit runs at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from mimir_core.analysis.words import split_words
from mimir_core.telemetry.changes import Changes, Commit, Deploy, FlagFlip

_LEAST_SHA = 7
_SHORTEST_NAME = 4
_NAMES_NOTHING = frozenset({"service", "services", "server", "internal", "main", "config", "handler", "client"})


@dataclass(frozen=True)
class Shipped:
    """A change that began to run."""

    id: str
    """The sha of a commit, the version (or service and time) of a deploy without a known commit, the name of a flag."""
    kind: Literal["commit", "deploy", "flag"]
    time: datetime
    service: str
    """Where it runs; empty where that is not said."""
    commit: Commit | None = None
    is_passenger: bool = False


def list_shipped(changes: Changes) -> Iterator[Shipped]:
    """Yield every change that ran; a commit in several deploys comes several times."""
    last: dict[str, datetime] = {}
    heads = {deploy.sha: _find(changes.commits, deploy.sha) for deploy in changes.deploys}
    made_for = {commit.sha for commit in heads.values() if commit}
    for deploy in changes.deploys:
        head = heads[deploy.sha]
        if head:
            yield Shipped(head.sha, "commit", deploy.time, deploy.service, head)
        else:
            name = deploy.sha or deploy.version or f"{deploy.service} {deploy.time:%Y-%m-%dT%H:%MZ}"
            yield Shipped(name, "deploy", deploy.time, deploy.service)
        for commit in changes.commits:
            if commit.sha not in made_for and _is_aboard(commit, deploy, head, last.get(deploy.service)):
                yield Shipped(commit.sha, "commit", deploy.time, deploy.service, commit, is_passenger=True)
        last[deploy.service] = deploy.time
    if not changes.deploys:
        for commit in changes.commits:
            yield Shipped(commit.sha, "commit", commit.time, "", commit)
    for flag in changes.flags:
        yield Shipped(flag.flag, "flag", flag.time, flag.service, _find_flagged(changes, flag))


def touches(component: str, paths: tuple[str, ...]) -> bool:
    """Whether a folder in a path names ``component``, in full or by the telling part of its name.

    >>> touches("paymentservice", ("services/payment/charge.go",)), touches("cart-api", ("services/order/tax.go",))
    (True, False)
    """
    folders = (path.rpartition("/")[0] or path for path in paths)
    parts = {word for folder in folders for word in split_words(folder) if word not in _NAMES_NOTHING}
    name = "".join(split_words(component))
    return any(word in name if len(word) >= _SHORTEST_NAME else word in split_words(component) for word in parts)


def _find(commits: list[Commit], sha: str) -> Commit | None:
    if len(sha) < _LEAST_SHA:
        return None
    return next((commit for commit in commits if commit.sha.startswith(sha) or sha.startswith(commit.sha)), None)


def _is_aboard(commit: Commit, deploy: Deploy, head: Commit | None, last_deploy: datetime | None) -> bool:
    if commit.time > (head.time if head else deploy.time) or (last_deploy is not None and commit.time <= last_deploy):
        return False
    return bool(commit.diff) or touches(deploy.service, commit.paths)


def _find_flagged(changes: Changes, flag: FlagFlip) -> Commit | None:
    """The last commit before the flip whose diff, message or paths spell the name of the flag."""
    for commit in reversed(changes.commits):
        if commit.time <= flag.time and flag.flag in f"{commit.message}\n{commit.diff}\n{' '.join(commit.paths)}":
            return commit
    return None
