"""The pipeline, one readable function: admit → images → engine → meter.

Comes in: a parsed request. Goes out: pieces of its answers, then one `Completed` with what it took. A plain
answer is this stream, collected; closing the stream cancels the work. Knows nothing of HTTP or JSON.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from sightline.account import Accounts, Call, Timings
from sightline.admission.admit import PREVIEWS, Admission
from sightline.core import ChatRequest, Delta, GenerateRequest, ImageFile, Message, ModelInfo, Usage, ViewPixels
from sightline.engines.base import Engine, at_hand, when_made
from sightline.engines.catalogue import Catalogue, check
from sightline.errors import InvalidRequest, ServiceError
from sightline.images.receipt import ImageReceipt
from sightline.images.viewer import Viewer
from sightline.metering.prices import Cost
from sightline.reading import Reader, beside
from sightline.repeating import again, images_followed

_MOST_PIXEL_BYTES = 32 << 20
"""That the answers to one request may take to their engine at once."""


class Pieces(msgspec.Struct, frozen=True):
    """The next pieces of answer number `choice` (0-based): at least one, and those that came together with it."""

    choice: int
    deltas: Sequence[Delta]


class Completed(msgspec.Struct, frozen=True):
    """The end of a request: what it used, what the model saw, what it costs, how long it took."""

    usage: Usage
    images: tuple[ImageReceipt, ...]
    cost: Cost
    timings: Timings


@dataclass(frozen=True, slots=True)
class Preview:
    """What a request would use, were it carried out: the prompt's tokens, what the model sees, the prompt's cost."""

    usage: Usage
    images: tuple[ImageReceipt, ...]
    cost: Cost


class Service:
    """Answers requests with the engines it is given."""

    def __init__(self, catalogue: Catalogue, viewer: Viewer, admission: Admission, accounts: Accounts) -> None:
        self.catalogue = catalogue
        self.prices = accounts.prices
        self._viewer = viewer
        self._reader = Reader(catalogue, viewer)
        self._admission = admission
        self._accounts = accounts

    def is_ready(self) -> bool:
        """Whether every engine can answer and the service is not about to stop."""
        return self.catalogue.is_complete() and not self._admission.draining

    async def run(self, request: ChatRequest, call: Call) -> AsyncGenerator[Pieces | Completed, None]:
        """Carry out one request.

        The request is settled after `Completed`: only when the events have ended may an answer's last byte go out.

        Raises (at the first piece, or later once it has begun):
            ServiceError: whatever kept it from being carried out; nothing was charged.
            Replay: the caller's Idempotency-Key has an answer already.
        """
        if call.once is not None:
            with self._admission.hold(call.key.id, call.key.limits.max_in_flight):
                await self._accounts.replay(call.key.id, call.once)
        engine, model = self.catalogue.find(request.model, call.key.models)
        check(request, model)
        asked = time.monotonic()
        most = call.key.limits.max_in_flight
        async with self._admission.admit(model.id, call.key.id, most, places=request.n) as place:
            began = time.monotonic()
            async with self._accounts.open(request, model, call) as account:
                looked = time.monotonic()
                seen = await self._see(request, model, call) if request.images else _Seen(request.messages)
                image_s = time.monotonic() - looked
                account.saw(seen.receipts)
                work = _work(request, model, call, seen)
                # One answer is read from the engine itself: each generator in between would cost every request.
                source = engine.generate(work) if request.n == 1 else _answers(engine, work, request.n, place.leave)
                receipts = seen.receipts
                del work, seen  # their pixels are the engine's, and a slow reader is not to keep them
                more = at_hand(source)
                when_made(source, place.leave)  # a client that reads slowly keeps the model from nobody
                try:
                    async for came in source:
                        pieces = Pieces(0, (came, *more())) if isinstance(came, Delta) else came
                        account.count(pieces.deltas, pieces.choice)
                        if not account.is_confirmed:
                            await account.confirm()
                        yield pieces
                finally:
                    await source.aclose()
                place.leave()
                usage, cost, timings = account.result(began - asked, image_s)
                yield Completed(usage, receipts, cost, timings)
                await account.complete(usage, cost, timings)

    async def preview(self, request: ChatRequest, call: Call) -> Preview:
        """Say what a request would use without running the model; refuses what `run` would refuse.

        Raises:
            ServiceError: as `run` would, but what is wrong with pictures and with what the model lacks together.
        """
        engine, model = self.catalogue.find(request.model, call.key.models)
        lacks = _lack(request, model)
        # A line for each model: one that does not answer holds up its own previews alone.
        line = model.id + PREVIEWS
        try:
            async with self._admission.admit(line, call.key.id, call.key.limits.max_in_flight):
                seen = await self._see(request, model, call) if request.images else _Seen(request.messages)
                if lacks is not None:
                    raise lacks
                usage = await engine.count(_work(request, model, call, seen))
        except ServiceError as error:
            if lacks is None or error is lacks:
                raise
            # To come back later would not help.
            raise (InvalidRequest.together([lacks, error]) if isinstance(error, InvalidRequest) else lacks) from None
        return Preview(usage, seen.receipts, self.prices.cost(model.id, usage))

    async def _see(self, request: ChatRequest, model: ModelInfo, call: Call) -> _Seen:
        """Turn images into what `model` sees."""
        messages = request.messages
        if not model.image:
            return _Seen(messages)
        seen = await self._viewer.look(request.images, model.image, call.key.id)
        receipts = tuple([one.receipt for one in seen])
        images = tuple([one.shown for one in seen if not isinstance(one.shown, ImageFile)])
        files = tuple([one.shown for one in seen if isinstance(one.shown, ImageFile)])
        if model.read_there:
            receipts = tuple([receipt.read_there(model.read_there) for receipt in receipts])
        if model.repeats_question or model.repeated_there:
            receipts = _followed(receipts, images_followed(messages))
        if model.repeats_question:
            messages = again(messages)
        if model.read_characters:
            messages, receipts = await self._read(request, messages, receipts, model.read_characters, call)
        return _Seen(messages, receipts, images, files)

    async def _read(
        self,
        request: ChatRequest,
        messages: tuple[Message, ...],
        receipts: tuple[ImageReceipt, ...],
        most: int,
        call: Call,
    ) -> tuple[tuple[Message, ...], tuple[ImageReceipt, ...]]:
        """Put the text of each image beside it; the receipts say how much that is."""
        told = [
            await self._reader.read(
                image, receipt.sha256, most, number=number, request_id=call.request_id, owner=call.key.id
            )
            for number, (image, receipt) in enumerate(zip(request.images, receipts, strict=True), start=1)
        ]
        receipts = tuple([receipt.reading(*one) for receipt, one in zip(receipts, told, strict=True)])
        return beside(messages, [one.text for one in told]), receipts


class _Seen(msgspec.Struct, frozen=True, eq=False):
    """What a model is given of a request's messages and images, and the receipts of these."""

    messages: tuple[Message, ...]
    receipts: tuple[ImageReceipt, ...] = ()
    images: tuple[ViewPixels, ...] = ()
    files: tuple[ImageFile, ...] = ()


def _work(request: ChatRequest, model: ModelInfo, call: Call, seen: _Seen) -> GenerateRequest:
    """What the engine gets; the receipts' count of image tokens goes along, for it to check its own by."""
    sampling = request.sampling
    if model.temperature != sampling.temperature and "temperature" not in request.params_sent:
        sampling = replace(sampling, temperature=model.temperature)
    return GenerateRequest(
        request_id=call.request_id,
        model=model.id,
        messages=seen.messages,
        images=seen.images,
        files=seen.files,
        image_tokens=sum([receipt.image_tokens for receipt in seen.receipts]) if seen.receipts else 0,
        sampling=sampling,
        stream=request.stream,
        owner=call.key.id,
        tools=request.tools,
    )


def _lack(request: ChatRequest, model: ModelInfo) -> InvalidRequest | None:
    """What a model lacks that a request asks for."""
    try:
        check(request, model)
    except InvalidRequest as error:
        return error
    return None


def _followed(receipts: tuple[ImageReceipt, ...], images: Collection[int]) -> tuple[ImageReceipt, ...]:
    """The receipts, those of `images` with what is said again behind these."""
    return tuple([receipt.followed() if at in images else receipt for at, receipt in enumerate(receipts)])


class _Turns:
    """Which of several answers are made, a few at once; `all_made` is called when all are."""

    def __init__(self, answers: int, at_once: int, all_made: Callable[[], None]) -> None:
        self._unmade = answers
        self._places = asyncio.Semaphore(at_once)
        self._all_made = all_made

    @asynccontextmanager
    async def next(self) -> AsyncIterator[Callable[[], None]]:
        """Wait until one more may be made; what this gives is to be called when it is, at the latest at the end."""
        await self._places.acquire()
        is_made = False

        def made() -> None:
            nonlocal is_made
            if not is_made:
                is_made = True
                self._end()

        try:
            yield made
        finally:
            made()

    def _end(self) -> None:
        self._places.release()
        self._unmade -= 1
        if not self._unmade:
            self._all_made()


async def _answers(
    engine: Engine, request: GenerateRequest, n: int, all_made: Callable[[], None]
) -> AsyncGenerator[Pieces, None]:
    """Run `n` answers side by side and yield their pieces as they come; a seed gives each its own.

    Each takes the pixels along, so of large pictures few are made at once. Each is read no further than its pieces are
    taken: who reads slowly slows an engine that waits for its reader, and of one that does not, the pieces that wait
    are joined. `all_made` is called when all answers are made.
    """
    came: asyncio.Queue[Pieces | asyncio.Task[None]] = asyncio.Queue()
    room = asyncio.Semaphore(n)
    pixel_bytes = sum(view.nbytes for views_ in request.images for view in views_)
    turns = _Turns(n, max(1, min(n, _MOST_PIXEL_BYTES // max(1, pixel_bytes))), all_made)
    seed = request.sampling.seed
    samplings = [replace(request.sampling, seed=None if seed is None else seed + choice) for choice in range(n)]
    waiting = {choice: replace(request, sampling=sampling) for choice, sampling in enumerate(samplings)}
    del request

    async def answer(choice: int) -> None:
        async with turns.next() as made, aclosing(engine.generate(waiting.pop(choice))) as deltas:
            more = at_hand(deltas)
            when_made(deltas, made)
            async for delta in deltas:
                await room.acquire()
                came.put_nowait(Pieces(choice, (delta, *more())))

    tasks = [asyncio.create_task(answer(choice)) for choice in range(n)]
    for task in tasks:
        task.add_done_callback(came.put_nowait)
    try:
        left = n
        while left:
            pieces = await came.get()
            if isinstance(pieces, Pieces):
                yield pieces
                room.release()
            else:
                pieces.result()  # raises what ended this answer early
                left -= 1
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
