"""A picture that decoders could read differently, to a file that they cannot: upright sRGB, as large as is of use.

Runs in a pool process. What it writes is at the size that the model elsewhere sees, so that nothing is left for its
own resizing to do; where that model takes closer views, the whole picture keeps its shape and enough pixels for them.
"""

from __future__ import annotations

import io

from msgspec.structs import replace
from PIL import Image

from sightline.core import Detail, ImageEncoding
from sightline.images.decode import Decoded, decode
from sightline.images.header import read_header
from sightline.images.tokens import useful_size, views

LARGEST_PNG_BYTES = 400_000
"""Two such in base64 and their request stay below 1.2 MB; what a lossless file would pass this is a JPEG instead."""
_JPEG_QUALITY = 95
_LARGEST_JPEG_PX = 65_500
"""A side; libjpeg writes none longer."""


def recode(data: bytes, image_type: str, encoding: ImageEncoding, detail: Detail = "low") -> Decoded:
    """Write a picture anew as a PNG or JPEG that says nothing but its pixels.

    Raises:
        Undecodable: as `decode`.
    """
    header = read_header(data)
    assert header is not None
    if encoding.pan_and_scan is not None:
        longest_px = max(useful_size(encoding, header.width, header.height))
        decoded = decode(data, image_type, ImageEncoding("page", longest_px), detail)
    else:
        decoded = decode(data, image_type, encoding, detail)
    picture = Image.frombytes("RGB", (decoded.width, decoded.height), decoded.data)
    kind = "jpeg" if image_type == "jpeg" else "png"
    file = _written(picture, kind)
    if kind == "png" and len(file) > LARGEST_PNG_BYTES and max(picture.size) <= _LARGEST_JPEG_PX:
        kind, file = "jpeg", _written(picture, "jpeg")
    actions = (*(action for action in decoded.actions if action != "resized"), f"written anew as {kind}")
    seen = views(encoding, header.width, header.height, detail)
    if (header.width, header.height) != (seen.whole.width, seen.whole.height):
        actions = (*actions, "resized")
    if encoding.pan_and_scan is not None:  # such a model sees squares of it, not the file
        decoded = replace(decoded, width=seen.whole.width, height=seen.whole.height)
    return replace(decoded, data=file, file_type=kind, actions=actions, views=seen.count)


def _written(picture: Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    options = {"quality": _JPEG_QUALITY, "subsampling": 0} if kind == "jpeg" else {"compress_level": 1}
    picture.save(file, kind.upper(), **options)
    return file.getvalue()
