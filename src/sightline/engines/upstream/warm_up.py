"""The first question to an upstream's model: it has to answer one token, and to count an image as its rule says."""

from __future__ import annotations

import io
import math

from msgspec.structs import replace
from PIL import Image

from sightline.core import (
    GenerateRequest,
    ImageEncoding,
    ImageFile,
    ImagePart,
    Message,
    ModelInfo,
    Part,
    SamplingParams,
    TextPart,
)
from sightline.engines.upstream.exchange import Exchange, ServedModel
from sightline.engines.upstream.server import Server
from sightline.errors import InvalidRequest

_MAX_PX, _MAX_IMAGE_TOKENS, _MAX_CROPS = 8192, 65_536, 64
_MAX_SMALLEST_PX = 2048
"""Along a side of the smallest image by a rule: one is drawn to ask about, on the event loop."""
_PAGE_TOKENS = 1601
_ANY_SIDE_PX = 560


async def warm_up(server: Server, model: ServedModel) -> None:
    """Have a model answer one token, about an image where it takes any.

    Models that think before they answer are reported to refuse so short an answer; they are asked without a limit.

    Raises:
        Failure: the server cannot, or not truthfully.
        ServiceError: it refuses.

    Source: LiteLLM's issue 26987.
    """
    request = warm_up_request(model.info)
    try:
        await _finish(server.exchange(request, model))
    except InvalidRequest:
        if request.sampling.max_tokens is None:
            raise
        request = replace(request, sampling=replace(request.sampling, max_tokens=None))
        await _finish(server.exchange(request, model))


def warm_up_request(info: ModelInfo) -> GenerateRequest:
    """Return a request of one token."""
    parts: list[Part] = [*([ImagePart(0)] if info.image else []), TextPart("Say yes.")]
    is_limited = bool({"max_tokens", "max_completion_tokens"} & info.supported_parameters)
    file, tokens = _grey_image(info.image) if info.image else (None, 0)
    return GenerateRequest(
        request_id="warm-up",
        model=info.id,
        messages=(Message("user", tuple(parts)),),
        images=(),
        sampling=SamplingParams(temperature=0.0, max_tokens=1 if is_limited else None),
        image_tokens=tokens,
        stream=False,
        files=(file,) if file else (),
    )


def is_sound(image: ImageEncoding) -> bool:
    """Whether a rule can be true of some model: images are made and counted by it."""
    crops = image.pan_and_scan
    return (
        0 < image.size_px <= _MAX_PX
        and 0 <= image.tokens <= _MAX_IMAGE_TOKENS
        and (image.kind != "square" or image.tokens > 0)
        and (image.kind != "patches" or 0 <= image.min_pixels <= image.max_pixels <= _MAX_PX**2)
        and (image.kind != "patches" or image.max_pixels >= image.size_px**2)
        and (image.kind != "patches" or image.size_px * _patches_across(image) <= _MAX_SMALLEST_PX)
        and (crops is None or (crops.min_crop_px > 0 and 1 < crops.max_crops <= _MAX_CROPS and crops.min_ratio >= 1))
    )


async def _finish(exchange: Exchange) -> None:
    try:
        while await exchange.read():
            pass
    finally:
        exchange.close()


def _grey_image(image: ImageEncoding) -> tuple[ImageFile, int]:
    """An image that the rule leaves as it is, and how many tokens it is."""
    across = _patches_across(image) if image.kind == "patches" else 1
    side = image.size_px * across if image.kind == "patches" else _ANY_SIDE_PX
    tokens = {"square": image.tokens, "patches": across * across, "page": _PAGE_TOKENS}[image.kind]
    file = io.BytesIO()
    Image.new("L", (side, side), 128).save(file, "PNG")
    return ImageFile("png", file.getvalue(), "", "low"), tokens


def _patches_across(image: ImageEncoding) -> int:
    """How many patches a side of a square image has that the rule leaves as it is; 4, where that is one."""
    least = math.ceil(math.sqrt(image.min_pixels) / image.size_px)
    most = math.isqrt(image.max_pixels) // image.size_px
    return max(1, min(max(4, least), most))
