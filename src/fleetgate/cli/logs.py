"""Where logs go: standard error, for people or as one JSON object in a line."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

from fleetgate.config import LogConfig


def configure(config: LogConfig, *, lasting: bool = True) -> None:
    """Everything that is logged from now on, by this program and by the libraries it uses.

    *lasting*: for the rest of the process, so that loggers need not be made anew for each line.
    """
    level = getattr(logging, config.level.upper())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Any] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if config.format == "json"
        else [
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
        ]
    )
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=lasting,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[_bare, *last]))
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)


def quiet() -> None:
    """For commands that answer and end: only what went wrong, and nothing on standard output."""
    configure(LogConfig(level="warning"), lasting=False)


_bare = structlog.stdlib.ProcessorFormatter.remove_processors_meta
