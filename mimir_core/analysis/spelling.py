"""A name that is not there, and one like it that is -> a statement that says so.

Comes in: what the system said. Goes out: one statement for each missing name with a near miss among the names that were
read, or among common commands. Method: similarity of sequences (Ratcliff and Metzener, "Pattern Matching: The Gestalt
Approach", 1988), as difflib computes it.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from difflib import get_close_matches

from mimir_core.telemetry.signals import Statement, are_related

_MISSING_NAME = re.compile(r"[\"'`]([a-z0-9][\w./-]{2,})[\"'`] (?:was |is |could )?not (?:be )?found")
_MISSING_COMMAND = re.compile(
    r"(?:exec: \"(?P<exec>[\w./-]+)\"|(?:^|[\s:])(?P<shell>[\w./-]+)): (?:command )?(?:executable file )?not found"
)
_NAME = re.compile(r"\b[a-z0-9]+(?:[-_.][a-z0-9]+)+\b")
_COMMANDS = (
    "apt-get", "awk", "bash", "cat", "chmod", "chown", "cp", "curl", "date", "echo", "env", "find", "git", "grep", "gunicorn",
    "gzip", "head", "java", "kubectl", "ls", "make", "mkdir", "mv", "mysql", "nginx", "node", "npm", "perl", "php", "pip",
    "psql", "python", "redis-cli", "rm", "ruby", "sed", "sh", "sleep", "sort", "tail", "tar", "touch", "uvicorn", "wget",
    "xargs", "yarn",
)  # fmt: skip
_CLOSE_NAME, _CLOSE_COMMAND = 0.85, 0.75


def find_misspellings(statements: Iterable[Statement]) -> Iterator[Statement]:
    """Yield a statement for each missing name that is nearly one that is there."""
    said = list(statements)
    known = {name for statement in said for name in _NAME.findall(statement.text.lower())}
    seen: set[tuple[str, str]] = set()
    for statement in said:
        for missing, near in _near_misses(statement.text, known):
            if (statement.component, missing) not in seen:
                seen.add((statement.component, missing))
                text = f'"{missing}" is not there, "{near}" is: a spelling mistake?'
                yield replace(statement, text=text, source="tool", state="untold", count=1)


def _near_misses(text: str, known: set[str]) -> Iterator[tuple[str, str]]:
    for found in _MISSING_NAME.finditer(text):
        others = sorted(name for name in known if not are_related(name, found[1]))
        if near := get_close_matches(found[1], others, n=1, cutoff=_CLOSE_NAME):
            yield found[1], near[0]
    for found in _MISSING_COMMAND.finditer(text):
        command = (found["exec"] or found["shell"]).rpartition("/")[2]
        if command not in _COMMANDS and (near := get_close_matches(command, _COMMANDS, n=1, cutoff=_CLOSE_COMMAND)):
            yield command, near[0]
