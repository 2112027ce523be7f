"""One request to one upstream, from its first byte to its answer's last; pieces out, or a failure of the upstream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from types import TracebackType

import msgspec
from msgspec.structs import replace

from sightline.core import Delta, EngineTimings, FinishReason, GenerateRequest
from sightline.engines.upstream.body import Pieces
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
    async with _Asking(server, body, streams=request.stream) as asking:
        talk = Conversation(request, served, asking.running)
        if request.stream:
            while data := await asking.reply.read():
                for delta in talk.feed(data):
                    yield delta
            yield talk.end()
        else:
            asking.running.hear(asking.running.heard_s)
            yield talk.whole(await asking.reply.body())
        server.did_well()


class _Asking:
    """A body that was sent and the reply to it, held among the exchanges of the server.

    What goes wrong within becomes a `Failure`. A class: of the two generators that it would be, each costs a request
    as much as reading its answer.
    """

    reply: Reply

    def __init__(self, server: Server, body: Pieces, *, streams: bool) -> None:
        self.running = Exchange(asyncio.get_running_loop().time(), streams=streams)
        self._server = server
        self._sending = server.client.send("POST", CHAT, body)

    async def __aenter__(self) -> _Asking:
        self._server.exchanges.add(self.running)
        try:
            self.reply = await self._sending.__aenter__()
            if self.reply.status != 200:
                raise of_status(self.reply.status, await self.reply.error())
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.exchanges.discard(self.running)
        await self._sending.__aexit__(kind, error, trace)
        if error is not None:
            self._explain(error)

    def _explain(self, error: BaseException) -> None:
        """Raise the `Failure` that `error` means, if it means one."""
        if isinstance(error, Unreachable):
            raise Failure("dead") from error
        if isinstance(error, Broken):
            raise Failure("cut") from error
        if isinstance(error, msgspec.DecodeError | ValueError):
            raise Failure("lying") from error
        if isinstance(error, asyncio.CancelledError) and self.running.was_given_up():
            raise Failure("slow") from error


class Conversation:
    """Makes pieces of an answer out of its bytes: of a plain one by `whole`, of a stream by `feed` and `end`."""

    def __init__(self, request: GenerateRequest, served: Served, running: Exchange) -> None:
        self._pieces = 0
        self._running = running
        self._clock = asyncio.get_running_loop().time
        self._began_s = self._first_s = running.heard_s
        self._reckoning = Reckoning(request, served.info)
        self._events = EventStream()
        self._end: Choice | None = None
        self._said: UsageBody | None = None

    def feed(self, data: bytes) -> list[Delta]:
        """Take what has come of a stream; each chunk is a piece. The last waits for the usage that comes after it.

        Raises:
            Failure: the server says that it failed.
        """
        self._hear()
        deltas = []
        for event in self._events.feed(data):
            if event == _DONE:
                continue
            answer = decoder.decode(event)
            self._said = answer.usage or self._said
            choice = _choice(answer)
            if choice is None:
                continue
            if choice.finish_reason is not None:
                self._end = choice
            elif choice.delta.content or choice.logprobs:
                deltas.append(self._piece(choice, answer.usage))
        return deltas

    def end(self) -> Delta:
        """The last piece of a stream that has come to its end.

        Raises:
            Failure: it did not say that it was over; no usage, or one that cannot be true.
        """
        if self._end is None:
            raise Failure("cut")
        text = self._end.delta.content or ""
        self._pieces += bool(text)
        return self._last(text, self._end, self._said)

    def whole(self, body: bytes) -> Delta:
        """A plain answer, which is one piece.

        Raises:
            Failure: as `end`.
        """
        answer = decoder.decode(body)
        if len(answer.choices) != 1:
            raise Failure("lying")
        choice = answer.choices[0]
        text = choice.message.content or ""
        self._pieces = int(bool(text))
        try:
            return self._last(text, choice, answer.usage)
        except Failure as failure:
            if failure.instead is not None:
                own = self._reckoning.own(len(text) // _CHARACTERS_A_TOKEN + 1)
                failure.instead = replace(failure.instead, usage=own)
            raise

    def _hear(self) -> None:
        """Something has come."""
        now = self._clock()
        if not self._running.has_begun:
            self._first_s = now
        self._running.hear(now)

    def _piece(self, choice: Choice, said: UsageBody | None) -> Delta:
        """The next piece, with what was used up to it."""
        self._pieces += 1
        usage = self._reckoning.checked(said, self._pieces) if said else self._reckoning.own(self._pieces)
        return Delta(choice.delta.content or "", logprobs_of(choice), usage=usage)

    def _last(self, text: str, choice: Choice, said: UsageBody | None) -> Delta:
        """The last piece, with the usage of all.

        Raises:
            Failure: no usage, or one that cannot be true.
        """
        timings = EngineTimings(0.0, self._first_s - self._began_s, self._clock() - self._first_s)
        reason = _REASONS.get(choice.finish_reason or "")
        if reason is None:
            raise EngineError(_FILTERED) if choice.finish_reason == "content_filter" else Failure("lying")
        made = Delta(text, logprobs_of(choice), reason, self._reckoning.own(self._pieces), timings)
        try:
            if said is None:
                raise Failure("lying")
            return replace(made, usage=self._reckoning.checked(said, self._pieces))
        except ImagesLost:
            raise
        except Failure as failure:
            failure.instead = made
            raise


def _choice(answer: Answer) -> Choice | None:
    if answer.error is not None:
        raise Failure("failed")
    return answer.choices[0] if answer.choices else None
