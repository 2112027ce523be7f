"""Structured logs on standard error: an event name, values, the request id. Never a key, prompt or picture.

For a person at a terminal they are coloured lines, anywhere else one JSON object a line.
"""

from __future__ import annotations

import asyncio
import atexit
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, BinaryIO

import msgspec
import structlog

_SECRET = frozenset({"authorization", "key", "api_key", "secret", "token", "password", "prompt", "messages"})
REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request that is worked on; every event logged meanwhile carries it."""

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"}

_json = msgspec.json.Encoder(enc_hook=repr)


def configure_logging(*, json: bool | None = None) -> None:
    """Set up logging for this process; `json` None means JSON unless standard error is a terminal."""
    as_json = not sys.stderr.isatty() if json is None else json
    # The default prints local variables: keys, prompts and pictures.
    for_person = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(
        processors=[complete] if as_json else [complete, _for_terminal, for_person],
        wrapper_class=Logger,
        logger_factory=Lines.to_stderr if as_json else structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def silence() -> None:
    """Log nothing in this process: by itself structlog writes to standard output."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())


def get_logger(name: str) -> Any:
    """A logger whose events carry `name` as `module`."""
    return structlog.get_logger(module=name)


class Logger(structlog.BoundLoggerBase):
    """What `get_logger` gives. Every request pays for its line: structlog's own goes through five calls more."""

    def debug(self, event: str, **values: Any) -> None:
        """Nothing: what only a developer wants to know is not written."""

    def info(self, event: str, **values: Any) -> None:
        """Log what happened, with values."""
        self._write("info", event, values)

    def warning(self, event: str, **values: Any) -> None:
        """Log what an operator may want to look into."""
        self._write("warning", event, values)

    def error(self, event: str, **values: Any) -> None:
        """Log what went wrong; `exc_info` takes the exception."""
        self._write("error", event, values)

    def exception(self, event: str, **values: Any) -> None:
        """Log what went wrong, with the exception that is being handled."""
        self._write("error", event, {"exc_info": True, **values})

    def _write(self, level: str, event: str, values: dict[str, Any]) -> None:
        line: Any = {**self._context, **values, "event": event}
        try:
            for step in self._processors:
                line = step(self._logger, level, line)
        except structlog.DropEvent:
            return
        self._logger.info(line)


def complete(_: Any, level: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Leave secrets out, add request, level and time: one step instead of three."""
    if not _SECRET.isdisjoint(event):
        for name in _SECRET & event.keys():
            event[name] = "…"
    request_id = REQUEST_ID.get()
    if request_id is not None:
        event.setdefault("request_id", request_id)
    event["level"] = level
    event["timestamp"] = datetime.now(UTC)
    return event


def _for_terminal(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Spell the time, and what would steer a terminal: a path is whatever a stranger sends."""
    event["timestamp"] = event["timestamp"].isoformat().replace("+00:00", "Z")
    return {name: value.translate(_CONTROLS) if isinstance(value, str) else value for name, value in event.items()}


def _lines(events: list[structlog.typing.EventDict]) -> bytes:
    """Write events as JSON, a line each; what of one cannot be written, half a character of a file's name, in ASCII."""
    try:
        return _json.encode_lines(events)
    except (TypeError, ValueError):
        if len(events) > 1:
            return b"".join([_lines([event]) for event in events])
        return _json.encode_lines([{name: ascii(value) for name, value in events[0].items()}])


class Lines:
    """Writes each event as a line of JSON: on an event loop those of one turn together, as that turn ends, elsewhere at
    once.

    structlog's own takes a lock and two calls more for each, and the system a call.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._write, self._flush = file.write, file.flush
        self._waiting: list[structlog.typing.EventDict] = []

    @classmethod
    def to_stderr(cls, *_: Any) -> Lines:
        """For `structlog.configure`."""
        lines = cls(sys.stderr.buffer)
        atexit.register(lines.flush)  # a loop that ends runs nothing more
        return lines

    def info(self, event: structlog.typing.EventDict) -> None:
        """Write an event; every level is written alike."""
        if "exc_info" in event:
            event = structlog.processors.format_exc_info(None, "", event)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._write(_lines([event]))
            self._flush()
            return
        if not self._waiting:
            loop.call_soon(self.flush)
        self._waiting.append(event)

    def flush(self) -> None:
        """Write what waits."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._write(_lines(waiting))
            self._flush()

    debug = warning = error = exception = critical = info
