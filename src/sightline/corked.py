"""A transport whose writes of one turn of the event loop go out together at its end.

To wake a reader costs the system more than all else about a small write. Requests that are worked on in the same turn
write one behind the other so, and a reader of several is woken once for all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

_AT_ONCE_BYTES = 262_144
"""So much is better sent while the processor has it at hand; beside copying it, a reader costs nothing to wake."""


class Corked(asyncio.Transport):
    """Wraps a transport. Order is kept: whatever ends or closes the connection sends first what was written before."""

    __slots__ = ("_loop", "_pieces", "_pieces_bytes", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._pieces: list[Any] = []
        self._pieces_bytes = 0

    def write(self, data: Any) -> None:
        """Have `data` go out with the turn."""
        if not self._pieces:
            self._loop.call_soon(self.uncork)
        self._pieces.append(data)
        self._pieces_bytes += len(data)
        if self._pieces_bytes > _AT_ONCE_BYTES:
            self.uncork()

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        """Have pieces go out with the turn, uncopied."""
        if not self._pieces:
            self._loop.call_soon(self.uncork)
        pieces = list(list_of_data)
        self._pieces += pieces
        self._pieces_bytes += sum(map(len, pieces))
        if self._pieces_bytes > _AT_ONCE_BYTES:
            self.uncork()

    def uncork(self) -> None:
        """Send what was written, now; nothing where the connection has ended."""
        if self._pieces:
            pieces, self._pieces, self._pieces_bytes = self._pieces, [], 0
            if not self._transport.is_closing():
                self._transport.writelines(pieces)

    def get_write_buffer_size(self) -> int:
        """How many bytes have not gone to the system yet."""
        return self._transport.get_write_buffer_size() + self._pieces_bytes

    def write_eof(self) -> None:
        """Close this side behind what was written."""
        self.uncork()
        self._transport.write_eof()

    def close(self) -> None:
        """Close the connection behind what was written."""
        self.uncork()
        self._transport.close()

    def abort(self) -> None:
        """Close the connection at once; what was written is dropped."""
        self._pieces, self._pieces_bytes = [], 0
        self._transport.abort()

    def is_closing(self) -> bool:
        """Whether it is closed or about to be."""
        return self._transport.is_closing()

    def is_reading(self) -> bool:
        """Whether anything is read from it."""
        return self._transport.is_reading()

    def pause_reading(self) -> None:
        """Read nothing until `resume_reading`."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        self._transport.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What is known of the connection."""
        return self._transport.get_extra_info(name, default)
