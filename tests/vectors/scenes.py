"""What the vectors show, as arrays, and what a person sees of an array stored in some way. Plain arithmetic.

Nothing here knows of a file format or of Sightline: the expected pixels must not come from the code they judge.
Arrays are (height, width, channels), values 0 to 255 unless said otherwise.

Sources: EXIF 2.32 section 4.6.4; IEC 61966-2-1 (sRGB); SMPTE EG 432-1 (P3); Adobe RGB (1998); ITU-T T.872 (CMYK).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

COLOURS = {"red": (220, 40, 40), "green": (40, 170, 60), "blue": (40, 70, 210), "yellow": (250, 210, 40)}
WIDTH, HEIGHT = 64, 32

# Linear RGB to XYZ at D50, a column a primary: what a colour profile holds.
SRGB = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
DISPLAY_P3 = np.array([[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]])
ADOBE_RGB = np.array([[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]])
SWAPPED = SRGB[:, [1, 0, 2]]
ADOBE_GAMMA = 563 / 256


def quarters(width: int = WIDTH, height: int = HEIGHT) -> Array:
    """Red top left, green top right, blue bottom left, yellow bottom right."""
    return in_quarters(list(COLOURS.values()), width, height)


def in_quarters(values: list[Any], width: int = WIDTH, height: int = HEIGHT) -> Array:
    """Four flat quarters, in reading order."""
    table = np.array(values)
    rows, columns = np.arange(height) * 2 // height, np.arange(width) * 2 // width
    return table[rows[:, None] * 2 + columns[None, :]]


def ramp(width: int = WIDTH, height: int = HEIGHT) -> Array:
    """Red grows to the right, green grows downwards, blue falls to the right: smooth, and the same in no other way."""
    across = np.broadcast_to(np.linspace(0, 255, width), (height, width))
    down = np.broadcast_to(np.linspace(0, 255, height)[:, None], (height, width))
    return np.rint(np.stack([across, down, 255 - across], axis=2)).astype(int)


def grey_ramp(largest: int = 255) -> Array:
    """Grey growing to the right, from 0 to `largest`; one channel."""
    across = np.rint(np.linspace(0, largest, WIDTH)).astype(int)
    return np.broadcast_to(across, (HEIGHT, WIDTH))[:, :, None]


def bands(width: int, height: int) -> Array:
    """Red, green, blue, yellow, and the four again, along the longer side."""
    table = np.array([*COLOURS.values()] * 2)
    along = table[np.arange(max(width, height)) * 8 // max(width, height)]
    return np.broadcast_to(along[None] if width >= height else along[:, None], (height, width, 3))


def see_through() -> Array:
    """Red opaque, green half transparent, noise behind full transparency, yellow opaque; four channels."""
    picture = np.concatenate([quarters(), in_quarters([[255], [128], [0], [255]])], axis=2)
    hidden = picture[:, :, 3] == 0
    picture[hidden, :3] = np.random.default_rng(3).integers(0, 256, (hidden.sum(), 3))
    return picture


def on_white(picture: Array, largest: int = 255) -> Array:
    """Four (or two) channels laid on white."""
    colour, opacity = picture[:, :, :-1] / largest, picture[:, :, -1:] / largest
    return np.rint((colour * opacity + 1 - opacity) * 255).astype(int)


def as_rgb(grey: Array) -> Array:
    """One channel, three times."""
    return np.repeat(grey, 3, axis=2)


def from_16_bits(picture: Array) -> Array:
    """0 to 65535 brought to 0 to 255."""
    return np.rint(picture / 257).astype(int)


def stored_for(orientation: int, upright: Array) -> Array:
    """How a camera stores what is seen upright, when it writes this EXIF orientation beside it."""
    match orientation:
        case 2:
            return upright[:, ::-1]
        case 3:
            return upright[::-1, ::-1]
        case 4:
            return upright[::-1]
        case 5:
            return upright.swapaxes(0, 1)
        case 6:
            return np.rot90(upright)
        case 7:
            return np.rot90(upright, 2).swapaxes(0, 1)
        case 8:
            return np.rot90(upright, -1)
    return upright


def to_cmyk(picture: Array) -> Array:
    """RGB to inks, 255 being full ink."""
    ink = 255 - picture
    black = ink.min(axis=2, keepdims=True)
    rest = np.maximum(255 - black, 1)
    return np.concatenate([np.rint((ink - black) * 255 / rest).astype(int), black], axis=2)


def from_cmyk(inks: Array) -> Array:
    """Inks without a profile to RGB, as browsers do: each ink takes its share of the light."""
    light = 255 - inks
    return np.rint(light[:, :, :3] * light[:, :, 3:] / 255).astype(int)


def to_ycc(picture: Array) -> Array:
    """RGB to JPEG's luminance and colour differences. Source: ITU-T T.871 section 7."""
    red, green, blue = (picture[:, :, at].astype(float) for at in range(3))
    luminance = 0.299 * red + 0.587 * green + 0.114 * blue
    parts = [luminance, 128 + (blue - luminance) / 1.772, 128 + (red - luminance) / 1.402]
    return np.rint(np.stack(parts, axis=2)).clip(0, 255).astype(int)


def srgb_to_linear(values: Array) -> Array:
    """The curve of sRGB and Display P3, 0 to 1."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(values: Array) -> Array:
    """Its inverse."""
    values = values.clip(0, 1)
    return np.where(values <= 0.0031308, values * 12.92, 1.055 * values ** (1 / 2.4) - 0.055)


def encode_in(picture: Array, primaries: Array, gamma: float | None = None) -> Array:
    """SRGB pixels to the same colours in another space; `gamma` None is the sRGB curve."""
    linear = srgb_to_linear(picture / 255) @ (np.linalg.inv(primaries) @ SRGB).T
    values = linear_to_srgb(linear) if gamma is None else linear.clip(0, 1) ** (1 / gamma)
    return np.rint(values * 255).astype(int)


def decode_from(picture: Array, primaries: Array, gamma: float | None = None) -> Array:
    """Pixels of another space to sRGB."""
    values = picture / 255
    linear = (srgb_to_linear(values) if gamma is None else values**gamma) @ (np.linalg.inv(SRGB) @ primaries).T
    return np.rint(linear_to_srgb(linear) * 255).astype(int)
