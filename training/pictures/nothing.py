"""Pictures that say nothing: noise, clouds, waves, hills, fractals, shaded things and more, to learn to decline.

Made of numbers only. Some generators are kept for eval, and so are two photographs: what is held out looks like
nothing taught.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from pictures.asking import casual, wording
from pictures.base import UNKNOWN, Picture, Question, Split, pick
from pictures.fields import FIELDS, wordings
from pictures.fonts import GATHERED
from pictures.lines import IS_TEXT, WHAT, sheet_size
from pictures.palette import rgb
from pictures.wear import noise_tile, wear

Field = NDArray[np.float32]
SMALL = 224
OTHERS = (
    "Who is in the picture?",
    "What is this?",
    "What is shown in the image?",
    "What breed is the dog?",
    "Which city is this?",
    "What is the person wearing?",
    "How old is the person?",
    "Which building is this?",
    "What is in the image?",
    "Which animal is it?",
    "What are the people doing?",
    "Describe the image.",
    "Where was this photo taken?",
    "What kind of car is this?",
    "What is the weather like?",
    "Which food is on the plate?",
)
CHARTS: tuple[str, ...] = (
    "Which bar is the highest?",
    "What is the title of the chart?",
    "How many rows does the table have?",
)
CHARTS += (
    "What is the value of A?",
    "Which buttons are there?",
    "What does the first line say?",
    "Which button is it?",
)
CHARTS += ("What is in the second row?", "Which menu item is selected?", "What does the message say?")


def draw_nothing(rng: np.random.Generator, split: Split) -> Picture:
    makers = EVAL if split == "eval" else WATCH if split == "watch" else TRAIN
    size = sheet_size(rng, large=0.1)
    if split == "eval" and photographs() and rng.random() < 0.5:
        image = cutting(rng)
    else:
        image = coloured(pick(rng, makers)(rng), rng)
    image = image.resize(size, Image.Resampling.BICUBIC)
    if rng.random() < 0.3:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.5, 3))))
    return Picture("nothing", (wear(image, rng, 1.0),), ((),), questions_of(rng, split))


@lru_cache(maxsize=1)
def photographs() -> tuple[Image.Image, ...]:
    """Return scikit-learn's sample photographs, which are for eval alone."""
    return tuple(Image.open(file).convert("RGB") for file in sorted((GATHERED / "photographs").glob("*.jpg")))


def cutting(rng: np.random.Generator) -> Image.Image:
    photograph = pick(rng, photographs())
    side = int(min(photograph.size) * rng.uniform(0.4, 1.0))
    left, top = (int(rng.integers(0, edge - side + 1)) for edge in photograph.size)
    cut = photograph.crop((left, top, left + side, top + side))
    return cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else cut


def questions_of(rng: np.random.Generator, split: Split) -> tuple[Question, ...]:
    """Ask for what other pictures say; the answer is always that one can't tell, but whether there is text is known."""
    found: dict[str, Question] = {}
    number = int(rng.integers(3, 6))
    while len(found) < number:
        chance = rng.random()
        if chance < 0.3:
            text = wording(rng, split, wordings(pick(rng, tuple(FIELDS))))
        elif chance < 0.5:
            text = wording(rng, split, WHAT[pick(rng, tuple(WHAT))])
        elif chance < 0.65:
            text = wording(rng, split, CHARTS)
        else:
            text = wording(rng, split, OTHERS)
        found[text] = Question("unknown", casual(rng, text), UNKNOWN)
    if rng.random() < 0.6:
        text = casual(rng, wording(rng, split, IS_TEXT))
        found[text] = Question("yes/no", text, "no")
    return tuple(found.values())


def coloured(field: Field, rng: np.random.Generator) -> Image.Image:
    """Turn values of 0 to 1 into colours that run between two to four of them."""
    count = int(rng.integers(2, 5))
    stops = np.array([rgb((rng.uniform(0, 360), rng.uniform(0, 0.9), rng.uniform(0.05, 1))) for _ in range(count)])
    low, high = float(field.min()), float(field.max())
    place = (field - low) / max(1e-6, high - low) * (count - 1)
    i = np.clip(place.astype(np.int32), 0, count - 2)
    share = (place - i)[..., None]
    return Image.fromarray((stops[i] + (stops[i + 1] - stops[i]) * share).astype(np.uint8))


def axes(rng: np.random.Generator) -> tuple[Field, Field]:
    scale = float(rng.uniform(1, 3))
    line = np.linspace(-scale, scale, SMALL, dtype=np.float32)
    return line[None], line[:, None]


def clouds(rng: np.random.Generator, octaves: int = 6) -> Field:
    """Add up noise of finer and finer grain."""
    total = np.zeros((SMALL, SMALL), np.float32)
    weight = 1.0
    for octave in range(1, octaves + 1):
        side = min(SMALL, 2**octave + 1)
        few = Image.fromarray(rng.random((side, side), np.float32))
        total += weight * np.asarray(few.resize((SMALL, SMALL), Image.Resampling.BICUBIC))
        weight *= float(rng.uniform(0.4, 0.7))
    return total


def static(rng: np.random.Generator) -> Field:
    tile = noise_tile(int(rng.integers(4)))[:SMALL, :SMALL, int(rng.integers(3))]
    step = pick(rng, (1, 1, 2, 4, 8))
    return np.repeat(np.repeat(tile[::step, ::step], step, 0), step, 1)[:SMALL, :SMALL].astype(np.float32)


def gradient(rng: np.random.Generator) -> Field:
    x, y = axes(rng)
    field: Field = np.asarray(x * rng.normal() + y * rng.normal() + 0.3 * x * y * rng.normal(), np.float32)
    return field


def waves(rng: np.random.Generator) -> Field:
    x, y = axes(rng)
    field = np.zeros((SMALL, SMALL), np.float32)
    for _ in range(int(rng.integers(1, 5))):
        a, b, c = rng.normal(0, 5, 3)
        field += np.sin(a * x + b * y + c).astype(np.float32)
    return field


def cells(rng: np.random.Generator) -> Field:
    """Return the distance to the nearest of some points."""
    x, y = axes(rng)
    points = rng.uniform(-2, 2, (int(rng.integers(6, 30)), 2)).astype(np.float32)
    field: Field = np.min([np.hypot(x - a, y - b) for a, b in points], axis=0)
    return field


def hills(rng: np.random.Generator) -> Field:
    """Return ridges before a sky, the nearest lowest."""
    field = np.broadcast_to(np.linspace(0, 0.5, SMALL, dtype=np.float32)[:, None], (SMALL, SMALL)).copy()
    across = np.linspace(0, 1, SMALL)
    rows = np.arange(SMALL)[:, None]
    for ridge in range(int(rng.integers(2, 6))):
        bends = [np.sin(across * f * 6 + rng.uniform(0, 6)) / f for f in (1, 2.3, 5.1, 11)]
        line = np.sum(bends, axis=0) * rng.uniform(4, 18)
        top = SMALL * (0.35 + 0.13 * ridge) + line
        field[rows > top[None]] = 0.55 + 0.1 * ridge + float(rng.uniform(-0.04, 0.04))
    return field + clouds(rng, 5) * np.float32(rng.uniform(0, 0.15))


def fractal(rng: np.random.Generator) -> Field:
    """Return how soon points of a Julia set run away."""
    x, y = axes(rng)
    z = (x * 0.7 + 1j * y * 0.7).astype(np.complex64)
    angle = rng.uniform(0, 2 * np.pi)
    c = np.complex64(0.7885 * np.exp(1j * angle))
    steps = np.zeros(z.shape, np.float32)
    for _ in range(18):
        inside = np.abs(z) < 2
        z = np.where(inside, z * z + c, z)
        steps += inside
    return steps


def marble(rng: np.random.Generator) -> Field:
    x, _ = axes(rng)
    field: Field = np.sin(x * 6 + clouds(rng) * 4).astype(np.float32)
    return field


def rings(rng: np.random.Generator) -> Field:
    x, y = axes(rng)
    reach = np.hypot(x - rng.normal(), y - rng.normal())
    field: Field = np.sin(reach * rng.uniform(5, 25) + clouds(rng, 4)).astype(np.float32)
    return field


def weave(rng: np.random.Generator) -> Field:
    x, y = axes(rng)
    field: Field = (np.sign(np.sin(x * 30)) * np.sin(y * 40) + clouds(rng, 3)).astype(np.float32)
    return field


def still(rng: np.random.Generator) -> Field:
    """Return round things on a table, shaded as by a lamp, some one in another as a cup on its plate."""
    x, y = axes(rng)
    field = np.asarray(gradient(rng) * 0.2 + clouds(rng, 5) * np.float32(rng.uniform(0.02, 0.2)), np.float32)
    lamp, soft = rng.uniform(0, 2 * np.pi), float(rng.uniform(0.01, 0.08))
    for _ in range(int(rng.integers(1, 6))):
        a, b, wide = rng.normal(0, 0.7), rng.normal(0, 0.7), rng.uniform(0.2, 1.0)
        flat = rng.uniform(0.4, 1.0)
        for ring in range(int(rng.integers(1, 4))):
            reach = np.hypot(x - a, (y - b) / flat) / (wide * 0.72**ring)
            cover = 1 / (1 + np.exp(np.clip((reach - 1) / soft, -30, 30)))
            light = ((x - a) * np.cos(lamp) + (y - b) * np.sin(lamp)) / wide
            level = rng.uniform(0, 2) + rng.uniform(0.2, 0.8) * light - rng.uniform(0, 0.5) * reach**2
            field = np.asarray(field * (1 - cover) + level * cover, np.float32)
    return field


Maker = Callable[[np.random.Generator], Field]
TRAIN: tuple[Maker, ...] = (clouds, static, gradient, waves, cells, hills, fractal, still, still)
WATCH: tuple[Maker, ...] = (weave,)
EVAL: tuple[Maker, ...] = (marble, rings)
