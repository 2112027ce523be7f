"""A clean page → what a camera, a scanner or a careless export makes of it, characters' boxes included.

In: a `Page`. Out: a Pillow image and `Glyph`s. Every step is optional and mild enough that text of 12 pixels stays
readable to a person; strength is the caller's to lower.
"""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from pictures.base import Glyph
from pictures.page import Colour, Page

NOISE_SIDE = 512
Matrix = NDArray[np.float64]


def finish(
    page: Page, rng: np.random.Generator, *, strength: float = 1.0, tilt: float = 1.0, around: Colour | None = None
) -> tuple[Image.Image, tuple[Glyph, ...]]:
    """Wear a page; `tilt` scales how it is turned, `around` is what lies beyond its edges."""
    image, boxes = page.image, boxes_of(page)
    if tilt and rng.random() < 0.3 * strength:
        image, boxes = turn(image, boxes, camera(rng, image.size, tilt), around or edge_colour(image))
    image = wear(image, rng, strength)
    return image, glyphs_of(page, boxes, image.size)


def boxes_of(page: Page) -> NDArray[np.float64]:
    edges = [(mark.left, mark.top, mark.right, mark.bottom) for mark in page.marks]
    return np.array(edges, np.float64).reshape(-1, 4)


def glyphs_of(page: Page, boxes: NDArray[np.float64], size: tuple[int, int]) -> tuple[Glyph, ...]:
    scale = np.array([size[0], size[1]] * 2, np.float64)
    shares = (boxes / scale).tolist()
    return tuple(
        Glyph(
            mark.character, (left + right) / 2, (top + bottom) / 2, right - left, bottom - top, mark.by_hand, mark.blank
        )
        for mark, (left, top, right, bottom) in zip(page.marks, shares, strict=True)
    )


def camera(rng: np.random.Generator, size: tuple[int, int], tilt: float) -> Matrix:
    """Return the homography of a hand-held camera: some degrees of turn, a little shear and perspective."""
    width, height = size
    angle = np.radians(np.clip(rng.normal(0, 2.2), -7, 7) * tilt)
    cos, sin = np.cos(angle), np.sin(angle)
    # Shrunk so that the turned page's corners stay inside.
    spread = abs(cos) + abs(sin) * max(width / height, height / width)
    shrink = 1 / (spread + 0.004)
    turned = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) * np.array([[shrink], [shrink], [1]])
    if rng.random() < 0.5:
        turned[2, :2] = rng.uniform(-0.05, 0.05, 2) * tilt / np.array([width, height])
        turned[:2] *= 0.96
    middle = np.array([[1, 0, width / 2], [0, 1, height / 2], [0, 0, 1]])
    back = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1]])
    matrix: Matrix = middle @ turned @ back
    return matrix


def turn(
    image: Image.Image, boxes: NDArray[np.float64], matrix: Matrix, around: Colour
) -> tuple[Image.Image, NDArray[np.float64]]:
    inverse = np.linalg.inv(matrix)
    inverse /= inverse[2, 2]
    coefficients = tuple(float(value) for value in inverse.ravel()[:8])
    turned = image.transform(
        image.size, Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BILINEAR, fillcolor=around
    )
    return turned, move(boxes, matrix)


def move(boxes: NDArray[np.float64], matrix: Matrix) -> NDArray[np.float64]:
    """Return the upright boxes around the moved ones."""
    if not len(boxes):
        return boxes
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    moved = np.concatenate([corners, np.ones((*corners.shape[:2], 1))], axis=2) @ matrix.T
    flat = moved[..., :2] / moved[..., 2:]
    return np.concatenate([flat.min(axis=1), flat.max(axis=1)], axis=1)


def edge_colour(image: Image.Image) -> Colour:
    red, green, blue = image.getpixel((0, 0))[:3]  # type: ignore[index]
    return int(red), int(green), int(blue)


def wear(image: Image.Image, rng: np.random.Generator, strength: float, *, lit: bool = False) -> Image.Image:
    """Wear pixels; `lit` ones keep their colours, where colours are asked for."""
    if not lit and rng.random() < 0.12 * strength:
        image = light(image, rng)
    if rng.random() < 0.15 * strength:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 0.7))))
    if rng.random() < 0.25 * strength:
        image = noisy(image, rng, float(rng.uniform(2, 13)))
    if rng.random() < 0.3 * strength:
        image = compressed(image, int(rng.integers(35, 93)))
    return image


@lru_cache(maxsize=4)
def noise_tile(number: int) -> NDArray[np.int16]:
    rng = np.random.default_rng(number)
    return (rng.standard_normal((NOISE_SIDE, NOISE_SIDE, 3)) * 64).astype(np.int16)


def noisy(image: Image.Image, rng: np.random.Generator, sigma: float) -> Image.Image:
    """Add noise from a kept tile, shifted at random: fresh noise costs more than the rest of a picture."""
    tile = np.roll(noise_tile(int(rng.integers(4))), tuple(rng.integers(0, NOISE_SIDE, 2)), axis=(0, 1))
    if rng.random() < 0.4:
        tile = np.broadcast_to(tile[..., :1], tile.shape)
    pixels = np.asarray(image).astype(np.int16)
    scaled = ((tile.astype(np.int32) * int(sigma * 16)) >> 10).astype(np.int16)
    for top in range(0, pixels.shape[0], NOISE_SIDE):
        for left in range(0, pixels.shape[1], NOISE_SIDE):
            part = pixels[top : top + NOISE_SIDE, left : left + NOISE_SIDE]
            part += scaled[: part.shape[0], : part.shape[1]]
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def light(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Darken towards one side, as a lamp or a shadow does."""
    low = float(rng.uniform(0.55, 0.85))
    corners = rng.uniform(low, 1.0, (2, 2)) * 255
    ramp = Image.fromarray(corners.astype(np.uint8)).resize(image.size, Image.Resampling.BILINEAR)
    dark = Image.new("RGB", image.size, (8, 8, 12))
    return Image.composite(image, dark, ramp)


def compressed(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")
