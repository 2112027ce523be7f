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
from sightline.errors import ServiceError

if TYPE_CHECKING:
    import openvino
    import openvino_genai

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
    """A request's work, the views of its pictures (as `images` once encoded), its growing answer and its clock."""

    work: Work
    answer: Answer
    events: asyncio.Queue[Event]
    pictures: Sequence[Pixels] = ()
    images: list[openvino.Tensor] = field(default_factory=list)
    encoding_s: float = 0.0
    cancelled: bool = False
    submitted_s: float = field(default_factory=time.perf_counter)
    admitted_s: float = 0.0
    first_token_s: float = 0.0

    @property
    def is_seen(self) -> bool:
        """Whether every view is encoded."""
        return len(self.images) == len(self.pictures)

    def add(self, token_ids: Sequence[int], logprobs: Sequence[float]) -> Delta | None:
        """Take the tokens of one step.

        Raises:
            EngineError: see `Answer.feed`.
        """
        if token_ids and not self.first_token_s:
            self.first_token_s = time.perf_counter()
        delta = self.answer.feed(token_ids, logprobs)
        return None if delta is None else replace(delta, usage=self._usage())

    def close(self, reason: FinishReason) -> Delta:
        """Return the last delta.

        Raises:
            EngineError: see `Answer.finish`.
        """
        rest = self.answer.finish(reason)
        now = time.perf_counter()
        first_token_s = self.first_token_s or now
        return Delta(
            rest.text if rest else "",
            logprobs=rest.logprobs if rest else (),
            finish_reason=reason,
            usage=self._usage(),
            timings=EngineTimings(
                queue_s=self.admitted_s - self.submitted_s - self.encoding_s,
                prefill_s=first_token_s - self.admitted_s + self.encoding_s,
                decode_s=now - first_token_s,
            ),
        )

    def _usage(self) -> Usage:
        return Usage(self.work.prompt_tokens, self.answer.completion_tokens, self.work.image_tokens)
