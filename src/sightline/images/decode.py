"""Encoded bytes to RGB as a person sees it, at the size the model sees. Runs in a pool process, never on the loop.

Orientation applied, colours in sRGB, transparency laid on white, 16 bits scaled to 8, the first frame of an
animation. Only the decoder that the header named is ever asked.

Source: contract.md section 2; EXIF 2.32 section 4.6.4 (orientation).
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageCms, ImageOps

from sightline.core import ImageEncoding
from sightline.images.tokens import view

# The header was checked before; Pillow's own threshold would only warn, with a text that is not ours.
Image.MAX_IMAGE_PIXELS = None

_ORIENTATIONS = {
    2: "mirrored",
    3: "rotated 180°",
    4: "flipped",
    5: "mirrored and rotated 270°",
    6: "rotated 90°",
    7: "mirrored and rotated 90°",
    8: "rotated 270°",
}
_SRGB = ImageCms.createProfile("sRGB")


@dataclass(frozen=True, slots=True)
class Decoded:
    """RGB bytes of `height` rows of `width` pixels, and what was done to get them."""

    rgb: bytes
    width: int
    height: int
    actions: tuple[str, ...]


class Undecodable(Exception):
    """The picture's bytes do not decode. Carries no text of a library, so that none can leak."""


def decode(data: bytes, image_type: str, encoding: ImageEncoding) -> Decoded:
    """Decode one picture and bring it to the size that `encoding` asks for.

    Raises:
        Undecodable: cut short, damaged, or not what its header said.
    """
    try:
        return _decode(data, image_type, encoding)
    # Everything Pillow's four decoders were seen to raise on damaged bytes.
    except (
        OSError,
        ValueError,
        SyntaxError,
        IndexError,
        TypeError,
        KeyError,
        EOFError,
        OverflowError,
    ) as error:
        raise Undecodable(type(error).__name__) from None


def _decode(data: bytes, image_type: str, encoding: ImageEncoding) -> Decoded:
    actions: list[str] = []
    with Image.open(io.BytesIO(data), formats=[image_type.upper()]) as image:
        frames = getattr(image, "n_frames", 1) if image_type in ("gif", "webp") else 1
        if frames > 1:
            actions.append(f"frame 1 of {frames}")
        orientation = image.getexif().get(0x0112, 1)
        if image_type == "jpeg":
            target = view(encoding, image.width, image.height)
            image.draft(None, (2 * target.width, 2 * target.height))
        image.load()
        picture = _to_rgb(image, actions)
    if orientation in _ORIENTATIONS:
        picture.getexif()[0x0112] = orientation
        picture = ImageOps.exif_transpose(picture)
        actions.append(_ORIENTATIONS[orientation])
    target = view(encoding, picture.width, picture.height)
    if picture.size != (target.width, target.height):
        picture = picture.resize((target.width, target.height), Image.Resampling.BILINEAR)
        actions.append("resized")
    return Decoded(picture.tobytes(), picture.width, picture.height, tuple(actions))


def _to_rgb(image: Image.Image, actions: list[str]) -> Image.Image:
    profile = image.info.get("icc_profile")
    if image.mode in ("I;16", "I;16B", "I;16L", "I"):
        transparent = image.info.get("transparency")
        values = np.asarray(image, dtype=np.int64)
        image = Image.fromarray(((values + 128) // 257).clip(0, 255).astype(np.uint8))
        if isinstance(transparent, int):
            image.putalpha(Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8)))
        actions.append("16-bit to 8-bit")
    if image.mode == "P":
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
        actions.append("palette resolved")
    elif image.mode in ("1", "L", "RGB") and "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode in ("LA", "La", "PA", "RGBa"):
        image = image.convert("RGBA")
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    if alpha is not None:
        image = image.convert("RGB")
    if image.mode == "CMYK":
        actions.append("CMYK to RGB")
    if profile:
        image = _to_srgb(image, profile, actions)
    if image.mode != "RGB":
        image = image.convert("RGB")
    if alpha is not None and alpha.getextrema() != (255, 255):
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=alpha)
        image = white
        actions.append("flattened on white")
    return image


def _to_srgb(image: Image.Image, profile: bytes, actions: list[str]) -> Image.Image:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in (ImageCms.getProfileDescription(source) or ""):
            return image
        converted = ImageCms.profileToProfile(image, source, _SRGB, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        actions.append("colour profile unreadable, ignored")
        return image
    actions.append("colour profile to sRGB")
    return converted if converted is not None else image
