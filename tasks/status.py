"""How a failed stage tells the flow that started it what went wrong: one small JSON file a stage.

Comes in: the error. Goes out: ``NAME.json`` in ``var/status``, which is there exactly while the stage's last run failed.
"""

import json
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mimir_core import errors
from mimir_core.errors import MimirError
from tasks import paths


@contextmanager
def recorded(stage: str, folder: Path = paths.STATUS) -> Iterator[None]:
    """Write ``folder/STAGE.json`` when the body raises, and remove it when the body succeeds."""
    path = folder / f"{stage}.json"
    try:
        yield
    except Exception as error:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(_describe(error), indent=1) + "\n", encoding="utf-8")
        raise
    path.unlink(missing_ok=True)


def read_failure(stage: str, folder: Path = paths.STATUS) -> MimirError | None:
    """Return the error that the stage wrote down, as its own class; None when it wrote none.

    A class that is not Mimir's (a bug, a full disk) comes back as a plain :class:`MimirError` that names it.
    """
    path = folder / f"{stage}.json"
    if not path.is_file():
        return None
    failure = json.loads(path.read_text(encoding="utf-8"))
    place = f"{failure['message']} ({failure['file']}:{failure['line']})"
    found = getattr(errors, failure["class"], None)
    if isinstance(found, type) and issubclass(found, MimirError):
        return found(place)
    return MimirError(f"{failure['class']}: {place}")


def forget_failure(stage: str, folder: Path = paths.STATUS) -> None:
    """Remove what an earlier run wrote down, so that it is not taken for news."""
    (folder / f"{stage}.json").unlink(missing_ok=True)


def _describe(error: Exception) -> dict[str, str | int | None]:
    """Name the class, the message and the deepest line of the project that it passed through."""
    frames = traceback.extract_tb(error.__traceback__)[1:]  # the first is `recorded` itself
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(paths.ROOT) and ".venv" not in frame.filename]
    place = (ours or list(frames))[-1]
    file = Path(place.filename)
    shown = file.relative_to(paths.ROOT) if file.is_relative_to(paths.ROOT) else Path(file.name)
    return {"class": type(error).__name__, "message": str(error), "file": str(shown), "line": place.lineno}
