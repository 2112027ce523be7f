"""A data URI becomes bytes whose header is known and within the limits. Nothing is fetched, nothing decoded.

Source: contract.md section 2; RFC 2397.
"""

from __future__ import annotations

import math

import pybase64

from sightline.core import EncodedImage, ImageReference
from sightline.errors import (
    ImageAddressUnsupported,
    ImageFormatUnsupported,
    ImageTooLarge,
    ImageUndecodable,
    TooManyImages,
)
from sightline.images.header import Broken, name_format, read_header
from sightline.settings import ImageLimits

_SPACE = b" \t\r\n\f"


def open_image(reference: ImageReference, number: int, limits: ImageLimits) -> EncodedImage:
    """Read image `number` (1-based, for messages) of a request up to its header.

    Raises:
        ImageError: an address, another format, too large, or not decodable; `param` names the part.
    """
    if number > limits.max_images:
        message = f"The request has {number} images or more, the limit is {limits.max_images}; send fewer a request."
        raise TooManyImages(message, param="messages")
    data = _data(reference, number)
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
    declared = reference.head[5:].split(";", 1)[0].strip().lower()
    image = EncodedImage(data, declared, header.type, header.width, header.height, reference.detail, reference.param)
    _check_size(image, header.scans, number, limits)
    return image


def undecodable(image: EncodedImage, number: int) -> ImageUndecodable:
    """Say that image `number` began well and then did not decode."""
    return ImageUndecodable(
        f"image {number} does not decode: it begins like a {image.type} and is cut short or damaged. "
        "Open it and save it again.",
        param=image.param,
    )


def _data(reference: ImageReference, number: int) -> bytes:
    head = reference.head.lower()
    if not head.startswith("data:"):
        raise ImageAddressUnsupported(
            f"image {number} is given by address; images are sent in the request itself, as a base64 data URI: "
            "data:image/png;base64,… (png, jpeg, webp or gif). Nothing is fetched from an address.",
            param=reference.param,
        )
    if not head.endswith(";base64,"):
        raise ImageAddressUnsupported(
            f"image {number} is a data URI without base64; write it as data:image/png;base64,…",
            param=reference.param,
        )
    try:
        return _decode(reference.payload)
    except ValueError as error:
        message = f"image {number} is not valid base64; encode the file's bytes with the standard alphabet (+ and /)."
        raise ImageUndecodable(message, param=reference.param) from error


def _decode(payload: bytes | memoryview) -> bytes:
    try:
        return pybase64.b64decode(payload, validate=True)
    except ValueError:
        # Wrapped lines (GNU base64) and missing padding are harmless; anything else fails again.
        kept = bytes(payload).translate(None, _SPACE)
        return pybase64.b64decode(kept + b"=" * (-len(kept) % 4), validate=True)


def _check_size(image: EncodedImage, scans: int, number: int, limits: ImageLimits) -> None:
    pixels = image.width * image.height
    if pixels > limits.max_pixels:
        scale = math.sqrt(limits.max_pixels / pixels)
        width = min(max(1, int(image.width * scale)), limits.max_pixels)
        height = min(max(1, int(image.height * scale)), limits.max_pixels // width)
        fit = f"{width:,} × {height:,}"
        raise ImageTooLarge(
            f"image {number} is {image.width:,} × {image.height:,}, {pixels / 1e6:.1f} megapixels, "
            f"the limit is {limits.max_pixels / 1e6:g}; resize it to {fit} or less, or run `sightline fit`.",
            param=image.param,
        )
    if scans > limits.max_jpeg_scans:
        raise ImageTooLarge(
            f"image {number} is a JPEG of {scans:,} scans, the limit is {limits.max_jpeg_scans}; "
            "save it again as a baseline JPEG, or run `sightline fit`.",
            param=image.param,
        )
