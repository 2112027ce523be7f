"""A picture brought within the limits: the largest size and the best quality that fit, and no more than a model uses.

What fits already and is no larger than models can use is left as it is, to the byte. The rest is decoded by the
service's own decoder (upright, sRGB, on white), reduced, never enlarged, and written as PNG, JPEG or WebP.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PIL import Image

from sightline.client.image_file import (
    CLIENT_BODY_BYTES,
    Picture,
    content_part,
    read,
    reference,
    user_message,
    write_body,
)
from sightline.client.models import known_models
from sightline.core import EncodedImage, ImageEncoding
from sightline.errors import ImageError, ImageTooLarge
from sightline.images.decode import Undecodable, decode
from sightline.images.source import open_image, undecodable
from sightline.images.tokens import useful_size
from sightline.settings import ImageLimits

_ANY_SIZE = ImageLimits(
    max_pixels=2_000_000_000, max_side_px=2_000_000_000, max_jpeg_scans=10_000, max_full_decode_bytes=10_000_000_000
)
_USUAL = ImageLimits()
_QUESTION_BYTES = 4_000
_QUALITIES = (95, 90, 85, 80, 75, 70)
# A picture too large at the worst quality becomes smaller by at least and at most so much before the next try.
_LEAST_STEP, _LARGEST_STEP = 0.95, 0.5
_HOPELESS = 3  # a PNG so many times too large does not fit as lossless WebP either


@dataclass(frozen=True, slots=True)
class Fitted:
    """A picture that fits: bytes, size in pixels as seen; `quality` of 100 where one was chosen.

    `before` is what it was; `actions` what the decoder did. Unchanged pictures are the same bytes.
    """

    data: bytes
    type: str
    width: int
    height: int
    before: EncodedImage
    quality: int | None = None
    actions: tuple[str, ...] = ()

    @property
    def is_changed(self) -> bool:
        """Whether it had to be written anew."""
        return self.data is not self.before.data


def fit(
    picture: Picture,
    *,
    images: int = 1,
    model: str | None = None,
    limits: ImageLimits = _USUAL,
    body_bytes: int = CLIENT_BODY_BYTES,
) -> Fitted:
    """Bring a picture within the limits of a request of `images` pictures, for `model` (None: for every model here).

    `limits` and `body_bytes`, which a body must stay below, are those of a service that is set up as usual.

    Raises:
        ImageError: not a picture in a supported format, or damaged; or nothing is as small as it must be.
        OSError: the file cannot be read.
        ConfigError: there is no such model.
    """
    encodings = [eye for known in known_models([model] if model else []) for eye in known.eyes]
    before = open_image(reference(read(picture)), 1, _ANY_SIZE)
    most_bytes = _most_bytes(images, body_bytes)
    side = _largest_side(before, encodings, limits)
    is_large = len(before.data) > most_bytes or side < max(before.width, before.height)
    if not is_large and _is_within(limits, before.data):
        return Fitted(before.data, before.type, before.width, before.height, before)
    while True:
        picture_then, actions = _decode(before, side)
        smallest = most_bytes + 1
        for kind, quality, data in _written(picture_then, _kind(before), most_bytes):
            if len(data) <= most_bytes:
                return Fitted(data, kind, picture_then.width, picture_then.height, before, quality, actions)
            smallest = len(data)
        if side == 1:
            raise ImageTooLarge(
                f"no picture is so small that a body of less than {body_bytes:,} bytes has room for {images} of it; "
                "raise server.max_body_bytes or send fewer a request."
            )
        step = math.sqrt(most_bytes / smallest)
        side = max(1, int(side * min(_LEAST_STEP, max(_LARGEST_STEP, step))))


def _most_bytes(images: int, body_bytes: int) -> int:
    """How large each of `images` equal pictures may be, base64 and the JSON around it counted, and a question."""
    around = len(write_body("m" * 100, [user_message([content_part(b"")] * images, "")])) + _QUESTION_BYTES
    characters = max(0, body_bytes - 1 - around) // images
    return characters // 4 * 3


def _largest_side(before: EncodedImage, encodings: Sequence[ImageEncoding], limits: ImageLimits) -> int:
    """The longer side beyond which the limits or every model have no use for more."""
    largest = max(before.width, before.height)
    if before.width * before.height > limits.max_pixels:
        shape = min(before.width, before.height) / largest
        # x (x shape + 1) pixels at most: a row or column more, since the other side is rounded.
        largest = max(1, int((math.sqrt(1 + 4 * shape * limits.max_pixels) - 1) / (2 * shape)))
    largest = min(largest, limits.max_side_px)
    return min(largest, max(max(useful_size(one, before.width, before.height)) for one in encodings))


def _is_within(limits: ImageLimits, data: bytes) -> bool:
    try:
        open_image(reference(data), 1, limits)
    except ImageError:
        return False
    return True


def _decode(before: EncodedImage, side: int) -> tuple[Image.Image, tuple[str, ...]]:
    try:
        decoded = decode(before.data, before.type, ImageEncoding("page", size_px=side))
    except Undecodable as error:
        raise undecodable(before, 1) from error
    return Image.frombytes("RGB", (decoded.width, decoded.height), decoded.data), decoded.actions


def _written(picture: Image.Image, source: str, most_bytes: int) -> Iterator[tuple[str, int | None, bytes]]:
    """Ways to write a picture, the best first; what was drawn stays free of JPEG's noise as long as it can."""
    if source in ("jpeg", "lossy webp"):
        kind = source.removeprefix("lossy ")
        yield kind, *_search(picture, kind, most_bytes)
        return
    drawn = _write(picture, "png")
    yield "png", None, drawn
    if len(drawn) < _HOPELESS * most_bytes:
        yield "webp", None, _write(picture, "webp", lossless=True)
    yield "webp", *_search(picture, "webp", most_bytes)


def _kind(before: EncodedImage) -> str:
    return "lossy webp" if before.type == "webp" and b"VP8L" not in before.data else before.type


def _search(picture: Image.Image, kind: str, most_bytes: int) -> tuple[int, bytes]:
    """The best quality that fits; the worst one where none does."""
    for quality in _QUALITIES:
        data = _write(picture, kind, quality=quality)
        if len(data) <= most_bytes:
            break
    return quality, data


def _write(picture: Image.Image, kind: str, **options: int | bool) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind.upper(), **options)
    return file.getvalue()
