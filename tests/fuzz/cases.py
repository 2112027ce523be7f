"""One case: a body through the parser, the pictures in it through the decoder. Whatever is not an answer is a crash."""

from __future__ import annotations

import base64
import json
from collections import Counter
from functools import partial
from random import Random

from fuzz.bodies import body
from fuzz.pictures import broken
from sightline.core import Detail, EncodedImage, ImageEncoding, ImageReference, PanAndScan
from sightline.errors import ImageError, InvalidRequest
from sightline.images.decode import Undecodable, decode
from sightline.images.source import open_image
from sightline.settings import ImageLimits
from sightline.wire.parse import parse_chat
from sightline.wire.render import encode, error_body
from support.failures import assert_error_body

_LIMITS = ImageLimits(max_pixels=1_000_000)
_ENCODINGS = (ImageEncoding("square", 32, 16, PanAndScan(min_crop_px=8)), ImageEncoding("page", 256))
_DETAILS: tuple[Detail, ...] = ("low", "high")
_PICTURES_SHARE = 0.2


def random_of(seed: int, number: int) -> Random:
    """What case `number` of a run with `seed` is drawn from."""
    return Random(seed << 40 | number)


def try_case(seed: int, number: int) -> Counter[str]:
    """Run one case; what came of it.

    Raises: whatever the code under test raises and should not, and AssertionError for an error in the wrong shape.
    """
    random = random_of(seed, number)
    outcomes: Counter[str] = Counter()
    try:
        request = parse_chat(body(random), partial(open_image, limits=_LIMITS))
    except InvalidRequest as error:
        outcomes[f"{_status(error)} {error.code}"] += 1
    else:
        outcomes["200 parsed"] += 1
        outcomes.update(_decoded(image, random) for image in request.images)
    if random.random() < _PICTURES_SHARE:
        outcomes[_picture(broken(random), random)] += 1
    return outcomes


def _status(error: InvalidRequest) -> int:
    assert_error_body(json.loads(encode(error_body(error))), error.status, error.code, error.param)
    assert error.status < 500
    return error.status


def _picture(data: bytes, random: Random) -> str:
    reference = ImageReference("data:image/png;base64,", base64.b64encode(data), "auto", "messages.[0].content.[0]")
    try:
        return _decoded(open_image(reference, 1, limits=_LIMITS), random)
    except ImageError as error:
        return f"picture {error.code}"


def _decoded(image: EncodedImage, random: Random) -> str:
    try:
        decoded = decode(image.data, image.type, random.choice(_ENCODINGS), random.choice(_DETAILS))
    except Undecodable:
        return "picture does not decode"
    assert len(decoded.data) == decoded.views * decoded.width * decoded.height * 3
    return "picture decoded"
