"""One request on its way through the pipeline, and where its deltas go.

Created on the event loop, then touched by the stepping thread alone; only `cancel` may come from elsewhere.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from msgspec.structs import replace

from sightline.core import Delta, EngineTimings, FinishReason, Pixels, Usage
from sightline.engines.genai.answer import Answer
from sightline.engines.genai.encoder_cache import FeatureKey, feature_key
from sightline.errors import ServiceError

if TYPE_CHECKING:
    import openvino
    import openvino_genai

PIECES_APART_S = 0.25
"""Where nobody reads an answer before its end: how often a piece is sent all the same: the engine works."""

Event = Delta | ServiceError
"""What a waiting request receives: pieces of its answer, or the failure that ends it."""


@dataclass(frozen=True, slots=True)
class Work:
    """What the pipeline is to do: the prompt, the sampling, and the tokens it takes."""

    prompt: str
    config: openvino_genai.GenerationConfig
    prompt_tokens: int
    image_tokens: int
    max_tokens: int


@dataclass(eq=False, slots=True)
class Job:
    """A request's work, the views of its pictures and what the encoder made of them, its answer and its clock.

    `owner` is whose request it is: features are shared among the requests of one owner only. Where an answer does not
    `stream`, the tokens of many steps make one piece.
    """

    work: Work
    answer: Answer
    events: asyncio.Queue[Event]
    pictures: Sequence[Pixels] = ()
    owner: str = ""
    stream: bool = True
    features: dict[int, openvino.Tensor] = field(default_factory=dict)
    known: int = 0
    """How many of the views had been encoded for an earlier request."""
    encoding_s: float = 0.0
    cancelled: bool = False
    has_spoken: bool = False
    """Whether a piece of its answer has been sent."""
    submitted_s: float = field(default_factory=time.perf_counter)
    admitted_s: float = 0.0
    first_token_s: float = 0.0
    _keys: list[FeatureKey] | None = None
    _held: list[Delta] = field(default_factory=list)
    _sent_s: float = field(default_factory=time.perf_counter)

    @property
    def is_seen(self) -> bool:
        """Whether every view is encoded."""
        return len(self.features) == len(self.pictures)

    @property
    def images(self) -> list[openvino.Tensor]:
        """What the encoder made of each view, in order, once every view is encoded."""
        return [self.features[at] for at in range(len(self.pictures))]

    def unseen(self) -> dict[int, FeatureKey]:
        """Return the views that are still to be encoded, by their number."""
        if self._keys is None:
            self._keys = [feature_key(picture, self.owner) for picture in self.pictures]
        return {at: key for at, key in enumerate(self._keys) if at not in self.features}

    def add(self, token_ids: Sequence[int], logprobs: Sequence[float]) -> Delta | None:
        """Take the tokens of one step; None while there is nothing to send.

        Raises:
            EngineError: see `Answer.feed`.
        """
        if token_ids and not self.first_token_s:
            self.first_token_s = time.perf_counter()
        delta = self.answer.feed(token_ids, logprobs)
        if delta is None:
            return None
        self._held.append(delta)
        if not self.stream and time.perf_counter() - self._sent_s < PIECES_APART_S:
            return None
        return replace(self._release(), usage=self._usage())

    def close(self, reason: FinishReason) -> Delta:
        """Return the last delta.

        Raises:
            EngineError: see `Answer.finish`.
        """
        self._held.append(self.answer.finish(reason) or Delta(""))
        rest = self._release()
        now = time.perf_counter()
        first_token_s = self.first_token_s or now
        return Delta(
            rest.text,
            logprobs=rest.logprobs,
            finish_reason=reason,
            usage=self._usage(),
            timings=EngineTimings(
                queue_s=self.admitted_s - self.submitted_s - self.encoding_s,
                prefill_s=first_token_s - self.admitted_s + self.encoding_s,
                decode_s=now - first_token_s,
            ),
        )

    def _release(self) -> Delta:
        """Return all that is held as one piece."""
        held, self._held = self._held, []
        self._sent_s = time.perf_counter()
        return Delta.join(held)

    def _usage(self) -> Usage:
        work = self.work
        cached_tokens = work.image_tokens * self.known // max(1, len(self.pictures))
        return Usage(work.prompt_tokens, self.answer.completion_tokens, work.image_tokens, cached_tokens)
