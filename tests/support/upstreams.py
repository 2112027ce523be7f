"""Servers that speak OpenAI's protocol as badly as they are told to, and an engine in front of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sightline.core import GenerateRequest, ImageEncoding, ImageFile, ImagePart, Message, SamplingParams, TextPart
from sightline.engines.upstream.engine import UpstreamEngine
from sightline.settings import UpstreamModel, UpstreamSettings
from support.asgi import until
from support.bodies import CALL

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
WORDS = ["one", " two", " three", " four"]
MANY = 100
PICTURE_TOKENS = 16
MODEL = "them/model"
RULE = ImageEncoding("square", 32, PICTURE_TOKENS)
FILE = ImageFile("png", b"a picture", "digest", "auto")
TEXT = "".join(WORDS)


class Rude:
    """A server that answers `WORDS`; `manner` is how: see `_answer`. `bodies` are the requests that came."""

    def __init__(self, **listed: Any) -> None:
        self.manner = "well"
        self.url = ""
        self.bodies: list[dict[str, Any]] = []
        self.counted: list[dict[str, Any]] = []
        """Prompts of which only the tokens were asked."""
        self.paths: list[str] = []
        self.authorizations: list[str] = []
        self.left = 0
        self.pause_s = 0.0
        self.go_on = asyncio.Event()
        """What answers of the manner "wait" wait for."""
        self.manners: dict[str, str] = {}
        """Of single models, where not that of all."""
        self.usage: dict[str, Any] = {}
        self.limits = ("max_completion_tokens", "max_tokens")
        """The names by which it knows the longest answer; another it drops without a word."""
        self.listed = [{"id": MODEL, "owned_by": "vllm", "max_model_len": 4096, **listed}]
        self._server: asyncio.Server | None = None
        self._writers: set[Writer] = set()

    async def start(self, port: int = 0) -> None:
        """Listen, on a port of one's own or the one of before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def refuse(self) -> None:
        """Take no more connections; those that there are go on, as when its machine is gone."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def stop(self) -> None:
        """Die: every connection is reset."""
        self.refuse()
        for writer in tuple(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0)

    @property
    def port(self) -> int:
        """Where it listens or did."""
        return int(self.url.rpartition(":")[2])

    def asked(self) -> list[dict[str, Any]]:
        """The requests that were no warm-up."""
        return [body for body in self.bodies if "Say yes." not in json.dumps(body)]

    async def _serve(self, reader: Reader, writer: Writer) -> None:
        self._writers.add(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode().split("\r\n")
                fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
                body = await reader.readexactly(int(fields.get("content-length", 0)))
                self.paths.append(lines[0].split(" ")[1])
                self.authorizations.append(fields.get("authorization", ""))
                if self.manner == "hang":
                    await reader.read(1)
                    self.left += 1
                    return
                if self.paths[-1] == "/v1/models":
                    self._send(writer, {"data": self.listed})
                elif self.paths[-1] == "/tokenize":
                    self.counted.append(json.loads(body))
                    self._send(writer, {"count": 9 + PICTURE_TOKENS * body.count(b'"image_url":')})
                else:
                    self.bodies.append(json.loads(body))
                    if not await self._answer(reader, writer, self.bodies[-1]):
                        return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, reader: Reader, writer: Writer, body: dict[str, Any]) -> bool:
        """Answer in the present manner; whether the connection is good for more."""
        manner = self.manners.get(body["model"], self.manner)
        match manner:
            case "500" | "400" | "401" | "503":
                error = {"message": f"secret of {self.url}", "code": int(manner)}
                self._send(writer, {"error": error}, int(manner))
                return True
            case "too long":
                self._send(writer, {"error": {"message": "maximum context length is 9", "code": 400}}, 400)
                return True
            case "cut at once":
                return False
            case "silent":
                await reader.read(1)
                self.left += 1
                return False
            case "wait":
                await self.go_on.wait()
            case "garbage":
                self._send(writer, "not an answer")
                return True
            case "error first" if not body.get("stream"):
                self._send(writer, {"error": {"message": "secret"}})
                return True
        if self.pause_s and not body.get("stream"):
            await asyncio.sleep(self.pause_s)
        if body.get("stream"):
            return await self._stream(reader, writer, body)
        choice: dict[str, Any] = {"message": {"role": "assistant", "content": "".join(WORDS)}, "finish_reason": "stop"}
        if manner == "filter":
            choice["finish_reason"] = "content_filter"
        if manner == "call":
            message = {"role": "assistant", "content": None, "tool_calls": [CALL, {**CALL, "id": "call_2"}]}
            choice = {"message": message, "finish_reason": "tool_calls"}
        self._send(writer, {"choices": [choice], **self._usage(body, len(WORDS))})
        return True

    async def _stream(self, reader: Reader, writer: Writer, body: dict[str, Any]) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        left = asyncio.ensure_future(reader.read(1))
        self._event(writer, {"choices": [{"delta": {"role": "assistant", "content": ""}, "finish_reason": None}]})
        if self.manner == "cut before a word":
            return False
        if self.manner == "error first":
            self._event(writer, {"error": {"message": "secret"}})
        if self.manner == "call":
            left.cancel()
            self._call(writer, body)
            return False
        words = WORDS * MANY if self.manner == "many at once" else WORDS
        for at, word in enumerate(words):
            if self.manner == "many at once":
                self._event(writer, {"choices": [{"delta": {"content": word}, "finish_reason": None}]})
                continue
            done, _ = await asyncio.wait([left], timeout=self.pause_s or 0.001)
            if done:
                self.left += 1
                return False
            if self.manner == "cut" and at == 2:
                return False
            if self.manner == "stall" and at == 2:
                await left
                self.left += 1
                return False
            self._event(writer, {"choices": [{"delta": {"content": word}, "finish_reason": None}]})
        if self.manner == "error inside":
            self._event(writer, {"error": {"message": "secret"}})
        self._event(writer, {"choices": [{"delta": {}, "finish_reason": "stop"}]})
        self._event(writer, {"choices": [], **self._usage(body, len(words))})
        writer.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
        left.cancel()
        return False

    def _call(self, writer: Writer, body: dict[str, Any]) -> None:
        """Call two tools in a stream, in more pieces than there are tokens; the last rides on the reason."""
        for at, name in enumerate(("call_1", "call_2")):
            begins = {"index": at, "id": name, "type": "function", "function": {"name": "look_up", "arguments": ""}}
            texts = ['{"part"', ":", '"7"', "}"]
            pieces = [begins, *({"index": at, "function": {"arguments": text}} for text in texts)]
            for number, piece in enumerate(pieces):
                reason = "tool_calls" if at and number == len(texts) else None
                self._event(writer, {"choices": [{"delta": {"tool_calls": [piece]}, "finish_reason": reason}]})
        self._event(writer, {"choices": [], **self._usage(body, 3)})
        writer.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")

    def _usage(self, body: dict[str, Any], words: int) -> dict[str, Any]:
        if self.manner == "no usage":
            return {}
        pictures = json.dumps(body).count('"image_url": {')
        completion = 1 if 1 in (body.get(name) for name in self.limits) else words
        said = {"prompt_tokens": 9 + PICTURE_TOKENS * pictures, "completion_tokens": completion}
        return {"usage": {**said, **(self.usage if self.manner == "lie" else {})}}

    def _send(self, writer: Writer, content: Any, status: int = 200) -> None:
        data = json.dumps(content).encode()
        head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
        writer.write(head.encode() + data)

    def _event(self, writer: Writer, content: Any) -> None:
        data = b"data: " + json.dumps(content).encode() + b"\n\n"
        writer.write(b"%x\r\n%s\r\n" % (len(data), data))


@asynccontextmanager
async def rude_servers(count: int, **listed: Any) -> AsyncIterator[list[Rude]]:
    """So many of them, while the block runs."""
    servers = [Rude(**listed) for _ in range(count)]
    for server in servers:
        await server.start()
    try:
        yield servers
    finally:
        for server in servers:
            await server.stop()


def ask(text: str = "What is it?", *, images: int = 0, stream: bool = True, **sampling: object) -> GenerateRequest:
    """A request of `MODEL`, with so many pictures."""
    parts = (*(ImagePart(at) for at in range(images)), TextPart(text))
    params = SamplingParams(**({"max_tokens": 8} | sampling))  # type: ignore[arg-type]
    tokens = images * PICTURE_TOKENS
    return GenerateRequest("req", MODEL, (Message("user", parts),), (), params, tokens, stream, (FILE,) * images)


@asynccontextmanager
async def engine_over(servers: list[Rude], **settings: object) -> AsyncIterator[UpstreamEngine]:
    """An engine over these servers, all of them in; `settings` are those of `[[upstreams]]`."""
    urls = tuple(server.url for server in servers)
    usual = {"models": {MODEL: UpstreamModel(MODEL, image=RULE)}}
    engine = UpstreamEngine(UpstreamSettings(urls, **(usual | settings)))  # type: ignore[arg-type]
    await engine.start()
    await until(lambda: all(server.is_in for server in engine.pool.servers))
    try:
        yield engine
    finally:
        await engine.stop()
