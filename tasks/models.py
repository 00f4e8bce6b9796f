"""What `mimir models` and the flow `retrain` run: the registry of models, and which of them answers.

Surprises: the registry's alias decides who answers, models/champion.json tells the next gate of it. Whoever repeats what was
killed half-way finishes it: therefore a promotion moves the alias first, a rollback the file. A change is in the audit before it
is made.
"""

import asyncio
import fcntl
import logging
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from mimir_core.config import Params
from mimir_core.errors import BackendError, InputError
from mimir_core.learning.archive import hash_file
from mimir_core.learning.champion import BUILTIN, Challenger, Champion, ModelRegistry, before, hash_model, promoted
from mimir_core.learning.gate import Verdict
from mimir_core.learning.gate_policy import read_policy
from mimir_core.safety.redact import redact
from mimir_core.store.database import open_database
from mimir_core.store.history import note_champion
from mimir_core.store.scopes import Scope
from tasks import paths, wiring
from tasks.files import read_document

logger = logging.getLogger(__name__)

_PROMOTE = "promote"
_IDENTITY = "challenger_sha256"
"""The tag that no two versions share: it stands for the weights and for all that was measured of them."""


class Override(NamedTuple):
    """Who promotes what the gate refused, and why."""

    role: Scope
    name: str
    because: str


def promote(params: Params, wanted: int | None, actor: str, override: Override | None = None) -> int:
    """Make a model the champion; return its version.

    Args:
        params: The sections ``gate`` and ``store``.
        wanted: A version; None: the model that the gate judged last, which is registered unless it was.
        actor: Whom the audit names.
        override: Counts where the gate refused.

    Raises:
        InputError: The gate refused and nobody who may overrides; or it judged other weights, or against another champion; or
            there is no such version.
        BackendError: The registry or the store did not answer. Trying again finishes what was begun.
    """
    registry = wiring.model_registry()
    with _alone():
        tags = _judged_tags() if wanted is None else _tags_of(registry, wanted)
        said = {} if tags["gate"] == _PROMOTE else _override(params, tags["reason"], override)
        number = _register(registry, tags) if wanted is None else wanted
        registry.tag(number, said)
        taken_back = read_document(paths.CHAMPION, Champion).rolled_back
        champion = _champion(registry, number, [weights for weights in taken_back if weights != tags["weights_sha256"]])
        if (now := registry.champion()) != number:
            _note(params, actor, now, number, "; ".join([tags["reason"], *said.values()]))
            registry.set_history(promoted(registry.history(), now, number))
            registry.set_champion(number)
        _write(champion)
    logger.info("models: version %s is the champion", number)
    return number


def rollback(params: Params, actor: str) -> int | None:
    """Make the champion of before the champion again; return its version, None for the built-in reasoner.

    Raises:
        InputError: The built-in reasoner answers: nothing is before it.
        BackendError: The registry or the store did not answer. Trying again finishes what was begun.
    """
    registry = wiring.model_registry()
    with _alone():
        if (now := registry.champion()) is None:
            raise InputError("the built-in reasoner answers: there is nothing to roll back to")
        number = before(registry.history(), now)
        taken_back = {*read_document(paths.CHAMPION, Champion).rolled_back, _tags_of(registry, now)["weights_sha256"]}
        champion = _champion(registry, number, sorted(taken_back))
        _note(params, actor, now, number, "rolled back")
        _write(champion)
        registry.set_champion(number)
    logger.info("models: %s is the champion", champion.name)
    return number


def champion_version(known: int | None = None) -> int | None:
    """Return the version that is the champion; None where the built-in reasoner answers, ``known`` where nobody can be asked."""
    try:
        return wiring.model_registry().champion()
    except BackendError as error:
        logger.warning("%s; it is taken that nothing changed", error)
        return known


def champion_folder() -> Path | None:
    """Return where the champion's files lie on this machine, verified; None where the built-in reasoner answers.

    They are fetched once; to verify them reads them all.

    Raises:
        InputError: They are not those that were registered.
        BackendError: The registry did not answer.
    """
    registry = wiring.model_registry()
    if (number := registry.champion()) is None:
        return None
    weights = _tags_of(registry, number)["weights_sha256"]
    folder = paths.CHAMPIONS / weights
    with _alone(), tempfile.TemporaryDirectory(dir=paths.CHAMPIONS) as into:
        if not folder.is_dir():
            registry.fetch_model(number, Path(into)).rename(folder)
    if (found := hash_model(folder)) != weights:
        raise InputError(f"{folder}: was changed: its SHA-256 is {found}; remove it, and it is fetched again")
    return folder


def read_verdict() -> Verdict:
    """Return what the gate said last.

    Raises:
        InputError: It was not asked yet.
    """
    return read_document(paths.REPORTS / "gate.json", Verdict)


def _judged_tags() -> dict[str, str]:
    """Return what is said in the registry of the model that the gate judged last.

    Raises:
        InputError: Its weights are no longer those that were judged, or the champion is another one by now.
    """
    verdict, challenger = read_verdict(), read_document(paths.CHALLENGER, Challenger)
    champion = read_document(paths.CHAMPION, Champion)
    folder = paths.CANDIDATES[verdict.challenger]
    for place, weights in ((folder, hash_model(folder)), (paths.CHALLENGER, challenger.weights)):
        if weights != verdict.weights:
            raise InputError(f"{place}: the gate judged the weights {verdict.weights}, these are {weights}: run `dvc repro gate`")
    is_champion = champion.model is not None and champion.model.weights == verdict.weights
    if verdict.champion != champion.name and not is_champion:
        raise InputError(f"the gate compared with {verdict.champion}, the champion is {champion.name}: run `dvc repro gate`")
    return {
        "gate": verdict.decision,
        "reason": verdict.reason,
        "variant": challenger.variant,
        "profile": challenger.profile,
        "git_commit": _commit(),
        "data_sha256": challenger.data,
        "weights_sha256": challenger.weights,
        _IDENTITY: hash_file(paths.CHALLENGER),
        "cases_hash": challenger.cases_hash,
        "metric": verdict.metric,
        **{f"figure.{name}": f"{value:g}" for name, value in challenger.figures.items()},
    }


def _override(params: Params, refusal: str, override: Override | None) -> dict[str, str]:
    """Return what is said in the registry of whoever overrides the gate, where somebody does who may."""
    if override is None:
        raise InputError(f"the gate {refusal}")
    allowed = read_policy(paths.ROOT / params.gate.policy).override
    if override.role not in allowed:
        raise InputError(f"{override.role} may not override the gate, {' and '.join(allowed)} may: the gate {refusal}")
    return {"override_by": f"{override.role}/{override.name}", "override_because": redact(override.because).text}


def _register(registry: ModelRegistry, tags: Mapping[str, str]) -> int:
    """Return the version of what the gate judged, a new one unless it is known."""
    for version in registry.versions():
        if version.tags.get(_IDENTITY) == tags[_IDENTITY]:
            registry.tag(version.number, tags)
            return version.number
    return registry.register(paths.CANDIDATES[tags["variant"]], paths.CHALLENGER, tags)


def _tags_of(registry: ModelRegistry, number: int) -> Mapping[str, str]:
    for version in registry.versions():
        if version.number == number and _IDENTITY in version.tags:
            return version.tags
    raise InputError(f"version {number}: Mimir registered none such; `mimir models list` shows all")


def _champion(registry: ModelRegistry, number: int | None, rolled_back: Iterable[str]) -> Champion:
    """Return what models/champion.json will say."""
    if number is None:
        return Champion(reasoner="builtin", rolled_back=tuple(rolled_back))
    with tempfile.TemporaryDirectory() as into:
        model = read_document(registry.fetch_challenger(number, Path(into)), Challenger)
    return Champion(reasoner="model", version=number, model=model, rolled_back=tuple(rolled_back))


def _write(champion: Champion) -> None:
    fresh = paths.CHAMPION.with_suffix(".new")
    fresh.write_text(champion.model_dump_json(exclude_defaults=True) + "\n", encoding="utf-8")
    fresh.replace(paths.CHAMPION)


def _note(params: Params, actor: str, now: int | None, number: int | None, reason: str) -> None:
    """Write into the audit of the store who lets another reasoner answer, and why."""
    before_it, after_it = (BUILTIN if one is None else f"version {one}" for one in (now, number))

    async def note() -> None:
        async with open_database(wiring.store_url(), params.store) as database:
            await note_champion(database, actor, before_it, after_it, reason)

    asyncio.run(note())


def _commit() -> str:
    """Return the commit of the working tree; "unknown" where there is none, as in an image."""
    try:
        asked = ["git", "rev-parse", "HEAD"]
        return subprocess.run(asked, cwd=paths.ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


@contextmanager
def _alone() -> Iterator[None]:
    """Keep others on this machine from changing the champion meanwhile."""
    paths.CHAMPIONS.mkdir(parents=True, exist_ok=True)
    with (paths.CHAMPIONS / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
