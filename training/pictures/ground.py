"""What text stands on: plain paper, a soft run of colour, paper grain, stripes or blotches that keep it readable."""

from __future__ import annotations

import numpy as np
from PIL import Image

from pictures.page import Colour
from pictures.palette import Palette, mix
from pictures.wear import noise_tile


def ground(rng: np.random.Generator, size: tuple[int, int], palette: Palette, *, busy: float = 0.45) -> Image.Image:
    """Return an image of the palette's paper; a share `busy` of them is not plain."""
    if rng.random() > busy:
        return Image.new("RGB", size, palette.paper)
    style = int(rng.integers(5))
    other = mix(palette.paper, palette.accent, float(rng.uniform(0.05, 0.2)))
    if style == 0:
        return ramp(rng, size, palette.paper, other)
    if style == 1:
        return blotches(rng, size, palette.paper, other)
    if style == 2:
        return grain(rng, size, palette.paper)
    if style == 3:
        return stripes(rng, size, palette.paper, mix(palette.paper, other, 0.5))
    return ramp(rng, size, palette.paper, mix(palette.paper, palette.ink, 0.12))


def ramp(rng: np.random.Generator, size: tuple[int, int], near: Colour, far: Colour) -> Image.Image:
    corners = rng.random((2, 2, 1))
    colours = np.array(near) + (np.array(far) - np.array(near)) * corners
    return Image.fromarray(colours.astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)


def blotches(rng: np.random.Generator, size: tuple[int, int], near: Colour, far: Colour) -> Image.Image:
    few = rng.random((int(rng.integers(3, 9)), int(rng.integers(3, 9)), 1))
    colours = np.array(near) + (np.array(far) - np.array(near)) * few
    return Image.fromarray(colours.astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)


def grain(rng: np.random.Generator, size: tuple[int, int], paper: Colour) -> Image.Image:
    tile = np.roll(noise_tile(int(rng.integers(4))), int(rng.integers(512)), axis=int(rng.integers(2)))[..., 0]
    flat = np.array(paper, np.int16) + (tile[..., None] >> int(rng.integers(3, 6)))
    image = Image.fromarray(flat.clip(0, 255).astype(np.uint8))
    return image.resize((max(size), max(size)), Image.Resampling.BILINEAR).crop((0, 0, *size))


def stripes(rng: np.random.Generator, size: tuple[int, int], near: Colour, far: Colour) -> Image.Image:
    period = int(rng.integers(8, 60))
    length = size[0] if rng.random() < 0.5 else size[1]
    on = (np.arange(length) // period) % 2
    row = np.where(on[:, None], np.array(near, np.uint8), np.array(far, np.uint8)).astype(np.uint8)
    along = row[None] if length == size[0] else row[:, None]
    return Image.fromarray(np.ascontiguousarray(along)).resize(size, Image.Resampling.NEAREST)
