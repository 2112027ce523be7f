"""The thread that steps the pipeline: encodes images and admits requests between steps, carries tokens out.

In: `Job`s from the event loop. Out: events on each job's queue, delivered in one wake-up a step. Deliberately knows
nothing of messages, templates or models.

Two rules keep it right. A prompt enters whole, in one step: image tokens attend to each other in both directions,
which a prompt cut in two would lose. And a request is admitted only when the cache has room for its prompt and
its longest answer, so that the pipeline never has to evict a running request or give one up.
"""

from __future__ import annotations

import asyncio
import threading
import time
import warnings
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from openvino import Tensor
from openvino_genai import GenerationFinishReason, GenerationStatus

from sightline.core import Pixels
from sightline.engines.genai.encoder_cache import EncoderCache, FeatureKey
from sightline.engines.genai.job import Event, Job
from sightline.engines.genai.vision import VisionEncoder, tag
from sightline.errors import EngineError, EngineUnavailable, ServiceError
from sightline.log import get_logger

if TYPE_CHECKING:
    import openvino_genai
    from openvino_genai.py_openvino_genai import GenerationHandle

log = get_logger(__name__)

PIPELINE_FAILURES = (RuntimeError, ValueError, IndexError, MemoryError, OverflowError)
"""What OpenVINO GenAI raises: std::exception and its children as pybind11 translates them."""
FORGET_EVERY = 64
"""Requests after which the pipeline is made to forget their prompts."""
HEARING_S = 0.002
"""The longest that the next step waits until the event loop has passed on what came of the last one."""
BLOCK_TOKENS = 32
"""Tokens a block of the cache holds, on a CPU."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """What fits: requests running at once, tokens of one step, blocks of the cache."""

    running: int
    step_tokens: int
    blocks: int


class Load(NamedTuple):
    """Requests that hold a slot of the pipeline, one given up until it is dropped; and those waiting for a slot."""

    running: int
    waiting: int


class EngineLoop:
    """Runs jobs on one pipeline in a thread of its own.

    Made on the event loop that its jobs live on. `submit`, `cancel`, `load` and `stop` may be called from there; none
    waits for a step by itself (the pipeline's own binding holds the interpreter lock while it steps).
    """

    def __init__(
        self,
        pipeline: openvino_genai.ContinuousBatchingPipeline,
        vision: VisionEncoder,
        capacity: Capacity,
        encoder_cache: EncoderCache,
    ) -> None:
        self.steps = 0
        self.is_alive = True
        self._pipeline = pipeline
        self._vision = vision
        self._capacity = capacity
        self._encoder_cache = encoder_cache
        self._loop = asyncio.get_running_loop()
        self._inbox: deque[Job] = deque()
        self._wake = threading.Event()
        self._stopping = False
        self._waiting: deque[Job] = deque()
        self._running: dict[Job, GenerationHandle] = {}
        self._leaving: list[Job] = []
        """Given up while they ran: the pipeline has their slots and blocks until the next step has ended."""
        self._outbox: list[tuple[asyncio.Queue[Event], Event]] = []
        self._entered = 0
        self._thread = threading.Thread(target=self._run, name="genai-steps", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Queue a job; its events arrive on `job.events`.

        Raises:
            EngineUnavailable: the thread has ended.
        """
        if not self.is_alive or self._stopping:
            raise EngineUnavailable("the model is not running")
        self._inbox.append(job)
        self._wake.set()

    def cancel(self, job: Job) -> None:
        """Give up a job wherever it is; its slot is free before the next step ends. No event follows."""
        job.cancelled = True
        self._wake.set()

    def load(self) -> Load:
        """Return how many jobs hold a slot of the pipeline and how many wait for one."""
        waiting = sum(not job.cancelled for job in [*self._inbox, *self._waiting])
        return Load(len(self._running), waiting)

    async def stop(self) -> None:
        """End the thread; jobs not finished receive `EngineUnavailable`."""
        self._stopping = True
        self._wake.set()
        while self._thread.is_alive():
            await asyncio.sleep(0.002)

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._wait_for_work()
                self._drop_cancelled()
                self._encode_waiting()
                self._admit()
                self._step()
                self._deliver()
            self._release()
        except PIPELINE_FAILURES as error:
            # A step that fails leaves the batch in an unknown state: all of it is lost, and the engine with it.
            log.error("pipeline_failed", error=type(error).__name__, where=str(error)[:200])
        finally:
            self._end()

    def _release(self) -> None:
        """Have the pipeline free what running requests hold: a step drops those that were cancelled."""
        for handle in self._running.values():
            handle.cancel()
        if self._pipeline.has_non_finished_requests():
            self._pipeline.step()

    def _end(self) -> None:
        self.is_alive = False
        unfinished = [*self._running, *self._waiting, *self._inbox]
        self._running.clear()
        self._waiting.clear()
        for job in unfinished:
            self._send(job, EngineUnavailable("the model stopped before the answer was complete", retry_after_s=2))
        self._deliver()

    def _wait_for_work(self) -> None:
        if not self._running and not self._waiting and not self._inbox:
            self._wake.wait()
        else:
            # The step held the interpreter lock; whoever waits for it goes first.
            time.sleep(0)
        self._wake.clear()
        while self._inbox:
            self._waiting.append(self._inbox.popleft())

    def _drop_cancelled(self) -> None:
        for job in [job for job in self._running if job.cancelled]:
            self._running.pop(job).cancel()
            self._leaving.append(job)
        if any(job.cancelled for job in self._waiting):
            self._waiting = deque(job for job in self._waiting if not job.cancelled)

    def _encode_waiting(self) -> None:
        """Encode views of the first waiting jobs, as one batch; of no more jobs than slots are free.

        A view that is held or comes twice is not encoded again. What is beyond a batch, be it the rest of one job's
        many views, is left for after the next step.
        """
        slots = self._capacity.running - len(self._running)
        jobs = [job for job in islice(self._waiting, slots) if not job.is_encoded]
        began_s = time.perf_counter()
        batch: dict[FeatureKey, Pixels] = {}
        for job in jobs:
            for key, view in zip(job.keys, job.views, strict=True):
                if key in job.features:
                    continue
                features = self._encoder_cache.get(key)
                if features is not None:
                    job.features[key] = features
                    job.known += job.keys.count(key)
                elif key in batch or len(batch) < self._vision.most_at_once:
                    batch[key] = view
        if batch:
            self._encode(batch, jobs)
        for job in jobs:
            job.encoding_s += time.perf_counter() - began_s

    def _encode(self, batch: dict[FeatureKey, Pixels], jobs: Sequence[Job]) -> None:
        """Encode a batch, keep what comes of it, and give each of the waiting jobs its part; a failure ends them."""
        try:
            packed = self._vision.encode(list(batch.values()))
        except RuntimeError as error:
            log.warning("pictures_refused_by_vision_model", error=type(error).__name__)
            for job in jobs:
                if not batch.keys().isdisjoint(job.keys):
                    self._waiting.remove(job)
                    self._send(job, EngineError("the model could not look at the image"))
            return
        fresh: dict[FeatureKey, Tensor] = {}
        for key, features in zip(batch, packed, strict=True):
            tag(features, key.sha256)
            fresh[key] = Tensor(features[np.newaxis])
            self._encoder_cache.put(key, fresh[key])
        for job in jobs:
            job.features |= {key: fresh[key] for key in job.keys if key in fresh}

    def _admit(self) -> None:
        """Move waiting jobs into the pipeline, in order, as far as slots, cache and one step's tokens allow."""
        fresh_tokens = 0
        while self._waiting and self._waiting[0].is_encoded and self._fits(self._waiting[0], fresh_tokens):
            job = self._waiting.popleft()
            self._enter(job)
            fresh_tokens += job.prompt_tokens

    def _fits(self, job: Job, fresh_tokens: int) -> bool:
        holding = [*self._running, *self._leaving]
        used = sum(_blocks(other) for other in holding)
        return (
            len(holding) < self._capacity.running
            and used + _blocks(job) <= self._capacity.blocks
            and fresh_tokens + job.prompt_tokens + len(self._running) <= self._capacity.step_tokens
        )

    def _enter(self, job: Job) -> None:
        job.admitted_s = time.perf_counter()
        images = [job.features[key] for key in job.keys]
        try:
            handle = self._pipeline.add_request(self._entered, job.prompt, images, job.config)
        except PIPELINE_FAILURES as error:
            log.warning("request_refused_by_pipeline", error=type(error).__name__)
            self._send(job, EngineError("the model could not take this request"))
            return
        self._running[job] = handle
        self._entered += 1
        if self._entered % FORGET_EVERY == 0:
            _forget_prompts(self._pipeline)

    def _step(self) -> None:
        if not self._pipeline.has_non_finished_requests():
            self._leaving.clear()
            return
        self.steps += 1
        self._pipeline.step()
        self._leaving.clear()
        for job, handle in list(self._running.items()):
            try:
                self._collect(job, handle)
            except ServiceError as error:
                self._finish(job, error)

    def _collect(self, job: Job, handle: GenerationHandle) -> None:
        """Pass on what the step made for one job."""
        reason = None
        while handle.can_read():
            for output in handle.read().values():
                delta = job.add(output.generated_ids, output.generated_log_probs)
                if delta is not None:
                    self._send(job, delta)
                reason = output.finish_reason
        if job.answer.finish_reason is not None:
            self._finish(job, job.close("stop"))
        elif handle.get_status() == GenerationStatus.FINISHED:
            self._finish(job, job.close("length" if reason == GenerationFinishReason.LENGTH else "stop"))
        elif handle.get_status() != GenerationStatus.RUNNING:
            raise EngineError("the model gave up this request for want of memory")

    def _finish(self, job: Job, last: Event) -> None:
        """Take a job out; its slot in the pipeline is free when the next step ends, if it is not already."""
        handle = self._running.pop(job)
        if handle.get_status() == GenerationStatus.RUNNING:
            self._leaving.append(job)
        handle.cancel()
        self._send(job, last)

    def _send(self, job: Job, event: Event) -> None:
        if not job.cancelled:
            self._outbox.append((job.events, event))

    def _deliver(self) -> None:
        if not self._outbox:
            return
        outbox, self._outbox = self._outbox, []
        # Once the loop is closed nobody is left to hear.
        if self._loop.is_closed():
            return
        heard = threading.Event()
        self._loop.call_soon_threadsafe(_hand_over, outbox, self._loop, heard)
        if self._running:
            # The next step holds the interpreter lock, by which the loop would lose the race to send this first.
            heard.wait(HEARING_S)


def _hand_over(
    outbox: Sequence[tuple[asyncio.Queue[Event], Event]], loop: asyncio.AbstractEventLoop, heard: threading.Event
) -> None:
    for queue, event in outbox:
        queue.put_nowait(event)
    # In the next turn the readers wake up and pass their pieces on, at whose end they are sent.
    loop.call_soon(loop.call_soon, heard.set)


def _forget_prompts(pipeline: openvino_genai.ContinuousBatchingPipeline) -> None:
    """Empty the list in which the pipeline keeps every prompt token it ever read (16 bytes each, for ever).

    What `finish_chat` does beside is private to openvino-genai, whose version is bounded in pyproject.toml.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pipeline.finish_chat()


def _blocks(job: Job) -> int:
    """Return the blocks a job may come to hold: its prompt and its longest answer, the last block begun."""
    return (job.prompt_tokens + job.max_tokens) // BLOCK_TOKENS + 1
