"""What is on a picture and where, before any pixel is drawn.

In: a random generator. Out: a `Scene` whose facts (shapes, colours, counts, places) the questions are asked about.
Things never overlap, stand out from the background, and lie within what training/README.md says the model knows.
The frame is `aspect` wide and 1 high; lengths are in that unit.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from shapes import ROTATION, SHAPES

Rgb = tuple[float, float, float]
MOST_THINGS = 6
SHAPE_NAMES = list(SHAPES)
# Hue in degrees, saturation and value: the range that each name covers, with gaps between neighbours.
COLOURS: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "red": ((-8, 7), (0.82, 1.0), (0.78, 1.0)),
    "orange": ((20, 39), (0.85, 1.0), (0.9, 1.0)),
    "yellow": ((50, 61), (0.7, 1.0), (0.9, 1.0)),
    "green": ((90, 150), (0.5, 1.0), (0.45, 1.0)),
    "blue": ((208, 242), (0.65, 1.0), (0.6, 1.0)),
    "purple": ((266, 300), (0.5, 1.0), (0.42, 0.82)),
    "pink": ((320, 352), (0.24, 0.6), (0.93, 1.0)),
    "brown": ((14, 32), (0.55, 0.88), (0.34, 0.58)),
    "black": ((0, 360), (0.0, 0.3), (0.0, 0.1)),
    "white": ((0, 360), (0.0, 0.03), (0.95, 1.0)),
    "gray": ((0, 360), (0.0, 0.05), (0.42, 0.62)),
}
COLOUR_NAMES = list(COLOURS)
LEAST_CONTRAST = 80.0


@dataclass(frozen=True, slots=True)
class Thing:
    """One shape: centre and reach in frame units, `line` the outline's share of the reach (0: filled)."""

    shape: str
    colour: str
    rgb: Rgb
    x: float
    y: float
    reach: float
    angle: float
    proportion: float
    line: float
    border: Rgb | None


@dataclass(frozen=True, slots=True)
class Scene:
    """A whole picture; the background runs from `near` to `far` along `direction` radians."""

    aspect: float
    near: Rgb
    far: Rgb
    direction: float
    things: tuple[Thing, ...]

    def left_to_right(self) -> list[Thing]:
        return sorted(self.things, key=lambda thing: thing.x / self.aspect)


def sample_scene(rng: np.random.Generator, kinds: list[tuple[str, str]] | None = None) -> Scene:
    """Draw a scene at random; `kinds` fixes (shape, colour) of its things, else they are chosen too."""
    aspect = float(np.exp(rng.uniform(np.log(0.75), np.log(4 / 3)))) if rng.random() < 0.7 else 1.0
    if kinds is None:
        kinds = sample_kinds(rng, sample_count(rng))
    near, far = sample_background(rng, {colour for _, colour in kinds})
    places = place(rng, len(kinds), aspect)
    outlined = rng.random() < 0.2
    bordered = rng.random() < 0.15
    things = tuple(
        sample_thing(rng, kind, spot, (near, far), line=outlined or rng.random() < 0.08, border=bordered)
        for kind, spot in zip(kinds, places, strict=True)
    )
    return Scene(aspect, near, far, float(rng.uniform(0, 2 * np.pi)), things)


def sample_count(rng: np.random.Generator) -> int:
    return int(rng.choice(MOST_THINGS + 1, p=[0.02, 0.23, 0.2, 0.15, 0.14, 0.13, 0.13]))


def sample_kinds(rng: np.random.Generator, count: int) -> list[tuple[str, str]]:
    """Choose (shape, colour) for each thing: all alike, a few kinds, one property shared, or all at random."""
    style = rng.random()
    shapes = [str(name) for name in rng.choice(SHAPE_NAMES, max(count, 1))]
    colours = [str(name) for name in rng.choice(COLOUR_NAMES, max(count, 1))]
    if style < 0.25:
        return [(shapes[0], colours[0])] * count
    if style < 0.6:
        kinds = int(rng.integers(1, 4))
        pool = list(zip(shapes[:kinds], colours[:kinds], strict=True))
        return [pool[i] for i in rng.integers(0, len(pool), count)]
    if style < 0.7:
        return [(shapes[0], colour) for colour in colours[:count]]
    if style < 0.8:
        return [(shape, colours[0]) for shape in shapes[:count]]
    return list(zip(shapes, colours, strict=True))[:count]


def place(rng: np.random.Generator, count: int, aspect: float) -> list[tuple[float, float, float]]:
    """Return (x, y, reach) for each thing, none touching; reach shrinks with the crowd and with failed tries."""
    side = min(aspect, 1.0)
    largest = {0: 0.4, 1: 0.42, 2: 0.27, 3: 0.22, 4: 0.19, 5: 0.17, 6: 0.155}[count]
    alike = rng.uniform(0.075, largest) if rng.random() < 0.4 else None
    while True:
        spots: list[tuple[float, float, float]] = []
        for _ in range(60 * count):
            if len(spots) == count:
                break
            reach = side * (alike or rng.uniform(0.075, largest))
            x = rng.uniform(reach + 0.01, aspect - reach - 0.01)
            y = rng.uniform(reach + 0.01, 1 - reach - 0.01)
            if all(np.hypot(x - a, y - b) > (reach + c) * 1.04 + 0.015 for a, b, c in spots):
                spots.append((float(x), float(y), float(reach)))
        if len(spots) == count:
            return spots
        alike, largest = None, max(0.09, largest * 0.9)


def sample_thing(
    rng: np.random.Generator,
    kind: tuple[str, str],
    spot: tuple[float, float, float],
    background: tuple[Rgb, Rgb],
    *,
    line: bool,
    border: bool,
) -> Thing:
    shape, colour = kind
    turn = rng.uniform(-1, 1) * ROTATION[shape] * (rng.random() < 0.7)
    if shape == "rectangle" and rng.random() < 0.5:
        turn += 90.0
    rgb = sample_colour(rng, colour)
    for _ in range(8):
        if contrast(rgb, *background) >= LEAST_CONTRAST:
            break
        rgb = sample_colour(rng, colour)
    x, y, reach = spot
    dark = (20.0, 20.0, 20.0)
    rim = dark if border and not line and contrast(rgb, dark) > LEAST_CONTRAST else None
    share = float(rng.uniform(0.16, 0.3)) if line else 0.0
    return Thing(shape, colour, rgb, x, y, reach, float(np.radians(turn)), float(rng.random()), share, rim)


def sample_colour(rng: np.random.Generator, name: str) -> Rgb:
    hue, saturation, value = (rng.uniform(*bounds) for bounds in COLOURS[name])
    return rgb_of(hue, saturation, value)


def sample_background(rng: np.random.Generator, colours: set[str]) -> tuple[Rgb, Rgb]:
    """Choose the background's two ends so that no thing's colour is lost on it."""
    dark = rng.random() < 0.22
    if "white" in colours and "black" in colours:
        style = "middle"
    elif "white" in colours:
        style = "dark" if rng.random() < 0.6 and "brown" not in colours else "middle"
    elif "black" in colours:
        style = "light"
    else:
        style = "dark" if dark and "brown" not in colours else "light"
    if style == "light" and rng.random() < 0.4:
        return (255.0, 255.0, 255.0), (255.0, 255.0, 255.0)
    bounds = {"light": (0.86, 1.0), "dark": (0.0, 0.2), "middle": (0.66, 0.78)}[style]
    if style == "middle" and "gray" not in colours and rng.random() < 0.3:
        bounds = (0.4, 0.6)
    hue = rng.uniform(0, 360)
    near = rgb_of(hue, rng.uniform(0, 0.13), rng.uniform(*bounds))
    if rng.random() < 0.6:
        return near, near
    return near, rgb_of(hue + rng.uniform(-60, 60), rng.uniform(0, 0.13), rng.uniform(*bounds))


def rgb_of(hue: float, saturation: float, value: float) -> Rgb:
    red, green, blue = colorsys.hsv_to_rgb((hue % 360) / 360, saturation, value)
    return red * 255, green * 255, blue * 255


def contrast(rgb: Rgb, *others: Rgb) -> float:
    """Return the least Euclidean RGB distance between `rgb` and the others."""
    return min(float(np.linalg.norm(np.subtract(rgb, other))) for other in others)


def gap(values: list[float]) -> float:
    """Return the smallest step between neighbouring values: how clear an order is."""
    return min((b - a for a, b in pairwise(sorted(values))), default=1.0)
