"""Structured logs on standard error: an event name, values, the request id. Never a key, prompt or picture.

For a person at a terminal they are coloured lines, anywhere else one JSON object a line.
"""

from __future__ import annotations

import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog

_SECRET = frozenset({"authorization", "key", "api_key", "secret", "token", "password", "prompt", "messages"})
REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request that is worked on; every event logged meanwhile carries it."""

_json = msgspec.json.Encoder(enc_hook=repr)


def configure_logging(*, json: bool | None = None) -> None:
    """Set up logging for this process; `json` None means JSON unless standard error is a terminal."""
    as_json = not sys.stderr.isatty() if json is None else json
    # The default prints local variables: keys, prompts and pictures.
    for_person = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(
        processors=[
            add_request_id,
            _complete,
            *([structlog.processors.format_exc_info, _to_json] if as_json else [for_person]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer)
        if as_json
        else structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def get_logger(name: str) -> Any:
    """A logger whose events carry `name` as `module`."""
    return structlog.get_logger(module=name)


def add_request_id(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Say which request an event is of, when it is of one."""
    request_id = REQUEST_ID.get()
    if request_id is not None:
        event.setdefault("request_id", request_id)
    return event


def _complete(_: Any, level: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Leave secrets out, add level and time: one step instead of three, since every request pays for its line."""
    if not _SECRET.isdisjoint(event):
        for name in _SECRET & event.keys():
            event[name] = "…"
    event["level"] = level
    event["timestamp"] = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return event


def _to_json(_: Any, __: str, event: structlog.typing.EventDict) -> bytes:
    return _json.encode(event)
