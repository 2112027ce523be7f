"""One request on its way through the pipeline, and where its deltas go.

Created on the event loop, then touched by the stepping thread alone; only `cancel` may come from elsewhere.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from msgspec.structs import replace

from sightline.core import Delta, EngineTimings, FinishReason, Pixels, Usage
from sightline.engines.genai.answer import Answer
from sightline.engines.genai.encoder_cache import FeatureKey, feature_key
from sightline.errors import ServiceError

if TYPE_CHECKING:
    import openvino
    import openvino_genai

Event = Delta | ServiceError
"""What a waiting request receives: pieces of its answer, or the failure that ends it."""


@dataclass(eq=False)
class Job:
    """What the pipeline is to do, the views of its images and what the encoder made of them, its answer and its clock.

    `max_tokens` is of the answer. `owner` is whose request it is: features are shared among the requests of one owner
    only.
    """

    prompt: str
    config: openvino_genai.GenerationConfig
    prompt_tokens: int
    image_tokens: int
    max_tokens: int
    answer: Answer
    views: Sequence[Pixels] = ()
    owner: str = ""
    events: asyncio.Queue[Event] = field(default_factory=asyncio.Queue)
    features: dict[FeatureKey, openvino.Tensor] = field(default_factory=dict)
    known: int = 0
    """How many of the views had been encoded for an earlier request."""
    encoding_s: float = 0.0
    cancelled: bool = False
    submitted_s: float = field(default_factory=time.perf_counter)
    admitted_s: float = 0.0
    first_token_s: float = 0.0

    @cached_property
    def keys(self) -> list[FeatureKey]:
        """Under which the views' features are found. Hashes every pixel the first time."""
        return [feature_key(view, self.owner) for view in self.views]

    @property
    def is_encoded(self) -> bool:
        """Whether every view is encoded."""
        return all(key in self.features for key in self.keys)

    @property
    def usage(self) -> Usage:
        """What the request has used so far."""
        cached_tokens = self.image_tokens * self.known // max(1, len(self.views))
        return Usage(self.prompt_tokens, self.answer.completion_tokens, self.image_tokens, cached_tokens)

    def add(self, token_ids: Sequence[int], logprobs: Sequence[float]) -> Delta | None:
        """Take the tokens of one step; None while there is nothing to send.

        Raises:
            EngineError: see `Answer.feed`.
        """
        if token_ids and not self.first_token_s:
            self.first_token_s = time.perf_counter()
        delta = self.answer.feed(token_ids, logprobs)
        return None if delta is None else replace(delta, usage=self.usage)

    def close(self, reason: FinishReason) -> Delta:
        """Return the last delta.

        Raises:
            EngineError: see `Answer.finish`.
        """
        rest = self.answer.finish(reason)
        now = time.perf_counter()
        first_token_s = self.first_token_s or now
        timings = EngineTimings(
            queue_s=self.admitted_s - self.submitted_s - self.encoding_s,
            prefill_s=first_token_s - self.admitted_s + self.encoding_s,
            decode_s=now - first_token_s,
        )
        return replace(rest, finish_reason=reason, usage=self.usage, timings=timings)
