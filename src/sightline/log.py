"""Structured logs on standard error: an event name, values, the request id. Never a key, prompt or picture.

For a person at a terminal they are coloured lines, anywhere else one JSON object a line. structlog does the work; ours
are two of its processors. What is bound with `structlog.contextvars`, the request's id, stands in every event.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog
from structlog.typing import EventDict, Processor

_SECRET = frozenset({"authorization", "key", "api_key", "secret", "token", "password", "prompt", "messages"})
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"}


def configure_logging(*, json: bool | None = None) -> None:
    """Set up logging for this process; `json` None means JSON unless standard error is a terminal."""
    as_json = not sys.stderr.isatty() if json is None else json
    # By default a traceback shows local variables: keys, prompts and pictures.
    for_person = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    for_machine: list[Processor] = [
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(default=repr, separators=(",", ":")),
    ]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _hide_secrets,
            *(for_machine if as_json else [_escape_controls, for_person]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def silence() -> None:
    """Log nothing in this process: by itself structlog writes to standard output."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())


def get_logger(name: str) -> Any:
    """A logger whose events carry `name` as `module`."""
    return structlog.get_logger(module=name)


def _hide_secrets(_: Any, __: str, event: EventDict) -> EventDict:
    return {name: "…" if name in _SECRET else value for name, value in event.items()}


def _escape_controls(_: Any, __: str, event: EventDict) -> EventDict:
    """Spell what would steer a terminal: a path is whatever a stranger sends."""
    return {name: value.translate(_CONTROLS) if isinstance(value, str) else value for name, value in event.items()}
