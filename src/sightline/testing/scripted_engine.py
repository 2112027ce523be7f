"""A deterministic engine for tests, never a default: it describes its input a word at a time.

One token is one word. It counts its decoding steps, so that a test can show when work stopped.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Sequence

from msgspec.structs import replace

from sightline.core import (
    Delta,
    EngineTimings,
    GenerateRequest,
    ImageEncoding,
    ImagePart,
    ModelInfo,
    PanAndScan,
    TextPart,
    TokenLogprob,
    Usage,
)
from sightline.engines.base import Deltas, GeneratorDeltas
from sightline.errors import EngineError, EngineUnavailable

MODEL = "sightline/scripted"
IMAGE_TOKENS = 16


class ScriptedEngine:
    """Answers with its own prompt: text parts as they are, pictures as `[WIDTHxHEIGHT]`, once a view.

    A text that contains `<crash>` ends the process, `<fail>` raises.
    """

    def __init__(
        self,
        *,
        step_s: float = 0.0,
        answer: str = "",
        model: str = MODEL,
        ocr_max_chars: int = 0,
        prompt_repetition: bool = False,
    ) -> None:
        self.step_s = step_s
        self.steps = 0
        self.running = 0
        self._answer = answer
        self._info = ModelInfo(
            id=model,
            owned_by="sightline",
            created=0,
            context_length=4096,
            description="A scripted engine for tests.",
            image=ImageEncoding("square", 32, IMAGE_TOKENS, PanAndScan(min_crop_px=32)),
            max_images=2,
            supported_parameters=frozenset(
                {"max_tokens", "seed", "stop", "temperature", "logprobs", "top_logprobs", "response_format"}
            ),
            ocr_max_chars=ocr_max_chars,
            prompt_repetition=prompt_repetition,
        )
        self._up = False

    async def start(self) -> None:
        """Nothing to load."""
        self._up = True

    async def stop(self) -> None:
        """Nothing to release."""
        self._up = False

    def models(self) -> Sequence[ModelInfo]:
        """The one model, while started."""
        return (self._info,) if self._up else ()

    async def count(self, request: GenerateRequest) -> Usage:
        """Count words, and `IMAGE_TOKENS` for each view of a picture."""
        image_tokens = IMAGE_TOKENS * sum(len(image) for image in request.images)
        if request.image_tokens != image_tokens:
            raise EngineError(f"The engine counts {image_tokens} image tokens, the receipt {request.image_tokens}.")
        return Usage(len(" ".join(_words(request)).split()) - len(request.images) + image_tokens, 0, image_tokens)

    def generate(self, request: GenerateRequest) -> Deltas:
        """Yield one word a step."""
        return GeneratorDeltas(self.pieces(request))

    async def pieces(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        """What `generate` gives; tests of odd engines have others."""
        began = time.monotonic()
        prompt = " ".join(_words(request))
        if "<crash>" in prompt:
            os.abort()
        if "<fail>" in prompt:
            raise EngineError("The scripted engine was told to fail.")
        words = (self._answer or prompt).split(" ")
        limit = request.sampling.max_tokens or len(words)
        usage = await self.count(request)
        self.running += 1
        try:
            for at, word in enumerate(words[:limit]):
                await asyncio.sleep(self.step_s)
                if not self._up:
                    raise EngineUnavailable("The scripted engine was stopped.")
                self.steps += 1
                text = word if at == 0 else " " + word
                usage = replace(usage, completion_tokens=at + 1)
                logprobs = (TokenLogprob(text, -0.5),) if request.sampling.logprobs else ()
                yield Delta(text, logprobs=logprobs, usage=usage)
            timings = EngineTimings(0.0, 0.0, time.monotonic() - began)
            yield Delta("", finish_reason="length" if limit < len(words) else "stop", usage=usage, timings=timings)
        finally:
            self.running -= 1


def _words(request: GenerateRequest) -> list[str]:
    words = []
    for message in request.messages:
        for part in message.parts:
            if isinstance(part, TextPart):
                words.append(part.text)
            elif isinstance(part, ImagePart):
                views, height, width, _ = request.images[part.index].shape
                words.append(f"[{width}x{height}]" * views)
    return words


create = ScriptedEngine
