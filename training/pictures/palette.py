"""Colours that go together: paper, ink, a fainter ink, an accent and what is written on the accent.

A palette belongs to one split for good, by its name; light, dark and tinted ones are all in each split.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from pictures.base import Split, split_of
from pictures.page import Colour

LIGHT_PAPERS = {"white": (0, 0.0, 1.0), "snow": (200, 0.02, 0.98), "ivory": (45, 0.07, 0.99), "cream": (40, 0.13, 0.97)}
LIGHT_PAPERS |= {"mist": (210, 0.05, 0.94), "sand": (35, 0.2, 0.92), "mint": (150, 0.1, 0.95), "rose": (350, 0.1, 0.97)}
LIGHT_PAPERS |= {"sky": (205, 0.16, 0.96), "lilac": (270, 0.12, 0.95), "lemon": (55, 0.3, 0.98), "ash": (0, 0.0, 0.86)}
LIGHT_PAPERS |= {
    "peach": (22, 0.22, 0.98),
    "kraft": (32, 0.32, 0.82),
    "aqua": (180, 0.18, 0.93),
    "silver": (0, 0, 0.92),
}
DARK_PAPERS = {"night": (220, 0.5, 0.12), "coal": (0, 0.0, 0.1), "slate": (210, 0.25, 0.2), "wine": (345, 0.6, 0.25)}
DARK_PAPERS |= {"forest": (140, 0.55, 0.2), "navy": (225, 0.7, 0.3), "plum": (285, 0.5, 0.25), "ink": (250, 0.3, 0.16)}
DARK_PAPERS |= {"teal": (185, 0.7, 0.27), "cocoa": (20, 0.5, 0.2), "royal": (230, 0.75, 0.5), "brick": (10, 0.7, 0.45)}
DARK_INKS = {
    "black": (0, 0.0, 0.05),
    "graphite": (0, 0.0, 0.22),
    "blueblack": (225, 0.6, 0.3),
    "sepia": (25, 0.6, 0.28),
}
DARK_INKS |= {
    "pine": (150, 0.8, 0.25),
    "maroon": (350, 0.8, 0.38),
    "violet": (275, 0.7, 0.38),
    "cobalt": (222, 0.85, 0.5),
}
LIGHT_INKS = {"white": (0, 0.0, 1.0), "pearl": (45, 0.05, 0.93), "gold": (48, 0.5, 0.97), "ice": (190, 0.2, 1.0)}
LIGHT_INKS |= {"lime": (85, 0.4, 0.95), "pink": (340, 0.22, 1.0), "silver": (0, 0.0, 0.82), "sunset": (28, 0.4, 1.0)}
ACCENTS = {"scarlet": (0, 0.85, 0.75), "orange": (24, 0.9, 0.85), "amber": (42, 0.9, 0.9), "olive": (75, 0.7, 0.5)}
ACCENTS |= {"green": (135, 0.75, 0.55), "teal": (178, 0.85, 0.5), "azure": (205, 0.85, 0.75), "blue": (225, 0.8, 0.75)}
ACCENTS |= {"indigo": (250, 0.6, 0.6), "purple": (285, 0.6, 0.55), "magenta": (318, 0.75, 0.7), "gray": (210, 0.1, 0.5)}
Hsv = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Palette:
    """`ink`, `muted` and `tint` can be read on `paper`, `on_accent` on `accent`; `faint` lines, `soft` shades boxes."""

    name: str
    dark: bool
    paper: Colour
    ink: Colour
    muted: Colour
    faint: Colour
    soft: Colour
    accent: Colour
    on_accent: Colour
    tint: Colour


@lru_cache(maxsize=8)
def names(split: Split, dark: bool) -> tuple[tuple[str, str, str], ...]:
    papers, inks = (DARK_PAPERS, LIGHT_INKS) if dark else (LIGHT_PAPERS, DARK_INKS)
    every = [(paper, ink, accent) for paper in papers for ink in inks for accent in ACCENTS]
    return tuple(each for each in every if split_of("-".join(each)) == split)


def pick_palette(rng: np.random.Generator, split: Split, *, dark: float = 0.25) -> Palette:
    """Choose a palette; a share `dark` of them is light on dark, and black on white is the commonest of the light."""
    is_dark = bool(rng.random() < dark)
    chosen = names(split, is_dark)
    if not is_dark and rng.random() < 0.35:
        chosen = tuple(each for each in chosen if each[0] in ("white", "snow") and each[1] in ("black", "graphite"))
    paper, ink, accent = chosen[int(rng.integers(len(chosen)))]
    papers, inks = (DARK_PAPERS, LIGHT_INKS) if is_dark else (LIGHT_PAPERS, DARK_INKS)
    return blend(
        f"{paper}-{ink}-{accent}", is_dark, rgb(papers[paper], rng), rgb(inks[ink], rng), rgb(ACCENTS[accent], rng)
    )


def blend(name: str, dark: bool, paper: Colour, ink: Colour, accent: Colour) -> Palette:
    on_accent = (255, 255, 255) if lightness(accent) < 150 else (15, 15, 20)
    tint = accent
    while abs(lightness(tint) - lightness(paper)) < 85:
        tint = mix(tint, ink, 0.3)
    muted, faint, soft = (mix(ink, paper, share) for share in (0.25, 0.7, 0.92))
    return Palette(name, dark, paper, ink, muted, faint, soft, accent, on_accent, tint)


def rgb(hsv: Hsv, rng: np.random.Generator | None = None) -> Colour:
    """Return the colour, a little off if a generator is given."""
    hue, saturation, value = hsv
    if rng is not None:
        hue += rng.uniform(-4, 4)
        saturation, value = (min(1.0, max(0.0, x + rng.uniform(-0.02, 0.02))) for x in (saturation, value))
    red, green, blue = colorsys.hsv_to_rgb((hue % 360) / 360, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """Return `a` with a share of `b` in it."""
    red, green, blue = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return red, green, blue


def lightness(colour: Colour) -> float:
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]
