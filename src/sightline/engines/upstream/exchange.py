"""One request to one upstream, from its first byte to its answer's last; pieces out, or a failure of the upstream."""

from __future__ import annotations

import asyncio
import time
from typing import get_args

import msgspec
from msgspec.structs import replace

from sightline.core import Delta, EngineTimings, FinishReason, GenerateRequest, ToolCall
from sightline.engines.upstream.body import Pieces
from sightline.engines.upstream.client import Broken, Reply, Sending, Unreachable
from sightline.engines.upstream.failures import Failure, of_status
from sightline.engines.upstream.reckoning import ImagesLost, Reckoning
from sightline.engines.upstream.server import Exchange, Served, Server
from sightline.engines.upstream.wire import Calls, Choice, EventStream, UsageBody, decoder, logprobs_of

_CHARACTERS_A_TOKEN = 4
LONG_BYTES = 20_000
"""Of texts: a longer body is written beside the event loop, for one of brackets takes a quarter second."""
CHAT = "/v1/chat/completions"
_REASONS: dict[str, FinishReason] = {name: name for name in get_args(FinishReason)}


class Asking:
    """A request to one upstream and its answer as it comes: `more` until it gives nothing, `leave` at any time.

    A class, and errors explained where they are caught: each generator on the way costs a request as much as reading
    its answer does, and each piece of a stream its part.
    """

    _reckoning: Reckoning
    _reply: Reply
    _talk: Conversation

    def __init__(self, server: Server, served: Served, request: GenerateRequest) -> None:
        """Take note of what is to be sent; it is with the first `more`."""
        self._server = server
        self._served = served
        self._request = request
        self._running: Exchange | None = None
        self._sending: Sending | None = None
        self.is_over = False
        """Whether nothing more comes."""

    async def more(self) -> list[Delta]:
        """Return the next pieces: all that came at once, none when there are no more.

        Raises:
            Failure: the upstream failed.
            ServiceError: it refused the request, and would again.
        """
        if self.is_over:
            return []
        if self._running is not None and self._running.given_up:  # while its client did not read
            self.leave()
            raise Failure(self._running.given_up)
        body = None
        if self._sending is None:
            self._reckoning = Reckoning(self._request, self._served.info)
            write = self._served.writer.write
            is_long = self._reckoning.text_bytes > LONG_BYTES
            body = await asyncio.to_thread(write, self._request) if is_long else write(self._request)
        try:
            if body is not None:
                await self._send(body)
            return await self._read()
        except BaseException as error:
            self.leave()
            failure = self._failure(error)
            if failure is None:
                raise
            raise failure from error

    def leave(self) -> None:
        """End the connection at once, and so the work, unless the answer is whole. Twice does no harm."""
        if self.is_over:
            return
        self.is_over = True
        if self._sending is not None and self._running is not None:
            self._server.exchanges.discard(self._running)
            self._sending.leave()

    async def _send(self, body: Pieces) -> None:
        running = self._running = Exchange(time.monotonic(), streams=self._request.stream)
        self._talk = Conversation(self._reckoning, running)
        self._sending = self._server.client.send("POST", CHAT, body)
        self._server.exchanges.add(running)
        reply = self._reply = running.reply = await self._sending.__aenter__()
        if reply.status != 200:
            # Only what a refusal of the request says is of use: nobody else is to wait for a body that may not come.
            raise of_status(reply.status, await reply.error() if 400 <= reply.status < 500 else b"")
        if not self._request.stream:
            running.has_begun = True  # it works on it: nobody else is to do so, too

    async def _read(self) -> list[Delta]:
        if self._request.stream:
            while data := await self._reply.read():
                if deltas := self._talk.feed(data):
                    return deltas
            last = self._talk.end()
        else:
            last = self._talk.whole(await self._reply.body())
        self.leave()
        self._server.did_well()
        return [last]

    def _failure(self, error: BaseException) -> Failure | None:
        """What `error` means of the upstream, if anything."""
        if isinstance(error, Unreachable):
            return Failure("dead")
        if isinstance(error, Broken):
            return Failure("cut")
        if isinstance(error, msgspec.DecodeError | ValueError | RecursionError):
            return Failure("lying")
        if isinstance(error, asyncio.CancelledError) and self._running is not None and self._running.was_given_up():
            return Failure(self._running.given_up or "slow")
        return None


class Conversation:
    """Makes pieces of an answer out of its bytes: of a plain one by `whole`, of a stream by `feed` and `end`."""

    def __init__(self, reckoning: Reckoning, running: Exchange) -> None:
        self._pieces = self._call_pieces = 0
        self._calls = Calls()
        self._running = running
        self._began_s = self._first_s = running.heard_s
        self._reckoning = reckoning
        self._events = EventStream()
        self._end: Choice | None = None
        self._said: UsageBody | None = None

    def feed(self, data: bytes) -> list[Delta]:
        """Take what has come of a stream; each chunk is a piece. The last waits for the usage that comes after it.

        Raises:
            Failure: the server says that it failed.
        """
        self._hear()
        deltas: list[Delta] = []
        for answer in self._events.feed(data):
            if answer.usage is not None:
                self._said = answer.usage
            if answer.error is not None:
                raise Failure("failed")
            if not answer.choices:
                continue
            choice, held = answer.choices[0], self._end
            if held is not None and _has_more(held):  # it was not the last after all
                deltas.append(self._piece(held, None))
                self._end = Choice(finish_reason=held.finish_reason)
            if choice.finish_reason:  # some say "" until the end
                self._end = choice
            elif _has_more(choice):
                deltas.append(self._piece(choice, answer.usage))
        return deltas

    def end(self) -> Delta:
        """The last piece of a stream that has come to its end.

        Raises:
            Failure: it did not say that it was over; no usage, or one that cannot be true.
        """
        if self._end is None:
            raise Failure("cut")
        self._pieces += bool(self._end.delta.content)
        self._call_pieces += bool(self._end.delta.tool_calls)
        return self._last(self._end.delta.content, self._calls.of(self._end.delta), self._end, self._said)

    def whole(self, body: bytes) -> Delta:
        """A plain answer, which is one piece.

        Raises:
            Failure: as `feed` and `end`.
        """
        answer = decoder.decode(body)
        if answer.error is not None:
            raise Failure("failed")
        if len(answer.choices) != 1:
            raise Failure("lying")
        choice = answer.choices[0]
        self._pieces = int(bool(choice.message.content))
        calls = self._calls.whole(choice.message) if choice.message.tool_calls else ()
        try:
            return self._last(choice.message.content, calls, choice, answer.usage)
        except Failure as failure:
            if failure.instead is not None:
                texts = (failure.instead.text, *(call.arguments for call in failure.instead.tool_calls))
                own = self._reckoning.own(sum(map(len, texts)) // _CHARACTERS_A_TOKEN + 1)
                failure.instead = replace(failure.instead, usage=own)
            raise

    def _hear(self) -> None:
        """Something has come."""
        now = time.monotonic()
        if not self._running.has_begun:
            self._first_s = now
        self._running.hear(now)

    def _piece(self, choice: Choice, said: UsageBody | None) -> Delta:
        """The next piece, with what was used up to it. Several pieces of calls may come of one token."""
        calls = self._calls.of(choice.delta)
        self._pieces += not calls
        self._call_pieces += bool(calls)
        own = self._pieces + self._call_pieces
        usage = self._reckoning.checked(said, self._pieces) if said else self._reckoning.own(own)
        return Delta(choice.delta.content or "", logprobs_of(choice), None, usage, tool_calls=calls)

    def _last(self, text: str | None, calls: tuple[ToolCall, ...], choice: Choice, said: UsageBody | None) -> Delta:
        """The last piece, with the usage of all.

        Raises:
            Failure: no usage, or one that cannot be true.
        """
        timings = EngineTimings(0.0, self._first_s - self._began_s, time.monotonic() - self._first_s)
        reason = _REASONS.get(choice.finish_reason or "")
        if reason is None:
            raise Failure("lying")
        try:
            if said is None:
                raise Failure("lying")
            usage = self._reckoning.checked(said, self._pieces)
        except ImagesLost:
            raise
        except Failure as failure:
            own = self._reckoning.own(self._pieces + self._call_pieces)
            failure.instead = Delta(text or "", logprobs_of(choice), reason, own, timings, calls)
            raise
        return Delta(text or "", logprobs_of(choice), reason, usage, timings, calls)


def _has_more(choice: Choice) -> bool:
    """Whether a chunk has a piece of an answer in it."""
    return bool(choice.delta.content or choice.logprobs or choice.delta.tool_calls)
