"""What one request sets aside before work begins, and what is charged when it has ended, however it ended.

Comes in: a request, its caller, what came of it. Goes out: tokens of the key's minute and a row in the ledger, both
settled on the real counts; a failure costs nothing. Knows nothing of engines or HTTP.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime
from types import TracebackType

import msgspec

from sightline import metrics, traces
from sightline.admission.rate_limits.limiter import LimitReached, RateLimits
from sightline.core import ChatRequest, Delta, ModelInfo, Usage, tenths_of_ms
from sightline.errors import EngineUnavailable, ServiceError
from sightline.ids import new_id
from sightline.images.receipt import ImageReceipt
from sightline.metering.ledger import Entry, IdempotencyKey, Ledger, Outcome
from sightline.metering.meter import Meter
from sightline.metering.prices import Cost, Prices
from sightline.metering.reservation import Reservation
from sightline.pipeline.context import RequestContext, StoredAnswer
from sightline.pipeline.estimate import estimate

_STOPPED = EngineUnavailable("the service stopped before the answer was complete")


class Timings(msgspec.Struct, frozen=True):
    """Where a request's time went, in seconds."""

    queue_s: float
    image_s: float
    prefill_s: float
    decode_s: float

    def in_ms(self) -> dict[str, float]:
        """Rounded to tenths of a millisecond, under names without a unit."""
        return {
            "queue": tenths_of_ms(self.queue_s),
            "image": tenths_of_ms(self.image_s),
            "prefill": tenths_of_ms(self.prefill_s),
            "decode": tenths_of_ms(self.decode_s),
        }


class Accounting:
    """Opens an account for each request. Without a ledger nothing is written down."""

    def __init__(self, prices: Prices, limits: RateLimits, ledger: Ledger | None, assumed_tokens: int) -> None:
        self.prices = prices
        self._limits = limits
        self._ledger = ledger
        self._assumed_tokens = assumed_tokens

    async def replay(self, key_id: str, idempotency_key: IdempotencyKey) -> None:
        """Look for the answer that a request with an Idempotency-Key has had already; see `Ledger.replay`."""
        if self._ledger is not None:
            await self._ledger.replay(key_id, idempotency_key)

    def open(self, request: ChatRequest, model: ModelInfo, context: RequestContext) -> RequestAccounting:
        """Return the account of a request; it begins when it is entered."""
        expected = estimate(request, model, assumed_tokens=self._assumed_tokens)
        reservation = None
        if self._ledger is not None:
            entry = Entry(
                id=new_id("row_"),
                request_id=context.request_id,
                key_id=context.key.id,
                model=model.id,
                created_at=datetime.now(UTC),
                estimated_tokens=expected.total_tokens,
                estimated_nanos=self.prices.cost(model.id, expected).total_nanos,
                limit=context.key.spending,
                idempotency_key=context.idempotency_key,
            )
            reservation = Reservation(self._ledger, entry, streams=request.stream)
        trace = traces.begin(request, model.id, context.request_id, context.traceparent)
        return RequestAccounting(context, model, expected.total_tokens, reservation, self.prices, self._limits, trace)


class RequestAccounting:
    """One request's: entered before work, `confirm`ed before its first byte, `complete`d before its last."""

    def __init__(
        self,
        context: RequestContext,
        model: ModelInfo,
        reserved_tokens: int,
        reservation: Reservation | None,
        prices: Prices,
        limits: RateLimits,
        trace: traces.Trace | None,
    ) -> None:
        self._context = context
        self._model = model
        self._reserved_tokens = reserved_tokens
        self._reservation = reservation
        self._prices = prices
        self._limits = limits
        self._trace = trace
        self._meter = Meter(0)
        self._receipts: Sequence[ImageReceipt] = ()
        self._is_complete = False
        self._began_s = time.monotonic()
        self._has_piece = False

    async def __aenter__(self) -> RequestAccounting:
        """Set aside what the request may take.

        Raises:
            RateLimitExceeded: more tokens than the key's minute has left.
            QuotaExceeded, IdempotencyConflict, Replay, StoreUnavailable: as `Ledger.reserve`.
        """
        key = self._context.key
        try:
            window = await self._limits.reserve_tokens(key.id, key.limits, self._reserved_tokens)
            if window is not None:
                self._context.on_token_limit(window)
        except BaseException as error:
            if isinstance(error, LimitReached):
                self._context.on_token_limit(error.limit_status)
            self._end_trace(Usage(0, 0), error)
            raise
        if self._reservation is not None:
            try:
                await self._reservation.begin()
            except BaseException as error:
                await self._end(error)
                raise
        return self

    def saw(self, receipts: Sequence[ImageReceipt]) -> None:
        """Take note of what the model sees; answers are held to its count of image tokens."""
        if receipts:
            self._receipts = receipts
            metrics.images_taken(sum([receipt.bytes for receipt in receipts]))
            self._meter = Meter(sum([receipt.image_tokens for receipt in receipts]))

    def count(self, deltas: Sequence[Delta], choice: int) -> None:
        """Take note of pieces of answer number `choice`.

        Raises:
            EngineError: see `Meter.count`.
        """
        if not self._has_piece:
            self._has_piece = True
            metrics.first_token(self._model.id, time.monotonic() - self._began_s)
            if self._trace is not None:
                self._trace.first_piece()
        if self._trace is not None and (reason := deltas[-1].finish_reason) is not None:
            self._trace.finished(choice, reason)
        self._meter.count(deltas, choice)

    async def confirm(self) -> None:
        """Return once a piece of the answer may go out; see `Reservation.confirm`.

        Raises: as entering.
        """
        if self._reservation is not None:
            await self._reservation.confirm()

    @property
    def is_confirmed(self) -> bool:
        """Whether `confirm` has nothing to wait for: asked of every piece, so without waiting for an answer."""
        return self._reservation is None or self._reservation.is_confirmed

    def result(self, waited_s: float, image_s: float) -> tuple[Usage, Cost, Timings]:
        """What has been used, what it costs, where the time went: in line, on its images, in the engine."""
        usage, engine_s = self._meter.usage(), self._meter.timings
        timings = Timings(waited_s + engine_s.queue_s, image_s, engine_s.prefill_s, engine_s.decode_s)
        return usage, self._prices.cost(self._model.id, usage), timings

    async def complete(self, usage: Usage, cost: Cost, timings: Timings, answer: StoredAnswer | None) -> None:
        """Settle the answer; its last byte may go out when this returns. `answer` is kept for an Idempotency-Key.

        Raises:
            StoreUnavailable: it could not be written down, so it must not go out.
        """
        if self._reservation is not None:
            ending = Outcome(
                "completed",
                200,
                usage,
                cost,
                images=_digests(self._receipts),
                timings_ms=timings.in_ms(),
                answer=None if answer is None else answer.body,
                media_type=None if answer is None else answer.media_type,
            )
            await self._reservation.complete(ending)
        self._is_complete = True
        metrics.answered(self._model.id, usage, cost.total_nanos)
        self._end_trace(usage)
        await self._settle_tokens(usage.total_tokens)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give back what was reserved if the request came to nothing; charge a client that left for what was made.

        A request that was cancelled for any other reason, as when the service is told to stop at once, costs nothing.
        """
        if error is not None and not self._is_complete:
            await self._end(error)

    async def _end(self, error: BaseException) -> None:
        usage = Usage(0, 0)
        is_cut = isinstance(error, asyncio.CancelledError | GeneratorExit)
        is_cancelled = is_cut and _is_cancelled()
        has_disconnected = self._context.connection.disconnected
        if is_cut and (is_cancelled if has_disconnected is None else has_disconnected):
            usage = self._meter.usage()
            cost = self._prices.cost(self._model.id, usage)
            metrics.answered(self._model.id, usage, cost.total_nanos)
            if self._reservation is not None:
                self._reservation.cancel(usage, cost, _digests(self._receipts))
        else:
            if is_cut:  # by a stop, or by what reads the answer, which failed
                error = _STOPPED if is_cancelled else ServiceError("internal error")
            if self._reservation is not None:
                self._reservation.fail(error if isinstance(error, ServiceError) else ServiceError("internal error"))
        self._end_trace(usage, error)
        await self._settle_tokens(usage.total_tokens)

    def _end_trace(self, usage: Usage, error: BaseException | None = None) -> None:
        if self._trace is not None:
            self._trace.end(usage, error)

    def _settle_tokens(self, used: int) -> Awaitable[None]:
        key = self._context.key
        return self._limits.settle_tokens(key.id, key.limits, self._reserved_tokens, used)


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _digests(receipts: Sequence[ImageReceipt]) -> list[dict[str, str | int]]:
    return [
        {"sha256": receipt.sha256, "width": receipt.width, "height": receipt.height, "bytes": receipt.bytes}
        for receipt in receipts
    ]
