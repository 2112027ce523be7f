"""What a drawn picture is: pixels, the place of every character, and questions with true answers.

The boundary between this package and the scripts that train: they see `Picture` and nothing behind it. Splits are
told apart by what is in a picture (fonts, words, layouts, palettes), so the random generator alone never decides.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
from PIL import Image
from scenes import Scene

T = TypeVar("T")
Split = Literal["train", "watch", "eval"]
SPLITS: dict[Split, int] = {"train": 1, "watch": 2, "eval": 3}
VIEW = 448
UNKNOWN = "I can't tell from this image."


@dataclass(frozen=True, slots=True)
class Glyph:
    """One visible character; the centre and size of its box as shares of the picture's width and height.

    `blank` says whether a blank stands before it in its line, None where that shows in the gap alone.
    """

    character: str
    x: float
    y: float
    width: float
    height: float
    by_hand: bool = False
    blank: bool | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """A question and the exact text of its answer: JSON where `schema` says what JSON.

    `told` is the bare answer where a sentence is asked for. What is `seen` no text tells: it takes the picture.
    """

    skill: str
    text: str
    answer: str
    schema: dict[str, Any] | None = None
    told: str = ""
    seen: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """One image, or two to be compared, with the characters on each and the questions about them.

    A pictogram is a glyph too, with its name in place of a character.
    """

    kind: str
    images: tuple[Image.Image, ...]
    glyphs: tuple[tuple[Glyph, ...], ...]
    questions: tuple[Question, ...]
    scenes: tuple[Scene, ...] = ()
    """Of each image the scene that it was drawn from, if it shows shapes."""
    values: tuple[tuple[str, str], ...] = ()
    """The labels of a chart with their values if these are not printed."""


def rng_for(split: Split, index: int, seed: int = 0) -> np.random.Generator:
    """Return the generator of one picture."""
    return np.random.default_rng([SPLITS[split], seed, index, 6])


def split_of(text: str, *, eval_percent: int = 12, watch_percent: int = 6) -> Split:
    """Say to which split a word, a layout or a palette belongs: always the same one."""
    place = zlib.crc32(text.lower().encode()) % 100
    if place < eval_percent:
        return "eval"
    return "watch" if place < eval_percent + watch_percent else "train"


def pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    return options[int(rng.integers(len(options)))]
