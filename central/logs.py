"""How log lines look: for people on a terminal, or one JSON object a line for programs.

What a request logs carries its id (`central.api.requests`), which is in the answer's header ``X-Request-Id``, too.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, Final, Literal

import structlog
from structlog.typing import Processor

Format = Literal["text", "json"]
_LIBRARIES: Final = logging.WARNING


def _names(_: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
    """Call what happened ``message``, as programs that read logs expect."""
    event["message"] = event.pop("event", "")
    return event


def set_up(form: Format = "text") -> None:
    """Log to standard error, one line per event; traces without the values of variables, which may be secrets."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    plain = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    rendered: list[Processor] = [plain]
    if form == "json":
        rendered = [structlog.processors.format_exc_info, _names, structlog.processors.JSONRenderer(default=str)]  # type: ignore[list-item]
    structlog.configure(
        processors=[*shared, *rendered],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
    _libraries(form, shared)


def _libraries(form: Format, shared: list[Processor]) -> None:
    """Have what libraries log look alike."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    if form == "json":
        last: list[Processor] = [
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _names,  # type: ignore[list-item]
            structlog.processors.JSONRenderer(default=str),
        ]
        handler.setFormatter(
            structlog.stdlib.ProcessorFormatter(
                foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared], processors=last
            )
        )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_LIBRARIES)
    logging.getLogger("amqtt").setLevel(logging.CRITICAL)
