"""What people changed before an incident: commits, deploys and flag flips.

Comes in: an object ``{"commits": [...], "deploys": [...], "flags": [...]}`` from version control, delivery and flag services.
Goes out: :class:`Changes`, each list in the order of time. Surprises: a time without a zone is taken as UTC; a commit that is
listed twice is kept once, with the longer diff; other keys of the object are not read.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from mimir_core.errors import InputError
from mimir_core.telemetry.times import parse_time

_Entry = TypeVar("_Entry")


@dataclass(frozen=True)
class Commit:
    """One commit; ``diff`` is empty where it was not recorded."""

    sha: str
    time: datetime
    message: str = ""
    author: str = ""
    paths: tuple[str, ...] = ()
    diff: str = ""


@dataclass(frozen=True)
class Deploy:
    """One version of a service that began to run; ``sha`` is the newest commit in it, empty where that is unknown."""

    time: datetime
    service: str
    sha: str = ""
    version: str = ""


@dataclass(frozen=True)
class FlagFlip:
    """A feature flag that took another value; ``service`` is empty where it holds for all."""

    time: datetime
    flag: str
    service: str = ""
    change: str = ""
    actor: str = ""


@dataclass
class Changes:
    """All changes that were recorded for one incident."""

    commits: list[Commit] = field(default_factory=list)
    deploys: list[Deploy] = field(default_factory=list)
    flags: list[FlagFlip] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    """Entries that were not kept, by reason."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing at all was recorded."""
        return not (self.commits or self.deploys or self.flags)


def is_change_record(content: Mapping[str, Any]) -> bool:
    """Whether a JSON object lists changes."""
    return all(isinstance(content.get(key), list) for key in ("commits", "deploys"))


def parse_changes(payload: Mapping[str, Any], origin: str) -> Changes:
    """Return the changes that ``payload`` lists.

    Args:
        payload: The keys ``commits``, ``deploys`` and ``flags``, each a list of objects; a missing key is an empty list.
        origin: The file or sender, for error messages.

    Raises:
        InputError: One of the three keys holds something other than a list.
    """
    changes = Changes()
    commits: dict[str, Commit] = {}
    for commit in _parse_entries(payload, "commits", _parse_commit, origin, changes.dropped):
        known = commits.get(commit.sha)
        if known is not None:
            changes.dropped["commits: listed twice"] += 1
        if known is None or len(commit.diff) > len(known.diff):
            commits[commit.sha] = commit
    changes.commits = sorted(commits.values(), key=lambda commit: (commit.time, commit.sha))
    deploys = _parse_entries(payload, "deploys", _parse_deploy, origin, changes.dropped)
    changes.deploys = sorted(deploys, key=lambda deploy: (deploy.time, deploy.service))
    flags = _parse_entries(payload, "flags", _parse_flag, origin, changes.dropped)
    changes.flags = sorted(flags, key=lambda flag: (flag.time, flag.flag))
    return changes


def _parse_entries(
    payload: Mapping[str, Any],
    key: str,
    parse: Callable[[Mapping[str, Any], datetime], _Entry | None],
    origin: str,
    dropped: Counter[str],
) -> Iterator[_Entry]:
    entries = payload.get(key)
    if entries is None:
        return
    if not isinstance(entries, list):
        raise InputError(f"{origin}: {key} must be a list, got {entries!r:.80}")
    for entry in entries:
        time = parse_time(entry.get("timestamp")) if isinstance(entry, Mapping) else None
        if not isinstance(entry, Mapping):
            dropped[f"{key}: not an object"] += 1
        elif time is None:
            dropped[f"{key}: no time"] += 1
        elif (parsed := parse(entry, time)) is None:
            dropped[f"{key}: no name"] += 1
        else:
            yield parsed


def _parse_commit(entry: Mapping[str, Any], time: datetime) -> Commit | None:
    paths = entry.get("files_changed")
    paths = tuple(path for path in paths if isinstance(path, str)) if isinstance(paths, list) else ()
    commit = Commit(_text(entry, "sha"), time, _text(entry, "message"), _text(entry, "author"), paths, _text(entry, "diff"))
    return commit if commit.sha else None


def _parse_deploy(entry: Mapping[str, Any], time: datetime) -> Deploy | None:
    deploy = Deploy(time, _text(entry, "service"), _text(entry, "commit_sha"), _text(entry, "version"))
    return deploy if deploy.service or deploy.sha else None


def _parse_flag(entry: Mapping[str, Any], time: datetime) -> FlagFlip | None:
    flag = FlagFlip(time, _text(entry, "flag"), _text(entry, "service"), _text(entry, "change"), _text(entry, "actor"))
    return flag if flag.flag else None


def _text(entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    return value if isinstance(value, str) else ""
