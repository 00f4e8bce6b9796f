"""How log lines look: plain ``logging`` in the code, formatted by structlog, on stderr.

Comes in: a level and a format. Goes out: the root logger's one handler. What structlog's context variables hold (the request, the
incident) is in each line that is written meanwhile.
Surprises: text from logs and tickets ends up in messages, so control characters are shown, not sent to the terminal.
"""

import logging
import sys
from typing import Literal

import structlog
from structlog.typing import EventDict, WrappedLogger

from mimir_core.safety import escape

_OURS = ("mimir_core", "tasks", "flows", "deployment")


def set_up(level: str, form: Literal["text", "json"] = "text") -> None:
    """Send log lines of ``level`` and above to stderr, as text for people or as JSON for machines.

    Other people's libraries speak from WARNING on, unless ``level`` is DEBUG.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _without_control_characters,
    ]
    renderer = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
        )
    )
    logging.basicConfig(level=level if level == "DEBUG" else "WARNING", handlers=[handler], force=True)
    for name in _OURS:
        logging.getLogger(name).setLevel(level)


def _without_control_characters(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {key: escape.plain(value) if isinstance(value, str) else value for key, value in event.items()}
