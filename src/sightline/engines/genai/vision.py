"""Pictures to what the language model sees, beside the pipeline instead of inside it.

In: pixels at the model's size. Out: the vision tower's features, packed into pictures that the pipeline unpacks
again. The pipeline's own encoder runs within `add_request`, one picture at a time, and holds the interpreter lock and
every running answer meanwhile. Here a thread of its own encodes whatever has come together as one batch, and the
pipeline's encoder is replaced by `unpacking_model`. Answers are the same to the last bit of every log-probability.

A packed picture has one row a token and one more, one column a feature: 24 bits in red, green and blue, a fixed-point
number. The first pixel of the last row holds their common exponent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import openvino
from openvino import opset13 as op

from sightline.core import Pixels
from sightline.engines.genai.model import Model
from sightline.errors import EngineError, EngineUnavailable

VISION_MODEL = "openvino_vision_embeddings_model.xml"
MOST_AT_ONCE = 8
"""Pictures of one batch; more gain nothing and delay the first of them."""
_HALF = 2**23
_EXPONENT_OFFSET = 64

Floats = npt.NDArray[np.float32]
Infer = Callable[[Floats], Floats]


class VisionEncoder:
    """Encodes pictures in batches, in one thread; `encode` is called on the event loop."""

    def __init__(self, infer: Infer, model: Model) -> None:
        self._infer = infer
        self._mean, self._std = (np.asarray(values, np.float32) for values in (model.pixel_mean, model.pixel_std))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="genai-vision")
        self._pending: list[tuple[Pixels, asyncio.Future[Pixels]]] = []
        self._is_open = True
        self._worker: asyncio.Task[None] | None = None

    async def encode(self, pictures: Sequence[Pixels]) -> list[Pixels]:
        """Return the packed features of `pictures`, each (size, size, 3); others' pictures may share the batch.

        Raises:
            EngineError: the vision model failed on the batch.
            EngineUnavailable: it was closed meanwhile.
        """
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in pictures]
        self._pending += zip(pictures, futures, strict=True)
        if self._pending and (self._worker is None or self._worker.done()):
            self._worker = loop.create_task(self._work())
        packed: list[Pixels] = await asyncio.gather(*futures)
        return packed

    def close(self) -> None:
        """End the thread after its batch; whoever waits for a later one receives `EngineUnavailable`."""
        self._is_open = False
        self._thread.shutdown(wait=False)

    async def _work(self) -> None:
        while self._pending:
            batch = [entry for entry in self._pending[:MOST_AT_ONCE] if not entry[1].cancelled()]
            del self._pending[:MOST_AT_ONCE]
            if not batch:
                continue
            pictures, futures = zip(*batch, strict=True)
            try:
                packed = await asyncio.get_running_loop().run_in_executor(self._thread, self._encode, pictures)
            except RuntimeError as error:
                for future in futures:
                    _settle(future, self._failure(error))
                continue
            for future, picture in zip(futures, packed, strict=True):
                _settle(future, picture)

    def _failure(self, error: RuntimeError) -> EngineError:
        failure: EngineError = EngineUnavailable("the model stopped before the answer was complete", retry_after_s=2)
        if self._is_open:
            failure = EngineError("the model could not look at the picture")
        failure.__cause__ = error
        return failure

    def _encode(self, pictures: Sequence[Pixels]) -> list[Pixels]:
        pixels = (np.stack(pictures).astype(np.float32) / np.float32(255) - self._mean) / self._std
        return [pack(features) for features in self._infer(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))]


def load_encoder(model: Model, device: str) -> VisionEncoder:
    """Compile the vision model of a folder."""
    compiled = openvino.Core().compile_model(model.path / VISION_MODEL, device)
    return VisionEncoder(lambda pixels: compiled(pixels)[0], model)


def _settle(future: asyncio.Future[Pixels], result: Pixels | EngineError) -> None:
    if future.done():
        return
    if isinstance(result, EngineError):
        future.set_exception(result)
    else:
        future.set_result(result)


def pack(features: Floats) -> Pixels:
    """Pack features (tokens, width) into a picture (tokens + 1, width, 3), exact to 2^-23 of the largest."""
    tokens, width = features.shape
    exponent = int(np.ceil(np.log2(max(float(np.abs(features).max()), 2.0**-_EXPONENT_OFFSET)))) + 1
    fixed = np.rint(features.astype(np.float64) * 2.0 ** (23 - exponent)) + _HALF
    numbers = np.clip(fixed, 0, 2 * _HALF - 1).astype(np.uint32)
    picture = np.zeros((tokens + 1, width, 3), np.uint8)
    for channel, shift in enumerate((16, 8, 0)):
        picture[:tokens, :, channel] = (numbers >> shift) & 255
    picture[tokens, 0, 2] = exponent + _EXPONENT_OFFSET
    return picture


def unpacking_model(tokens: int, width: int) -> openvino.Model:
    """Return the model that the pipeline runs in the vision model's place: packed picture to features.

    It takes what the pipeline makes of a picture's bytes with mean 0 and deviation 1: (1, 3, tokens + 1, width), from
    0 to 1. To be run in 32-bit floating point.
    """
    picture = op.parameter([1, 3, tokens + 1, width], np.float32, name="pixel_values")
    picture.output(0).set_names({"pixel_values"})
    channels = op.round(op.multiply(picture, _number(255)), "half_to_even")
    weights = op.constant(np.array([65536, 256, 1], np.float32).reshape(1, 3, 1, 1))
    numbers = op.reduce_sum(op.multiply(channels, weights), op.constant(np.array([1])), False)
    fixed = op.slice(numbers, [0], [tokens], [1], [1])
    exponent = op.slice(op.slice(numbers, [tokens], [tokens + 1], [1], [1]), [0], [1], [1], [2])
    scale = op.power(_number(2), op.subtract(exponent, _number(_EXPONENT_OFFSET + 23)))
    features = op.multiply(op.subtract(fixed, _number(_HALF)), scale)
    model = openvino.Model([op.result(features)], [picture], "unpack_features")
    model.outputs[0].set_names({"last_hidden_state"})
    return model


def _number(value: float) -> openvino.Node:
    return op.constant(np.float32(value))
