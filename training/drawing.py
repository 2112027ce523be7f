"""A scene → pixels, and → what each patch of the picture shows.

In: a `Scene`. Out: uint8 RGB arrays (height, width, 3), softened and worn as real files are, and dense labels for
teaching the vision tower. Knows no words. Imports no PyTorch, so that evaluation runs where the model is served.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from labels import Mark
from numpy.typing import NDArray
from PIL import Image
from scenes import COLOUR_NAMES, SHAPE_NAMES, Scene, Thing, sample_scene
from shapes import SHAPES

Pixels = NDArray[np.uint8]
SPLITS = {"train": 1, "eval": 2, "watch": 3}
SAMPLES_PER_PATCH = 4
UNASKED = -100
MOST_COUNTED = 9
"""The highest number that `PatchLabels.relations` has."""
INSIDE = 0.45
"""A patch shows a pictogram if its middle lies this near to the pictogram's, in shares of its width and height."""


@dataclass(frozen=True, slots=True)
class PatchLabels:
    """What each patch shows, row by row; 0 in `shape`, `colour` and `name` means background.

    `name` counts through the names of pictograms; a shape's is UNASKED, as are a pictogram's shape and colour.
    `centre` is 1 where a thing's centre lies; `offset` is (patches, 5): way to the centre in x and y, the thing's
    reach, and where on the picture its centre is, as shares of the picture, zero on background. `relations` is
    (patches, 6): how many things there are, how many share the shape or name, the colour, both, and the thing's rank
    from the left and from the top; UNASKED on background, except for the first.
    """

    shape: NDArray[np.int64]
    colour: NDArray[np.int64]
    name: NDArray[np.int64]
    centre: NDArray[np.float32]
    offset: NDArray[np.float32]
    relations: NDArray[np.int64]


class Named(Mark, Protocol):
    """A pictogram: its name in place of a character, and the size of its box as well."""

    @property
    def width(self) -> float: ...
    @property
    def height(self) -> float: ...


def rng_for(split: str, index: int, seed: int = 0) -> np.random.Generator:
    """Return the generator of one sample; splits never share one."""
    return np.random.default_rng([SPLITS[split], seed, index])


def draw(scene: Scene, width: int, height: int) -> Pixels:
    """Draw the scene with smooth edges, stretched to the given size if its aspect differs."""
    canvas = draw_background(scene, width, height)
    for thing in scene.things:
        draw_thing(canvas, thing, width / scene.aspect, float(height))
    return canvas.clip(0, 255).astype(np.uint8)


def draw_background(scene: Scene, width: int, height: int) -> NDArray[np.float32]:
    near = np.array(scene.near, np.float32)
    far = np.array(scene.far, np.float32)
    if scene.near == scene.far:
        return np.broadcast_to(near, (height, width, 3)).copy()
    x = np.linspace(-1, 1, width, dtype=np.float32)[None] * np.float32(np.cos(scene.direction))
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * np.float32(np.sin(scene.direction))
    ramp = ((x + y) / 2.9 + 0.5)[..., None]
    return near + (far - near) * ramp


def draw_thing(canvas: NDArray[np.float32], thing: Thing, scale_x: float, scale_y: float) -> None:
    """Blend one thing into `canvas` (changed in place)."""
    height, width = canvas.shape[:2]
    margin = 1.15 * thing.reach
    left, right = (int(np.clip((thing.x + side) * scale_x, 0, width)) for side in (-margin, margin))
    top, bottom = (int(np.clip((thing.y + side) * scale_y, 0, height)) for side in (-margin, margin))
    x = (np.arange(left, right, dtype=np.float32) + 0.5) / np.float32(scale_x)
    y = (np.arange(top, bottom, dtype=np.float32) + 0.5) / np.float32(scale_y)
    distance = distance_to(thing, x[None], y[:, None]) * np.float32(thing.reach * np.sqrt(scale_x * scale_y))
    reach_px = thing.reach * np.sqrt(scale_x * scale_y)
    region = canvas[top:bottom, left:right]
    if thing.line:
        half = max(thing.line * reach_px, 1.6) / 2
        distance = np.abs(distance + half) - half
    blend(region, distance, thing.rgb)
    if thing.border is not None:
        half = max(0.05 * reach_px, 0.8)
        blend(region, np.abs(distance + half) - half, thing.border)


def blend(region: NDArray[np.float32], distance_px: NDArray[np.float32], rgb: tuple[float, float, float]) -> None:
    cover = np.clip(0.5 - distance_px, 0, 1)[..., None]
    region += (np.array(rgb, np.float32) - region) * cover


def distance_to(thing: Thing, x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the signed distance from frame points to the thing's outline, in units of its reach."""
    right, up = (x - np.float32(thing.x)) / thing.reach, (np.float32(thing.y) - y) / thing.reach
    cos, sin = np.float32(np.cos(thing.angle)), np.float32(np.sin(thing.angle))
    return SHAPES[thing.shape](right * cos + up * sin, up * cos - right * sin, thing.proportion)


def draw_worn(scene: Scene, rng: np.random.Generator, side: int) -> Pixels:
    """Draw the scene as the model will see it: (side, side, 3), resized and worn as an uploaded file would be."""
    if rng.random() < 0.25:
        height = int(rng.integers(side, int(1.8 * side)))
        return resize(wear(draw(scene, round(height * scene.aspect), height), rng), side)
    return wear(draw(scene, side, side), rng)


def wear(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Add noise or JPEG damage to some pictures and leave the others alone."""
    chance = rng.random()
    if chance < 0.25:
        grain = rng.integers(-30000, 30000, pixels.shape, dtype=np.int16).astype(np.float32)
        return (pixels + grain * (rng.uniform(2, 16) / 30000)).clip(0, 255).astype(np.uint8)
    if chance < 0.5:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=int(rng.integers(45, 95)))
        return np.asarray(Image.open(file))
    return pixels


def resize(pixels: Pixels, side: int) -> Pixels:
    """Squash to a square with Pillow's bilinear filter, exactly as the server does."""
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR))


def label_patches(scene: Scene, grid: int) -> PatchLabels:
    """Say for each of grid × grid patches which thing covers it, if any."""
    fine = grid * SAMPLES_PER_PATCH
    steps = (np.arange(fine, dtype=np.float32) + 0.5) / fine
    x, y = steps[None] * np.float32(scene.aspect), steps[:, None]
    labels = Labels(grid, len(scene.things))
    most = np.full((grid, grid), 0.12, np.float32)
    for thing in scene.things:
        inside = (distance_to(thing, x, y) < 0).reshape(grid, SAMPLES_PER_PATCH, grid, SAMPLES_PER_PATCH)
        cover = inside.mean(axis=(1, 3), dtype=np.float32)
        own = cover > most
        most = np.maximum(most, cover)
        labels.shape[own] = SHAPE_NAMES.index(thing.shape) + 1
        labels.colour[own] = COLOUR_NAMES.index(thing.colour) + 1
        labels.name[own] = UNASKED
        labels.place(own, (thing.x / scene.aspect, thing.y), thing.reach, relate(thing, scene))
    return labels.whole()


class Labels:
    """Labels of grid × grid patches on which `things` things lie, while they are filled in."""

    def __init__(self, grid: int, things: int) -> None:
        self.grid = grid
        self.shape, self.colour, self.name = (np.zeros((grid, grid), np.int64) for _ in range(3))
        self.centre = np.zeros((grid, grid), np.float32)
        self.offset = np.zeros((grid, grid, 5), np.float32)
        self.relations = np.full((grid, grid, 6), UNASKED, np.int64)
        self.relations[..., 0] = things
        self.cells = (np.arange(grid, dtype=np.float32) + 0.5) / grid

    def place(
        self, own: NDArray[np.bool_], middle: tuple[float, float], reach: float, relations: Sequence[int]
    ) -> None:
        """Say of a thing's patches where it lies and how it stands to the others."""
        (x, y), cells = middle, self.cells
        way = np.stack(np.broadcast_arrays(x - cells[None], y - cells[:, None], reach, x - 0.5, y - 0.5), axis=-1)
        self.offset[own] = way[own]
        self.relations[own] = relations
        self.centre[int(y * self.grid), int(x * self.grid)] = 1.0

    def whole(self) -> PatchLabels:
        return PatchLabels(
            self.shape.ravel(),
            self.colour.ravel(),
            self.name.ravel(),
            self.centre.ravel(),
            self.offset.reshape(-1, 5),
            self.relations.reshape(-1, 6),
        )


def label_pictograms(marks: Sequence[Named], names: Sequence[str], grid: int) -> PatchLabels:
    """Say for each of grid × grid patches which pictogram its middle lies on, if any; all of `marks` have a name."""
    labels = Labels(grid, len(marks))
    cells = labels.cells
    for mark in marks:
        across, down = np.abs(cells - mark.x) < INSIDE * mark.width, np.abs(cells - mark.y) < INSIDE * mark.height
        own = down[:, None] & across[None]
        own[int(mark.y * grid), int(mark.x * grid)] = True  # However narrow it is.
        labels.shape[own] = labels.colour[own] = UNASKED
        labels.name[own] = names.index(mark.character) + 1
        alike = sum(other.character == mark.character for other in marks)
        before, above = sum(other.x < mark.x for other in marks), sum(other.y < mark.y for other in marks)
        relations = [len(marks), alike, UNASKED, alike, before, above]
        labels.place(own, (mark.x, mark.y), max(mark.width, mark.height) / 2, relations)
    return labels.whole()


def relate(thing: Thing, scene: Scene) -> list[int]:
    """Return what `PatchLabels.relations` says of a thing."""
    things = scene.things
    return [
        len(things),
        sum(other.shape == thing.shape for other in things),
        sum(other.colour == thing.colour for other in things),
        sum((other.shape, other.colour) == (thing.shape, thing.colour) for other in things),
        sum(other.x < thing.x for other in things),
        sum(other.y < thing.y for other in things),
    ]


def contact_sheet(split: str, *, count: int, side: int) -> Pixels:
    """Return `count` drawn pictures beside one another, eight in a row, for a person to look at."""
    rngs = [rng_for(split, index) for index in range(count)]
    pictures = [draw_worn(sample_scene(rng), rng, side) for rng in rngs]
    return np.vstack([np.hstack(pictures[row : row + 8]) for row in range(0, count, 8)])
