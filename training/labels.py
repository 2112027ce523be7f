"""What each patch of a picture shows, for teaching the tower: characters, and on scenes of shapes the shapes.

In: the glyphs of a picture, and which part of it is seen. Out: class numbers, four to a patch. A character belongs to
the patch that its centre lies in; a patch's characters stand in reading order. This is what makes reading learnable in
minutes: the language model alone has to find out from words at the end of a sentence what lies where.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

SLOTS = 4
"""Characters that a patch is asked for."""
PRINTED = (
    "!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~"
    "£€¥°©®§±×÷·•–—…’‘“”éèêëáàâäãåçíîïñóôöõøúûüßæÉÖÄÜ→←↑↓✓✗★"
)
CLASSES = len(PRINTED) + 2
"""0 is nothing, then characters, any other character."""
UNKNOWN = 255
"""A patch with more characters than there are slots: not asked."""
_NUMBERS = {character: number + 1 for number, character in enumerate(PRINTED)}
Characters = NDArray[np.uint8]


class Mark(Protocol):
    """A visible character, or a thing with a name: what it is and where its centre lies, in shares of the picture."""

    @property
    def character(self) -> str: ...
    @property
    def x(self) -> float: ...
    @property
    def y(self) -> float: ...


def label_characters(
    marks: Sequence[Mark], grid: int, *, part: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
) -> Characters:
    """Return (grid * grid, SLOTS) classes of the characters among `marks`; things with a name are none.

    `part` is what is seen: left, top, width and height in shares.
    """
    labels = np.zeros((grid * grid, SLOTS), np.uint8)
    held = np.zeros(grid * grid, np.int64)
    left, top, width, height = part
    for mark in marks:
        x, y = (mark.x - left) / width, (mark.y - top) / height
        if not (0 <= x < 1 and 0 <= y < 1) or mark.character.isspace() or len(mark.character) > 1:
            continue
        patch = int(y * grid) * grid + int(x * grid)
        if held[patch] < SLOTS:
            labels[patch, held[patch]] = class_of(mark.character)
        held[patch] += 1
    labels[held > SLOTS] = UNKNOWN
    return labels


def class_of(character: str) -> int:
    """Return the class of a character."""
    return _NUMBERS.get(character, len(PRINTED) + 1)


def pick_tokens(labels: Characters, pool: int, count: int, rng: np.random.Generator) -> NDArray[np.int16]:
    """Choose `count` tokens to be asked about: those with characters first, but a quarter wherever it falls."""
    grid = round(len(labels) ** 0.5)
    side = grid // pool
    printed = (labels > 0).any(1).reshape(side, pool, side, pool).any((1, 3)).ravel()
    urgency = rng.random(side * side) + printed * (rng.random(side * side) < 0.75)
    return np.argsort(-urgency)[:count].astype(np.int16)
