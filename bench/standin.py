"""An upstream that answers at once: what stands behind each proxy when only the proxy is measured.

Run as a program; prints its port. OpenAI's chat completions, one fixed answer: plain, or as 64 chunks that are sent in
one piece, or, by the model that is called so, one each 5 ms.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import httptools
import uvloop

MODEL, PACED = "bench", "bench-paced"
CHUNKS = 64
PACE_S = 0.005
PROMPT = 40  # can be true of every body that is sent, pictures at 8 tokens each
USAGE = {"prompt_tokens": PROMPT, "completion_tokens": CHUNKS, "total_tokens": PROMPT + CHUNKS}
_HEAD = {"id": "chatcmpl-bench", "created": 1, "model": MODEL}


def _response(body: bytes, media_type: bytes = b"application/json") -> bytes:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n" % (media_type, len(body))
    return head + body


def _chunk(delta: dict[str, str], reason: str | None = None, usage: dict[str, int] | None = None) -> bytes:
    choices = [] if usage else [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}]
    event = {**_HEAD, "object": "chat.completion.chunk", "choices": choices, "usage": usage}
    return b"data: " + json.dumps(event).encode() + b"\n\n"


def _plain(tokens: int) -> bytes:
    message = {"role": "assistant", "content": "yes" * tokens, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    usage = {"prompt_tokens": PROMPT, "completion_tokens": tokens, "total_tokens": PROMPT + tokens}
    return _response(json.dumps({**_HEAD, "object": "chat.completion", "choices": [choice], "usage": usage}).encode())


_ONE_TOKEN = (b'"max_tokens":1}', b'"max_completion_tokens":1}')
PLAIN, SHORT = _plain(CHUNKS), _plain(1)
_ENTRY = {"object": "model", "created": 1, "owned_by": "bench", "max_model_len": 8192}
_ENTRIES = [{"id": name, **_ENTRY} for name in (MODEL, PACED)]
MODELS = _response(json.dumps({"object": "list", "data": _ENTRIES}).encode())
STREAM = [_chunk({"role": "assistant", "content": "yes"})]
STREAM += [_chunk({"content": "yes"}) for _ in range(CHUNKS - 2)]
STREAM += [_chunk({"content": "yes"}, "stop") + _chunk({}, usage=USAGE) + b"data: [DONE]\n\n"]
_STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class StandIn(asyncio.Protocol):
    """One connection. Only the end of a body is looked at: pictures stand before what matters here."""

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        self._transport = transport
        self._parser = httptools.HttpRequestParser(self)
        self._pieces: list[bytes] = []
        self._path = b""

    def data_received(self, data: bytes) -> None:
        """Go on."""
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        """Note where to."""
        self._path, self._pieces = url, []

    def on_body(self, piece: bytes) -> None:
        """Note what."""
        self._pieces.append(piece)

    def on_message_complete(self) -> None:
        """Answer."""
        if self._path.endswith(b"/models"):
            self._transport.write(MODELS)
            return
        body = b"".join(self._pieces)
        outside = body[:200] + body[-400:]
        if b'"stream":true' not in outside.replace(b" ", b""):
            self._transport.write(SHORT if outside.endswith(_ONE_TOKEN) else PLAIN)
        elif PACED.encode() in outside:
            self._pacing = asyncio.create_task(self._paced())
        else:
            self._transport.write(_STREAM_HEAD + _framed(b"".join(STREAM)) + b"0\r\n\r\n")

    async def _paced(self) -> None:
        self._transport.write(_STREAM_HEAD)
        due = asyncio.get_running_loop().time()
        for piece in STREAM[:-1]:
            self._transport.write(_framed(piece))
            due += PACE_S
            await asyncio.sleep(due - asyncio.get_running_loop().time())
        self._transport.write(_framed(STREAM[-1]) + b"0\r\n\r\n")


def _framed(piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(StandIn, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    sys.exit(uvloop.run(_serve()))
