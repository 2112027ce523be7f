"""Structured logs on standard error: an event name, values, the request id. Never a key, prompt or picture.

For a person at a terminal they are coloured lines, anywhere else one JSON object a line.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import msgspec
import structlog

_SECRET = frozenset({"authorization", "key", "api_key", "secret", "token", "password", "prompt", "messages"})


def configure_logging(*, json: bool | None = None) -> None:
    """Set up logging for this process; `json` None means JSON unless standard error is a terminal."""
    as_json = not sys.stderr.isatty() if json is None else json
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _redact,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info if as_json else _keep,
            structlog.processors.JSONRenderer(serializer=_to_json)
            if as_json
            else structlog.dev.ConsoleRenderer(
                # The default prints local variables: keys, prompts and pictures.
                exception_formatter=structlog.dev.plain_traceback
            ),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def get_logger(name: str) -> Any:
    """A logger whose events carry `name` as `module`."""
    return structlog.get_logger(module=name)


def _redact(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    for name in _SECRET & event.keys():
        event[name] = "…"
    return event


def _to_json(event: structlog.typing.EventDict, **_: Any) -> str:
    return msgspec.json.encode(event, enc_hook=repr).decode()


def _keep(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return event
