"""A data URI becomes bytes whose header is known and within the limits. Nothing is fetched, nothing decoded.

Source: contract.md section 2; RFC 2397.
"""

from __future__ import annotations

import hashlib
import math
import string

import pybase64

from sightline.core import EncodedImage, ImageReference
from sightline.errors import (
    ImageAddressUnsupported,
    ImageFormatUnsupported,
    ImageTooLarge,
    ImageUndecodable,
    TooManyImages,
)
from sightline.images.header import MOST_SCANS, Broken, Header, name_format, read_header
from sightline.images.passthrough import is_passthrough_safe
from sightline.settings import ImageLimits

_SPACE = b" \t\r\n\f"
_ALPHABET = (string.ascii_letters + string.digits + "+/").encode()
_LONGEST_TYPE = 127
"""Characters of a media type: a name may have as many (RFC 6838), and receipts repeat it."""
_KEPT_WHOLE = {
    "jpeg": ("a progressive JPEG", "a baseline JPEG"),
    "png": ("an interlaced or a wide 16-bit PNG", "a plain PNG of 8 bits"),
}


def open_image(reference: ImageReference, number: int, limits: ImageLimits) -> EncodedImage:
    """Read image `number` (1-based, for messages) of a request up to its header.

    Raises:
        ImageError: an address, another format, too large, or not decodable; `param` names the part.
    """
    if number > limits.max_images:
        sent = max(reference.of, number)
        message = f"The request has {sent} images, the limit is {limits.max_images}; send fewer a request."
        raise TooManyImages(message, param="messages")
    declared, data = _data(reference, number)
    try:
        header = read_header(data)
    except Broken as error:
        message = f"image {number} is cut short or damaged: its header cannot be read. Save it again and resend."
        raise ImageUndecodable(message, param=reference.param) from error
    if header is None:
        raise ImageFormatUnsupported(
            f"image {number} is {name_format(data)}; supported are png, jpeg, webp and gif. "
            "Convert it to one of these.",
            param=reference.param,
        )
    image = EncodedImage(
        data,
        declared,
        header.type,
        header.width,
        header.height,
        reference.detail,
        reference.param,
        hashlib.sha256(data).hexdigest(),
        is_passthrough_safe(data, header.type, header.width, header.height),
    )
    _check_size(image, header, number, limits)
    return image


def undecodable(image: EncodedImage, number: int) -> ImageUndecodable:
    """Say that image `number` began well and then did not decode."""
    return ImageUndecodable(
        f"image {number} does not decode: it begins like a {image.type} and is cut short or damaged. "
        "Open it and save it again.",
        param=image.param,
    )


def _data(reference: ImageReference, number: int) -> tuple[str, bytes]:
    """Return the media type that the sender declares, and the bytes."""
    head = reference.head.strip().lower()
    if not head.startswith("data:"):
        raise ImageAddressUnsupported(
            f"image {number} is given by address; images are sent in the request itself, as a base64 data URI: "
            "data:image/png;base64,… (png, jpeg, webp or gif). Nothing is fetched from an address.",
            param=reference.param,
        )
    start, parted, last = head.removeprefix("data:").rpartition(";")
    if not parted or not last.endswith(",") or last[:-1].strip() != "base64":
        raise ImageAddressUnsupported(
            f"image {number} is a data URI without base64; write it as data:image/png;base64,…",
            param=reference.param,
        )
    declared = start.partition(";")[0].strip()
    if len(declared) > _LONGEST_TYPE:
        raise ImageAddressUnsupported(
            f"image {number} is a data URI whose media type has {len(declared):,} characters, the limit is "
            f"{_LONGEST_TYPE}; write it as data:image/png;base64,…",
            param=reference.param,
        )
    try:
        return declared, _decode(reference.payload)
    except ValueError as error:
        message = f"image {number} is not valid base64; encode the file's bytes with the standard alphabet (+ and /)."
        if _is_cut(reference.payload):
            characters = f"{len(reference.payload):,} characters"
            message = f"image {number} is base64 that was cut short: {characters}, which no file gives. Send all of it."
        raise ImageUndecodable(message, param=reference.param) from error


def _decode(payload: bytes | memoryview) -> bytes:
    try:
        return pybase64.b64decode(payload, validate=True)
    except ValueError:
        # Wrapped lines (GNU base64) and missing padding are harmless; anything else fails again.
        kept = bytes(payload).translate(None, _SPACE)
        return pybase64.b64decode(kept + b"=" * (-len(kept) % 4), validate=True)


def _is_cut(payload: bytes | memoryview) -> bool:
    """Whether it is base64 but for its length: a single character more than whole groups stands for no byte."""
    kept = bytes(payload).translate(None, _SPACE)
    return len(kept) % 4 == 1 and not kept.translate(None, _ALPHABET)


def _check_size(image: EncodedImage, header: Header, number: int, limits: ImageLimits) -> None:
    if (
        header.width * header.height > limits.max_pixels
        or max(header.width, header.height) > limits.max_side_px
        or header.scans > limits.max_jpeg_scans
        or header.kept_bytes > limits.max_full_decode_bytes
    ):
        problem = _too_large(header, limits)
        raise ImageTooLarge(f"image {number} is {problem}, or run `sightline fit`.", param=image.param)


def _too_large(header: Header, limits: ImageLimits) -> str:
    """Say which limit a picture is over, and how to come below it."""
    pixels = header.width * header.height
    size = f"{header.width:,} × {header.height:,}"
    megapixels = f"{pixels / 1e6:.1f} megapixels"
    if limits.max_pixels < pixels < limits.max_pixels + 100_000:
        megapixels = f"{pixels / 1e6} megapixels"  # rounded, it would be the limit itself
    if pixels > limits.max_pixels:
        return f"{size}, {megapixels}, the limit is {limits.max_pixels / 1e6:g}; {_resize(header, limits)}"
    if max(header.width, header.height) > limits.max_side_px:
        return f"{size}, the limit of a side is {limits.max_side_px:,}; {_resize(header, limits)}"
    if header.scans > limits.max_jpeg_scans:
        scans = f"{header.scans:,}" if header.scans <= MOST_SCANS else f"more than {MOST_SCANS:,}"
        return f"a JPEG of {scans} scans, the limit is {limits.max_jpeg_scans:,}; save it again as a baseline JPEG"
    kind, plain = _KEPT_WHOLE[header.type]
    return (
        f"{kind} of {megapixels} that is decoded whole, in {header.kept_bytes / 1e6:,.1f} MB, the limit "
        f"is {limits.max_full_decode_bytes / 1e6:g}; save it again as {plain}"
    )


def _resize(header: Header, limits: ImageLimits) -> str:
    by_pixels = math.sqrt(limits.max_pixels / (header.width * header.height))
    scale = min(by_pixels, limits.max_side_px / max(header.width, header.height))
    width = min(max(1, int(header.width * scale)), limits.max_pixels)
    height = min(max(1, int(header.height * scale)), limits.max_pixels // width)
    return f"resize it to {width:,} × {height:,} or less"
