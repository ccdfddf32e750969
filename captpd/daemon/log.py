"""Every log line of the process, ours and the library's, in one form and with secrets masked."""

from __future__ import annotations

import logging
import os
import sys
from types import TracebackType
from typing import Any, Final, TextIO, final

import structlog

from captp.model.locator import mask

__all__ = ["set_up_logging"]

log: Final = logging.getLogger("captpd")


def set_up_logging(style: str, level: str, stream: TextIO) -> None:
    """Write log lines to ``stream``: ``text`` for people, ``json`` for machines, ``auto`` by terminal.

    A record's attribute ``captp``, a dict, becomes fields. Uncaught errors and warnings are lines too.
    """
    is_terminal = stream.isatty()
    renderers: list[Any]
    if style == "text" or (style == "auto" and is_terminal):
        colors = is_terminal and not os.environ.get("NO_COLOR")
        plain = structlog.dev.plain_traceback
        renderers = [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain)]
    else:
        renderers = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        _MaskingFormatter(
            foreign_pre_chain=[
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                _add_fields,
            ],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.captureWarnings(capture=True)
    # Otherwise logging prints a record that it cannot format, unmasked.
    logging.raiseExceptions = False
    sys.excepthook = _log_uncaught
    sys.unraisablehook = _log_unraisable


@final
class _MaskingFormatter(structlog.stdlib.ProcessorFormatter):
    """Masks the finished line, so that no field, argument or traceback goes round it."""

    def format(self, record: logging.LogRecord) -> str:
        return mask(super().format(record))


def _add_fields(_logger: Any, _name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    fields = getattr(event["_record"], "captp", {})
    event.update((name, value) for name, value in fields.items() if name not in event)
    return event


def _log_uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    log.critical("the daemon failed", exc_info=(kind, error, traceback))


def _log_unraisable(problem: Any) -> None:
    error = problem.exc_value
    log.error(
        "an error in a destructor or callback",
        exc_info=(type(error), error, problem.exc_traceback),
        extra={"captp": {"where": repr(problem.object)}},
    )
