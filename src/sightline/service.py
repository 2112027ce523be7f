"""The pipeline, one readable function: admit → images → engine → meter.

Comes in: a parsed request. Goes out: pieces of its answers, then one `Completed` with what it took. A plain
answer is this stream, collected; closing the stream cancels the work. Knows nothing of HTTP or JSON.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from sightline.account import Accounts, Call, Timings
from sightline.admission.admit import Admission
from sightline.core import ChatRequest, Delta, GenerateRequest, ImageFile, Message, ModelInfo, Usage, ViewPixels
from sightline.engines.base import Engine, at_hand
from sightline.engines.catalogue import Catalogue, check
from sightline.images.receipt import ImageReceipt
from sightline.images.viewer import Viewer
from sightline.metering.prices import Cost
from sightline.reading import Reader, beside


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
        engine, model = self.catalogue.find(request.model, call.key.models)
        check(request, model)
        asked = time.monotonic()
        async with self._admission.admit(model.id, call.key.id, call.key.limits.max_in_flight) as place:
            began = time.monotonic()
            async with self._accounts.open(request, model, call) as account:
                looked = time.monotonic()
                work, receipts = await self._prepare(request, model, call)
                image_s = time.monotonic() - looked
                account.saw(receipts)
                # One answer is read from the engine itself: each generator in between would cost every request.
                source = engine.generate(work) if request.n == 1 else _answers(engine, work, request.n)
                more = at_hand(source)
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
            ServiceError: as `run` would.
        """
        engine, model = self.catalogue.find(request.model, call.key.models)
        check(request, model)
        async with self._admission.visit(call.key.id, call.key.limits.max_in_flight):
            work, receipts = await self._prepare(request, model, call)
            usage = await engine.count(work)
        return Preview(usage, receipts, self.prices.cost(model.id, usage))

    async def _prepare(
        self, request: ChatRequest, model: ModelInfo, call: Call
    ) -> tuple[GenerateRequest, tuple[ImageReceipt, ...]]:
        """Turn images into what `model` sees; the receipt's count goes along, for the engine to check its own by."""
        receipts: tuple[ImageReceipt, ...] = ()
        images: tuple[ViewPixels, ...] = ()
        files: tuple[ImageFile, ...] = ()
        messages = request.messages
        if request.images and model.image:
            seen = await self._viewer.look(request.images, model.image, call.key.id)
            receipts = tuple([one.receipt for one in seen])
            images = tuple([one.shown for one in seen if not isinstance(one.shown, ImageFile)])
            files = tuple([one.shown for one in seen if isinstance(one.shown, ImageFile)])
            if model.read_characters:
                messages, receipts = await self._read(request, receipts, model.read_characters, call)
        work = GenerateRequest(
            request_id=call.request_id,
            model=model.id,
            messages=messages,
            images=images,
            files=files,
            image_tokens=sum([receipt.image_tokens for receipt in receipts]),
            sampling=request.sampling,
            stream=request.stream,
            owner=call.key.id,
        )
        return work, receipts

    async def _read(
        self, request: ChatRequest, receipts: tuple[ImageReceipt, ...], most: int, call: Call
    ) -> tuple[tuple[Message, ...], tuple[ImageReceipt, ...]]:
        """Put the text of each image beside it; the receipts say how much that is."""
        told = [
            await self._reader.read(
                image, receipt.sha256, most, number=number, request_id=call.request_id, owner=call.key.id
            )
            for number, (image, receipt) in enumerate(zip(request.images, receipts, strict=True), start=1)
        ]
        receipts = tuple([receipt.reading(*one) for receipt, one in zip(receipts, told, strict=True)])
        return beside(request.messages, [one.text for one in told]), receipts


async def _answers(engine: Engine, request: GenerateRequest, n: int) -> AsyncGenerator[Pieces, None]:
    """Run `n` answers side by side and yield their pieces as they come; a seed gives each its own.

    Each is read no further than its pieces are taken: a client that reads slowly slows the engine, and fills no memory.
    """
    came: asyncio.Queue[Pieces | asyncio.Task[None]] = asyncio.Queue()
    room = asyncio.Semaphore(n)

    async def answer(choice: int) -> None:
        seed = request.sampling.seed
        sampling = replace(request.sampling, seed=None if seed is None else seed + choice)
        async with aclosing(engine.generate(replace(request, sampling=sampling))) as deltas:
            more = at_hand(deltas)
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
