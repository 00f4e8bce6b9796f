"""Names for the components of one system, in one style.

Comes in: chance and a role. Goes out: names that differ from one another. Surprise: a style may hide the role (numbered
services), because some real systems do.
"""

from enum import StrEnum

from mimir_core.simulate.dice import Dice
from mimir_core.simulate.tables import read_table


class Role(StrEnum):
    """What a component is for."""

    GATEWAY = "gateway"
    SERVICE = "service"
    WORKER = "worker"
    JOB = "job"
    DATABASE = "database"
    CACHE = "cache"
    QUEUE = "queue"
    EXTERNAL = "external"
    DNS = "dns"


STORES = frozenset({Role.DATABASE, Role.CACHE, Role.QUEUE, Role.DNS})
"""What others stand on: bought, not written, so they tell less of single requests."""

_STYLES = {"kebab": 5.0, "camel": 2.0, "snake": 2.0, "dotted": 1.0, "cloud": 1.5, "bare": 1.0, "numbered": 0.7}
_LANGUAGES = {"en": 8.0, "de": 1.0, "es": 1.0, "pl": 1.0}


class Namer:
    """Draws names for one system."""

    def __init__(self, dice: Dice) -> None:
        self._dice = dice
        self._words = read_table("words")
        self._language = dice.weighted(_LANGUAGES)
        self._style = dice.weighted(_STYLES)
        self.is_cloud = self._style == "cloud"
        """Whether components are resources of a cloud, which have no pods."""
        self._suffix = {role: dice.pick(self._words["suffixes"][role][self._language]) for role in Role}
        self._one_suffix = dice.chance(0.6)
        self._taken: set[str] = set()
        self.domain = self._noun()

    def name(self, role: Role) -> str:
        """Return a new name for a component of ``role``."""
        for attempt in range(10_000):
            words = [self._noun()] if attempt < 20 else [self._dice.pick(self._words["qualifiers"]), self._noun()]
            if attempt > 100:
                words.append(str(attempt))
            name = self._styled([*words, self._suffix_of(role)], role)
            if name not in self._taken:
                self._taken.add(name)
                return name
        raise AssertionError("names ran out")  # 10,000 attempts hold 9,900 different numbers

    def operation(self) -> str:
        """Return what a request asks for."""
        verb, noun = self._dice.pick(self._words["verbs"]), self._noun()
        if self._style in ("camel", "cloud"):
            return f"{verb.title()}{noun.title()}"
        return f"/{noun}s/{verb}" if self._style == "kebab" else f"{verb}_{noun}"

    def _noun(self) -> str:
        return str(self._dice.pick(self._words["nouns"])[self._language])

    def _suffix_of(self, role: Role) -> str:
        return str(self._suffix[role] if self._one_suffix else self._dice.pick(self._words["suffixes"][role][self._language]))

    def _styled(self, words: list[str], role: Role) -> str:
        words = [word for word in words if word]
        match self._style:
            case "camel":
                return "".join(word.title().replace("-", "") for word in words)
            case "snake":
                return "_".join(words).replace("-", "_")
            case "dotted":
                return ".".join([self.domain, *words])
            case "cloud":
                kind = self._dice.pick(self._words["cloud"][role])
                return f"{kind}::{''.join(word.title().replace('-', '') for word in words[:-1] or words)}"
            case "bare" if role in (Role.GATEWAY, Role.SERVICE):
                return "-".join(words[:-1] if len(words) > 1 else words)
            case "numbered" if role in (Role.SERVICE, Role.WORKER):
                return f"svc-{self._dice.integer(1, 999):03d}"
        return "-".join(words)
