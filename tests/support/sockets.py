"""A client that minds no manners: raw bytes on a socket, and what comes back. And ports for servers."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit


class RawClient:
    """One connection to a service at `url`; `with` closes it."""

    def __init__(self, url: str, *, receive_buffer_bytes: int | None = None) -> None:
        where = urlsplit(url)
        self.socket = socket.socket()
        if receive_buffer_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self.socket.settimeout(60)
        self.socket.connect((where.hostname, where.port))

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send, or as much of it as the other side takes before it closes."""
        with contextlib.suppress(ConnectionError):
            self.socket.sendall(data)

    def until_closed(self) -> bytes:
        """All that comes until the other side closes."""
        data = b""
        with contextlib.suppress(ConnectionError):
            while piece := self.socket.recv(65_536):
                data += piece
        return data

    def is_closed(self) -> bool:
        """Whether the other side has closed, with what it wrote thrown away."""
        self.socket.setblocking(False)
        try:
            while self.socket.recv(65_536):
                pass
        except BlockingIOError:
            return False
        except ConnectionError:
            return True
        return True


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on at this moment."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def head(key: str, *lines: str, request: str = "POST /v1/chat/completions HTTP/1.1") -> bytes:
    """A request's head with the key; `lines` are further headers."""
    return "\r\n".join([request, "host: x", f"authorization: Bearer {key}", *lines, "", ""]).encode()


def answers(data: bytes) -> list[tuple[int, Any]]:
    """The answers in what a service wrote, each its status and JSON; only those that declare their length."""
    found = []
    while data:
        lines, _, rest = data.partition(b"\r\n\r\n")
        status = int(lines.split(b" ", 2)[1])
        if status == 100:
            data = rest
            continue
        length = next(int(value) for name, value in _headers(lines) if name == b"content-length")
        found.append((status, json.loads(rest[:length])))
        data = rest[length:]
    return found


def _headers(lines: bytes) -> Iterable[tuple[bytes, bytes]]:
    for line in lines.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        yield name.lower(), value.strip()
