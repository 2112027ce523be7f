"""One request to one upstream, from its first byte to its answer's last; pieces out, or a failure of the upstream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

import msgspec
from msgspec.structs import replace

from sightline.core import Delta, EngineTimings, FinishReason, GenerateRequest
from sightline.engines.upstream.client import Broken, Reply, Unreachable
from sightline.engines.upstream.failures import Failure, of_status
from sightline.engines.upstream.reckoning import ImagesLost, Reckoning
from sightline.engines.upstream.server import Exchange, Served, Server
from sightline.engines.upstream.wire import Answer, Choice, EventStream, UsageBody, decoder, logprobs_of
from sightline.errors import EngineError

_CHARACTERS_A_TOKEN = 4
CHAT = "/v1/chat/completions"
_DONE = b"[DONE]"
_REASONS: dict[str, FinishReason] = {"stop": "stop", "length": "length"}
_FILTERED = "The model's server withheld its answer by a filter of its own; nothing was charged."


async def exchange(server: Server, served: Served, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
    """Send a request and yield its answer; closing ends the connection at once, and so the work.

    Raises:
        Failure: the upstream failed.
        ServiceError: it refused the request, and would again.
    """
    body = served.writer.write(request)
    async with _open(server, body, streams=request.stream) as (reply, running):
        reading = _streamed if request.stream else _whole
        async with aclosing(reading(reply, Conversation(request, served, running))) as deltas:
            async for delta in deltas:
                yield delta
        server.did_well()


@asynccontextmanager
async def _open(server: Server, body: bytes, *, streams: bool) -> AsyncIterator[tuple[Reply, Exchange]]:
    """Send a body and hold the exchange among those of the server; what goes wrong becomes a `Failure`."""
    running = Exchange(asyncio.get_running_loop().time(), streams=streams)
    server.exchanges.add(running)
    try:
        async with server.client.send("POST", CHAT, body) as reply:
            if reply.status != 200:
                raise of_status(reply.status, await reply.error())
            yield reply, running
    except Unreachable as error:
        raise Failure("dead") from error
    except (Broken, msgspec.DecodeError, ValueError) as error:
        raise Failure("cut" if isinstance(error, Broken) else "lying") from error
    except asyncio.CancelledError as error:
        if running.was_given_up():
            raise Failure("slow") from error
        raise
    finally:
        server.exchanges.discard(running)


class Conversation:
    """What is known of an answer as it comes."""

    def __init__(self, request: GenerateRequest, served: Served, running: Exchange) -> None:
        self.pieces = 0
        self.running = running
        self._clock = asyncio.get_running_loop().time
        self._began_s = self._first_s = running.heard_s
        self.reckoning = Reckoning(request, served.info)

    def hear(self) -> None:
        """Something has come."""
        now = self._clock()
        if not self.running.has_begun:
            self._first_s = now
        self.running.hear(now)

    def piece(self, choice: Choice, said: UsageBody | None) -> Delta:
        """The next piece, with what was used up to it."""
        self.pieces += 1
        usage = self.reckoning.checked(said, self.pieces) if said else self.reckoning.own(self.pieces)
        return Delta(choice.delta.content or "", logprobs_of(choice), usage=usage)

    def last(self, text: str, choice: Choice, said: UsageBody | None) -> Delta:
        """The last piece, with the usage of all.

        Raises:
            Failure: no usage, or one that cannot be true.
        """
        timings = EngineTimings(0.0, self._first_s - self._began_s, self._clock() - self._first_s)
        reason = _REASONS.get(choice.finish_reason or "")
        if reason is None:
            raise EngineError(_FILTERED) if choice.finish_reason == "content_filter" else Failure("lying")
        made = Delta(text, logprobs_of(choice), reason, self.reckoning.own(self.pieces), timings)
        try:
            if said is None:
                raise Failure("lying")
            return replace(made, usage=self.reckoning.checked(said, self.pieces))
        except ImagesLost:
            raise
        except Failure as failure:
            failure.instead = made
            raise


async def _whole(reply: Reply, talk: Conversation) -> AsyncGenerator[Delta, None]:
    """Read a plain answer."""
    talk.running.hear(talk.running.heard_s)
    answer = decoder.decode(await reply.body())
    if len(answer.choices) != 1:
        raise Failure("lying")
    choice = answer.choices[0]
    text = choice.message.content or ""
    talk.pieces = int(bool(text))
    try:
        last = talk.last(text, choice, answer.usage)
    except Failure as failure:
        if failure.instead is not None:
            own = talk.reckoning.own(len(text) // _CHARACTERS_A_TOKEN + 1)
            failure.instead = replace(failure.instead, usage=own)
        raise
    yield last


async def _streamed(reply: Reply, talk: Conversation) -> AsyncGenerator[Delta, None]:
    """Read a stream: each chunk a piece. The last waits for the usage that comes after it."""
    events = EventStream()
    end: Choice | None = None
    said: UsageBody | None = None
    async with aclosing(reply.chunks()) as chunks:
        async for data in chunks:
            talk.hear()
            for event in events.feed(data):
                if event == _DONE:
                    continue
                answer = decoder.decode(event)
                said = answer.usage or said
                choice = _choice(answer)
                if choice is None:
                    continue
                if choice.finish_reason is not None:
                    end = choice
                elif choice.delta.content or choice.logprobs:
                    yield talk.piece(choice, answer.usage)
    if end is None:
        raise Failure("cut")
    text = end.delta.content or ""
    talk.pieces += bool(text)
    yield talk.last(text, end, said)


def _choice(answer: Answer) -> Choice | None:
    if answer.error is not None:
        raise Failure("failed")
    return answer.choices[0] if answer.choices else None
