"""Images to what the language model sees, beside the pipeline instead of inside it.

In: pixels at the model's size. Out: the vision tower's features, packed into images that the pipeline unpacks
again. The pipeline's own encoder runs within `add_request`, one image at a time. Here the images of all requests
that wait are encoded as one batch between two steps (never beside one: two computations that share a core's threads
take three times as long as one after the other), and the pipeline's encoder is replaced by `unpacking_model`. Answers
are the same to the last bit of every log-probability.

A packed image has one row a token and one more, one column a feature: 24 bits in red, green and blue, a fixed-point
number. The first pixel of the last row holds their common exponent.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import openvino
from openvino import opset13 as op

from sightline.core import Pixels
from sightline.engines.genai.model import Model

VISION_MODEL = "openvino_vision_embeddings_model.xml"
MOST_AT_ONCE = 8
"""Images of one batch; more gain nothing and delay the first of them."""
BATCH_S = 0.03
"""What a batch may take: running answers wait meanwhile."""
TAG_STRIDE, TAG_VALUES = 50, 10
_HALF = 2**23
_EXPONENT_OFFSET = 64

Floats = npt.NDArray[np.float32]
Infer = Callable[[Floats], Floats]


class VisionEncoder:
    """Encodes batches of images, and says how many make a batch: as many as `BATCH_S` allows, at least one."""

    def __init__(self, infer: Infer, model: Model) -> None:
        self.most_at_once = 1
        self._infer = infer
        self._mean, self._std = (np.asarray(values, np.float32) for values in (model.pixel_mean, model.pixel_std))

    def warm_up(self, size_px: int) -> None:
        """Measure one image, then run every size of batch: the first of a size takes several times as long."""
        blank = np.zeros((size_px, size_px, 3), np.uint8)
        self.encode([blank])
        began_s = time.perf_counter()
        self.encode([blank])
        self.most_at_once = min(MOST_AT_ONCE, max(1, int(BATCH_S / (time.perf_counter() - began_s))))
        for count in range(2, self.most_at_once + 1):
            self.encode([blank] * count)

    def encode(self, images: Sequence[Pixels]) -> list[Pixels]:
        """Return the packed features of `images`, each (size, size, 3).

        Raises:
            RuntimeError: OpenVINO failed on the batch, or made something of it that is no number.
        """
        normalised = (np.stack(images).astype(np.float32) / np.float32(255) - self._mean) / self._std
        channels_first = np.ascontiguousarray(normalised.transpose(0, 3, 1, 2))
        return [pack(features) for features in self._infer(channels_first)]


def load_encoder(model: Model, device: str, arithmetic: dict[str, str]) -> VisionEncoder:
    """Compile the vision model of a folder, and warm it up."""
    compiled = openvino.Core().compile_model(model.path / VISION_MODEL, device, arithmetic)
    encoder = VisionEncoder(lambda pixels: compiled(pixels)[0], model)
    encoder.warm_up(model.image.size_px)
    return encoder


def tag(packed: Pixels, sha256: bytes) -> None:
    """Change packed features by 2^-22 of the largest so that they tell which image they are of. Mutates `packed`.

    With `prefix_caching` OpenVINO GenAI finds a prompt's beginning by a hash over `TAG_VALUES` of every `TAG_STRIDE`th
    value of each embedding: two images that differ by little might else be one to it.
    """
    values = packed[:-1, ::TAG_STRIDE, 2][:, :TAG_VALUES]
    noise = np.frombuffer(hashlib.shake_256(sha256).digest(values.size), np.uint8).reshape(values.shape)
    values[:] = values & 0b11111100 | noise & 0b11


def pack(features: Floats) -> Pixels:
    """Pack features (tokens, width) into an image (tokens + 1, width, 3), exact to 2^-23 of the largest.

    Raises:
        RuntimeError: one of them is infinite or no number, as narrow arithmetic may leave it.
    """
    tokens, width = features.shape
    largest = float(np.abs(features).max())
    if not np.isfinite(largest):
        raise RuntimeError(f"the largest feature of an image is {largest}")
    exponent = int(np.ceil(np.log2(max(largest, 2.0**-_EXPONENT_OFFSET)))) + 1
    fixed = np.rint(features.astype(np.float64) * 2.0 ** (23 - exponent)) + _HALF
    numbers = np.clip(fixed, 0, 2 * _HALF - 1).astype(np.uint32)
    packed = np.zeros((tokens + 1, width, 3), np.uint8)
    for channel, shift in enumerate((16, 8, 0)):
        packed[:tokens, :, channel] = (numbers >> shift) & 255
    packed[tokens, 0, 2] = exponent + _EXPONENT_OFFSET
    return packed


def unpacking_model(tokens: int, width: int) -> openvino.Model:
    """Return the model that the pipeline runs in the vision model's place: packed image to features.

    It takes what the pipeline makes of an image's bytes with mean 0 and deviation 1: (1, 3, tokens + 1, width), from
    0 to 1. To be run in 32-bit floating point.
    """
    packed = op.parameter([1, 3, tokens + 1, width], np.float32, name="pixel_values")
    packed.output(0).set_names({"pixel_values"})
    channels = op.round(op.multiply(packed, _number(255)), "half_to_even")
    weights = op.constant(np.array([65536, 256, 1], np.float32).reshape(1, 3, 1, 1))
    numbers = op.reduce_sum(op.multiply(channels, weights), op.constant(np.array([1])), False)
    fixed = op.slice(numbers, [0], [tokens], [1], [1])
    exponent = op.slice(op.slice(numbers, [tokens], [tokens + 1], [1], [1]), [0], [1], [1], [2])
    scale = op.power(_number(2), op.subtract(exponent, _number(_EXPONENT_OFFSET + 23)))
    features = op.multiply(op.subtract(fixed, _number(_HALF)), scale)
    model = openvino.Model([op.result(features)], [packed], "unpack_features")
    model.outputs[0].set_names({"last_hidden_state"})
    return model


def _number(value: float) -> openvino.Node:
    return op.constant(np.float32(value))
