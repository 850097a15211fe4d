"""Where logs go: standard error, for people or as one JSON object in a line."""

from __future__ import annotations

import logging
import sys
from typing import Any, Final

import structlog

from fleetgate.config import LogConfig

_SHARED: Final[list[Any]] = [
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure(config: LogConfig) -> None:
    """Everything that is logged from now on, by this program and by the libraries it uses, until the process ends."""
    level = getattr(logging, config.level.upper())
    structlog.configure(
        processors=[*_SHARED, *_last(config.format)],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_to_standard_error,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    bare = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=_SHARED, processors=[bare, *_last(config.format)])
    )
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)


def quiet() -> None:
    """For commands that answer and end: only what went wrong, and nothing on standard output."""
    structlog.configure(
        processors=[*_SHARED, *_last("console")],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=_to_standard_error,
    )


def _last(form: str) -> list[Any]:
    if form == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]


def _to_standard_error(*_: Any) -> structlog.PrintLogger:
    return structlog.PrintLogger(sys.stderr)
