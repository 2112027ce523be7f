"""The pipeline, one readable function: admit → images → engine → meter.

Comes in: a parsed request. Goes out: pieces of its answers, then one `Completed` with what it took. A plain
answer is this stream, collected; closing the stream cancels the work. Knows nothing of HTTP or JSON.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import msgspec
from msgspec.structs import replace

from sightline.admission.admit import PREVIEWS, Admission
from sightline.core import ChatRequest, EncodedImage, GenerateRequest, ImageFile, Message, ModelInfo, Usage, ViewPixels
from sightline.engines.base import Engine
from sightline.engines.catalogue import Catalogue, check
from sightline.errors import InvalidRequest, ServiceError
from sightline.evidence.page import ReadPage
from sightline.images.preprocessor import Preprocessor
from sightline.images.receipt import ImageReceipt
from sightline.metering.prices import Cost
from sightline.pipeline.accounting import Accounting, Timings
from sightline.pipeline.answer_evidence import AnswerEvidence, ChoiceEvidence
from sightline.pipeline.context import RequestContext, StoredAnswer
from sightline.pipeline.fanout import Pieces, fan_out
from sightline.prompting.build import build_prompt
from sightline.prompting.page_reader import PageReader
from sightline.prompting.page_text import PageText, page_text
from sightline.prompting.prompt_repetition import images_before_repetition


class Completed(msgspec.Struct, frozen=True):
    """The end of a request: what it used, what the model saw, what it costs, how long it took."""

    usage: Usage
    images: tuple[ImageReceipt, ...]
    cost: Cost
    timings: Timings
    evidence: tuple[ChoiceEvidence, ...] | None = None
    pages: tuple[ReadPage, ...] | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """What a request would use, were it carried out: the prompt's tokens, what the model sees, the prompt's cost."""

    usage: Usage
    images: tuple[ImageReceipt, ...]
    cost: Cost


class Pipeline:
    """Answers requests with the engines it is given."""

    def __init__(
        self, catalogue: Catalogue, preprocessor: Preprocessor, admission: Admission, accounting: Accounting
    ) -> None:
        self.catalogue = catalogue
        self.prices = accounting.prices
        self._preprocessor = preprocessor
        self._reader = PageReader(catalogue, preprocessor)
        self._admission = admission
        self._accounting = accounting

    def is_ready(self) -> bool:
        """Whether every engine can answer and the service is not about to stop."""
        return self.catalogue.is_complete() and not self._admission.draining

    async def run(
        self, request: ChatRequest, context: RequestContext
    ) -> AsyncGenerator[Pieces | Completed, StoredAnswer | None]:
        """Carry out one request.

        The request is settled after `Completed`: only when the events have ended may an answer's last byte go out.
        What is sent (`asend`) in answer to `Completed` is kept for the request's Idempotency-Key.

        Raises (at the first piece, or later once it has begun):
            ServiceError: whatever kept it from being carried out; nothing was charged.
            Replay: the caller's Idempotency-Key has an answer already.
        """
        with self._admission.admit(context.key.id, context.key.limits.max_in_flight) as permit:
            if context.idempotency_key is not None:
                await self._accounting.replay(context.key.id, context.idempotency_key)
            engine, model = self.catalogue.find(request.model, context.key.models)
            check(request, model)
            queued_at = time.monotonic()
            await permit.acquire(model.id, request.n)
            queue_s = time.monotonic() - queued_at
            async with self._accounting.open(request, model, context) as accounting:
                prepare_began = time.monotonic()
                prepared = await self._prepare(request, model, context)
                image_s = time.monotonic() - prepare_began
                receipts = prepared.receipts
                accounting.saw(receipts)
                work = _work(request, model, context, prepared)
                answers = _generate(engine, work, request.n, permit.release)
                del work, prepared  # their pixels are the engine's, and a slow reader is not to keep them
                async with aclosing(answers), self._looking_up(request, context) as gathered:
                    async for pieces in answers:
                        accounting.count(pieces.deltas, pieces.choice)
                        if not accounting.is_confirmed:
                            await accounting.confirm()
                        gathered.add(pieces)
                        yield pieces
                    permit.release()
                    pages = await gathered.pages()
                    evidence = await gathered.evidence()
                usage, cost, timings = accounting.result(queue_s, image_s)
                answer = yield Completed(usage, receipts, cost, timings, evidence, pages)
                await accounting.complete(usage, cost, timings, answer)

    async def preview(self, request: ChatRequest, context: RequestContext) -> Preview:
        """Say what a request would use without running the model; refuses what `run` would refuse.

        Raises:
            ServiceError: as `run` would, but what is wrong with pictures and with what the model lacks together.
        """
        engine, model = self.catalogue.find(request.model, context.key.models)
        lacks = _lack(request, model)
        try:
            with self._admission.admit(context.key.id, context.key.limits.max_in_flight) as permit:
                # A queue for each model: one that does not answer holds up its own previews alone.
                await permit.acquire(model.id + PREVIEWS)
                prepared = await self._prepare(request, model, context)
                if lacks is not None:
                    raise lacks
                usage = await engine.count(_work(request, model, context, prepared))
        except ServiceError as error:
            if lacks is None or error is lacks:
                raise
            # To come back later would not help.
            raise (InvalidRequest.together([lacks, error]) if isinstance(error, InvalidRequest) else lacks) from None
        return Preview(usage, prepared.receipts, self.prices.cost(model.id, usage))

    @asynccontextmanager
    async def _looking_up(self, request: ChatRequest, context: RequestContext) -> AsyncGenerator[AnswerEvidence, None]:
        """Read the request's pictures while the model runs, where its answer is to carry evidence or lines."""
        if not (request.evidence or request.lines):
            yield AnswerEvidence(request, None)
            return
        if request.images:
            self._reader.transcriber()  # before the model works, for an answer that could not carry what was asked
        reading = asyncio.create_task(self._read(request.images, context))
        try:
            yield AnswerEvidence(request, reading)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _prepare(self, request: ChatRequest, model: ModelInfo, context: RequestContext) -> _Prepared:
        """Turn images into what `model` sees, and add to the prompt what the model asks for."""
        messages = request.messages
        if not model.image or not request.images:
            return _Prepared(messages)
        prepared = await self._preprocessor.prepare(request.images, model.image, context.key.id)
        receipts = tuple([one.receipt for one in prepared])
        images = tuple([one.shown for one in prepared if not isinstance(one.shown, ImageFile)])
        files = tuple([one.shown for one in prepared if isinstance(one.shown, ImageFile)])
        if model.upstream_ocr_chars:
            receipts = tuple([receipt.upstream_ocr_chars(model.upstream_ocr_chars) for receipt in receipts])
        if model.prompt_repetition or model.upstream_prompt_repetition:
            receipts = _followed(receipts, images_before_repetition(messages))
        page_texts: list[PageText] = []
        if model.ocr_max_chars:
            limit = None if request.evidence or request.lines else model.ocr_max_chars
            pages = await self._read(request.images, context, limit)
            page_texts = [page_text(page, model.ocr_max_chars) for page in pages]
            receipts = tuple([one.reading(*text) for one, text in zip(receipts, page_texts, strict=True)])
        messages = build_prompt(messages, model, [page.text for page in page_texts])
        return _Prepared(messages, receipts, images, files)

    async def _read(
        self, images: Sequence[EncodedImage], context: RequestContext, max_chars: int | None = None
    ) -> list[ReadPage]:
        """Read the text of each image, one after the other."""
        read = partial(self._reader.read, request_id=context.request_id, owner=context.key.id, max_chars=max_chars)
        return [await read(image, number=number) for number, image in enumerate(images, start=1)]


class _Prepared(msgspec.Struct, frozen=True, eq=False):
    """What a model is given of a request's messages and images, and the receipts of these."""

    messages: tuple[Message, ...]
    receipts: tuple[ImageReceipt, ...] = ()
    images: tuple[ViewPixels, ...] = ()
    files: tuple[ImageFile, ...] = ()


def _work(request: ChatRequest, model: ModelInfo, context: RequestContext, prepared: _Prepared) -> GenerateRequest:
    """What the engine gets; the receipts' count of image tokens goes along, for it to check its own by."""
    sampling = request.sampling
    if model.temperature != sampling.temperature and "temperature" not in request.params_sent:
        sampling = replace(sampling, temperature=model.temperature)
    return GenerateRequest(
        request_id=context.request_id,
        model=model.id,
        messages=prepared.messages,
        images=prepared.images,
        files=prepared.files,
        image_tokens=sum([receipt.image_tokens for receipt in prepared.receipts]) if prepared.receipts else 0,
        sampling=sampling,
        stream=request.stream,
        owner=context.key.id,
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


async def _generate(
    engine: Engine, work: GenerateRequest, n: int, on_complete: Callable[[], None]
) -> AsyncGenerator[Pieces, None]:
    """Yield the pieces of `n` answers; `on_complete` is called once all are made, however slowly they are read."""
    if n > 1:
        async with aclosing(fan_out(engine, work, n, on_complete)) as answers:
            del work
            async for pieces in answers:
                yield pieces
        return
    async with aclosing(engine.generate(work)) as deltas:
        del work
        deltas.on_complete(on_complete)
        async for delta in deltas:
            yield Pieces(0, (delta, *deltas.drain_ready()))
