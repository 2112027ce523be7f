"""A document being written: its rows, what it says and what it lacks; then its picture.

In: a function that builds a `Sheet`. Out: a `Picture` on which the smallest type is 12 px or more at a 448 view (for
large ones, at a view of 896, as two by two panned crops give). A sheet that does not fit is built again, smaller.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from pictures import fields
from pictures.asking import Absent, Fact, Json, ask
from pictures.base import VIEW, Picture, Split
from pictures.ground import ground
from pictures.layout import Row, Type, fit, pick_type, set_rows
from pictures.page import Box, Colour, Page
from pictures.palette import Palette, mix, pick_palette
from pictures.wear import finish

LEAST_PX = 12
LARGE_VIEW = 896
TRIES = 12


@dataclass(slots=True)
class Sheet:
    """Rows from top to bottom, facts about them, what is not there, and what the whole is called."""

    rows: list[Row] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    absent: list[Absent] = field(default_factory=list)
    what: str = ""

    def say(self, name: str, text: str, label: str = "", value: Json = None) -> None:
        self.facts.append(fields.fact(name, text, label, value))

    def lack(self, *names: str) -> None:
        self.absent += fields.absent(names)

    def rule(self, style: str) -> None:
        """Draw a rule below what is there so far."""
        if self.rows and style != "none":
            self.rows[-1].rule = style
        elif self.rows:
            self.rows[-1].pad = max(self.rows[-1].pad, 0.1)


@dataclass(frozen=True, slots=True)
class Shape:
    """Bounds of width over height, faces to choose from, and how much the picture may be worn and turned."""

    narrow: float = 0.6
    wide: float = 1.5
    styles: tuple[str, ...] = ()
    dark: float = 0.1
    tilt: float = 1.0
    strength: float = 1.0
    desk: float = 0.25
    large: bool = False


Build = Callable[[int], Sheet]
Decorate = Callable[[Page, Type, float, Palette, Box], None]


def lay(
    build: Build, kind: str, rng: np.random.Generator, split: Split, shape: Shape, *, decorate: Decorate | None = None
) -> Picture:
    """Build a sheet (`build` is told how often it failed to fit), set it and ask about it."""
    for attempt in range(TRIES):
        sheet = build(attempt)
        type_ = pick_type(rng, split, *shape.styles)
        size, room, em = measure(sheet.rows, type_, rng, shape)
        if em >= least_em(size, large=shape.large):
            break
    else:
        raise RuntimeError(f"{kind}: nothing fits")
    page, palette, around = paper(rng, split, size, room, shape)
    high = sum(row.height for row in sheet.rows) * em
    left, top, right, bottom = room
    top += float(rng.random()) * max(0.0, bottom - top - high)
    set_rows(page, sheet.rows, type_, em, palette, (left, top, right, bottom))
    if decorate is not None:
        decorate(page, type_, em, palette, (left, top, right, top + high))
    image, glyphs = finish(page, rng, strength=shape.strength, tilt=shape.tilt, around=around)
    return Picture(kind, (image,), (glyphs,), ask(rng, split, sheet.facts, sheet.absent, what=sheet.what))


def least_em(size: tuple[int, int], *, large: bool) -> float:
    return LEAST_PX * max(size) / (LARGE_VIEW if large else VIEW)


def measure(rows: list[Row], type_: Type, rng: np.random.Generator, shape: Shape) -> tuple[tuple[int, int], Box, float]:
    """Choose a size near the rows' own proportions; return it with the box to write in and the em."""
    height_em = sum(row.height for row in rows)
    width_em = 1 / fit(rows, type_, 1.0, 1e9)
    own = (width_em + 2) / (height_em + 2)
    aspect = float(np.clip(own * rng.uniform(0.9, 1.5), shape.narrow, shape.wide))
    longer = longer_side(rng, large=shape.large)
    size = (longer, round(longer / aspect)) if aspect > 1 else (round(longer * aspect), longer)
    least = least_em(size, large=shape.large)
    loose = rng.random(4) * (0.2 if rng.random() < shape.desk else 0.03) + 0.03
    for shares in (loose, np.full(4, 0.03)):
        left, top = size[0] * shares[0], size[1] * shares[1]
        right, bottom = size[0] * (1 - shares[2]), size[1] * (1 - shares[3])
        most = fit(rows, type_, right - left, bottom - top)
        if most >= least:
            em = float(np.exp(rng.uniform(np.log(max(least, most * 0.5)), np.log(most))))
            return size, (left, top, right, bottom), em
    return size, (left, top, right, bottom), most


def longer_side(rng: np.random.Generator, *, large: bool) -> int:
    if large:
        return int(rng.integers(896, 1345))
    chance = rng.random()
    if chance < 0.35:
        return VIEW
    return int(rng.integers(VIEW, 640)) if chance < 0.85 else int(rng.integers(640, 896))


def paper(
    rng: np.random.Generator, split: Split, size: tuple[int, int], room: Box, shape: Shape
) -> tuple[Page, Palette, Colour | None]:
    """Return the page to write on; where there is room around it, it may lie on a desk."""
    palette = pick_palette(rng, split, dark=shape.dark)
    page = Page(size, palette.paper)
    page.show(ground(rng, size, palette, busy=0.2))
    roomy = max(room[0] / size[0], room[1] / size[1]) > 0.07
    if not roomy or rng.random() < 0.3:
        return page, palette, None
    desk = mix(palette.accent, palette.ink, float(rng.uniform(0.1, 0.8)))
    gap = 0.02 * min(size)
    box = (room[0] - gap, room[1] - gap, room[2] + gap, room[3] + gap)
    left, top, right, bottom = (round(edge) for edge in box)
    sheet = page.image.crop((left, top, right, bottom))
    page.show(Image.new("RGB", size, desk))
    page.image.paste(sheet, (left, top))
    return page, palette, desk
