"""The characters of a drawn picture → its text as the service's transcriber reads it to the model, without running it.

In: glyphs, each with its box, in the order they were written. Out: rows of text in reading order, cells parted by
tabs. Boxes are made as the transcriber's detector makes them, a stretch of a line each, and put in order by the
transcriber's own code, which needs numpy alone; what it misreads is drawn at random. Reading a picture for real takes
ten times as long as drawing it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pictures import Glyph

sys.path.insert(0, str(Path(__file__).parent.parent / "src"))  # Training runs without the service installed.

from pagetext.layout.reading_order import ChartLayout, reading_order
from pagetext.normalise import as_figures
from pagetext.plain_text import ChartData, chart_text, row_text
from sightline.prompting.format import whole_lines

MOST_CHARACTERS = 640
"""What of a picture's text the model is told, as its card says."""
# In text heights, measured beside the transcriber on drawn pictures of all kinds.
BREAK, JOIN, BLANK, REACH = 1.1, 0.8, 0.26, 0.16
"""A gap that ends a stretch, one that the detector overlooks, a blank; how far its boxes reach beyond their letters."""
LOST_ROW, LOST_CHARACTER, WRONG, STRAY = 0.01, 0.002, 0.004, 0.04
LOST_BOXES = {"□": 0.1, "☑": 0.09}
"""Check boxes and switches that it does not find, of 353 drawn ones."""
ALIKE = {"O": "0", "0": "O", "l": "I", "I": "l", "1": "l", ",": ".", ".": ",", "S": "5", "5": "S", "B": "8", "é": "e"}
ALIKE |= {"ü": "u", "ö": "o", "ä": "a", "–": "-", "—": "-", "’": "'", "“": '"', "”": '"', "·": ".", "•": "·"}
SCRAWLED = {"0": "CCOo日", "1": "L(9A7一", "2": "LLl118", "3": "了了", "4": "UUun6", "5": "SSS93", "6": "JS1（し"}
SCRAWLED |= {"7": "33七ヌ2", "8": "日1只Sと9", "9": "33368ga丁"}
"""What it takes a digit written by hand for, as often as it did on 260 drawn sheets."""
SCRAWL_WRONG, SCRAWL_LOST = 0.065, 0.04
"""Of such digits; of such sheets, those of which it read nothing."""
MEASURED = 0.9
"""Of the charts whose axis it finds, those of which it measures the values: of 240 drawn ones."""
CLOSING = frozenset(".,:;!?")
"""Before these the transcriber sees no blank, however wide the gap."""
JUNK = "O0D1lo•.-一口IAVX+*C十☆★□Δ大"
"""What the transcriber takes shapes and pictograms for."""
JUNK_ROWS = [0.45, 0.32, 0.15, 0.08]
"""Shares of the pictures without text on which it reads none, one, two or three rows of these."""
JUNK_PAIRS = 0.08
"""Of these rows, those of two signs."""


class Placed(NamedTuple):
    """A character and its box in pixels; whether a blank stands before it, None if its gap tells."""

    character: str
    left: float
    right: float
    top: float
    end: float
    blank: bool | None = None

    @property
    def middle(self) -> float:
        return (self.top + self.end) / 2


@dataclass(slots=True)
class Stretch:
    """Characters of one line that follow one another; pixels. `tops` and `ends` are theirs, from left to right."""

    text: str
    left: float
    right: float
    tops: list[float]
    ends: list[float]
    height: float

    @property
    def middles(self) -> list[float]:
        return [(top + end) / 2 for top, end in zip(self.tops, self.ends, strict=True)]


def read(
    glyphs: Sequence[Glyph],
    size: tuple[int, int],
    rng: np.random.Generator,
    values: Sequence[tuple[str, str]] = (),
) -> str:
    """Return the text; `size` is the picture's (width, height) in pixels, `values` those of a chart, if not printed."""
    stretches = joined([stretch(run) for run in runs_of(scrawled(glyphs, rng), *size)])
    if not stretches:
        return junk(rng)
    rows = []
    slope = slope_of(stretches)
    texts = [one.text for one in stretches]
    for line in reading_order(np.array([box_of(one, slope) for one in stretches])):
        if isinstance(line, ChartLayout):
            row = plotted(line, texts, dict(values), rng)
        else:
            row = row_text([" ".join(texts[index] for index in cell) for cell in line.cells], line.data_labels)
        if row and rng.random() >= LOST_ROW:
            rows.append(as_figures(misread(row, rng)).replace(" \t", "\t").rstrip())
    if rng.random() < STRAY:
        rows.insert(int(rng.integers(len(rows) + 1)), JUNK[int(rng.integers(len(JUNK)))])
    return whole_lines("\n".join(rows), MOST_CHARACTERS)


def plotted(plot: ChartLayout, texts: Sequence[str], values: Mapping[str, str], rng: np.random.Generator) -> str:
    """Return the text of a chart, with the values of its labels about as often as the transcriber measures them."""
    lines = ["\t".join(" ".join(texts[index] for index in cell) for cell in row) for row in plot.rows]
    corner = texts[plot.axes.row[0]] if plot.axes.corner else ""
    beside = [texts[index] for index in plot.axes.column]
    below = [texts[index] for index in plot.axes.row[plot.axes.corner :]]
    below = [word for text in below for word in ([text] if text in values else text.split())]
    for labels, stands in ((below, True), (beside, False)):
        if sum(label in values for label in labels) > 1 and rng.random() < MEASURED:
            seen = [f"~{values[label]}" if label in values else "" for label in labels]
            return chart_text(lines, corner, ChartData(labels, seen, stands))
    return chart_text(lines, corner, None)


def junk(rng: np.random.Generator) -> str:
    """Return what the transcriber makes of a picture without text: mostly nothing."""
    count = int(rng.choice(range(len(JUNK_ROWS)), p=JUNK_ROWS))
    rows = [2 if rng.random() < JUNK_PAIRS else 1 for _ in range(count)]
    return "\n".join("".join(JUNK[int(rng.integers(len(JUNK)))] for _ in range(signs)) for signs in rows)


def scrawled(glyphs: Sequence[Glyph], rng: np.random.Generator) -> list[Glyph]:
    """Take what is written by hand for something else, about as often as the transcriber does."""
    if not any(glyph.by_hand for glyph in glyphs):
        return list(glyphs)
    if rng.random() < SCRAWL_LOST:
        return [glyph for glyph in glyphs if not glyph.by_hand]
    made = []
    for glyph in glyphs:
        if glyph.by_hand and glyph.character in SCRAWLED and rng.random() < SCRAWL_WRONG:
            others = SCRAWLED[glyph.character]
            glyph = replace(glyph, character=others[int(rng.integers(len(others)))])
        made.append(glyph)
    return made


def runs_of(glyphs: Sequence[Glyph], width: int, height: int) -> list[list[Placed]]:
    """Part the characters, in the order they were written, where a line ends or a wide gap is; names are not text."""
    runs: list[list[Placed]] = []
    for glyph in glyphs:
        if len(glyph.character) != 1 or glyph.character.isspace():
            continue
        x, y, wide, high = glyph.x * width, glyph.y * height, glyph.width * width, glyph.height * height
        placed = Placed(glyph.character, x - wide / 2, x + wide / 2, y - high / 2, y + high / 2, glyph.blank)
        if runs and follows(runs[-1], placed):
            runs[-1].append(placed)
        else:
            runs.append([placed])
    return runs


def follows(run: Sequence[Placed], placed: Placed) -> bool:
    """Say whether a character goes on with a run."""
    tall = max(one.end - one.top for one in run[-8:])
    gap, last = placed.left - run[-1].right, run[-1]
    on_line = abs(placed.middle - last.middle) <= 0.75 * max(tall, placed.end - placed.top)
    return on_line and -0.6 * tall <= gap <= BREAK * tall


def stretch(run: Sequence[Placed]) -> Stretch:
    """Join the characters of a run; blanks are where they were written, else where gaps are wide beside the others."""
    tall = max(one.end - one.top for one in run)
    gaps = [after.left - before.right for before, after in pairwise(run)]
    usual = sorted(gaps)[len(gaps) // 2] if gaps else 0.0
    blank = max(BLANK * tall, 1.9 * usual + 0.04 * tall)
    text = run[0].character
    for gap, placed in zip(gaps, run[1:], strict=True):
        parted = gap > blank if placed.blank is None else placed.blank
        text += (" " if parted and placed.character not in CLOSING else "") + placed.character
    return Stretch(text, run[0].left, run[-1].right, [one.top for one in run], [one.end for one in run], tall)


def joined(stretches: Sequence[Stretch]) -> list[Stretch]:
    """Join stretches that the detector would not tell apart: of one size, side by side on one line."""
    found: list[Stretch] = []
    for one in sorted(stretches, key=lambda one: one.left):
        other = next((other for other in found if goes_on(other, one)), None)
        if other is None:
            found.append(one)
            continue
        tall = max(one.height, other.height)
        parted = one.left - other.right > BLANK * tall and one.text[0] not in CLOSING
        other.text += (" " if parted else "") + one.text
        other.tops, other.ends = other.tops + one.tops, other.ends + one.ends
        other.right, other.height = one.right, tall
    return found


def goes_on(left: Stretch, right: Stretch) -> bool:
    tall, small = max(left.height, right.height), min(left.height, right.height)
    near = -0.3 * tall < right.left - left.right < JOIN * tall
    return near and small > 0.6 * tall and abs(right.middles[0] - left.middles[-1]) < 0.35 * tall


def slope_of(stretches: Sequence[Stretch]) -> float:
    """Return how much the lines of a page fall on their way: the median of the longer half, for short ones say little.

    A line that leans takes its tops and its ends along; high letters before low ones move only one of them.
    """
    slopes = []
    for one in sorted(stretches, key=lambda one: one.right - one.left, reverse=True)[: (len(stretches) + 1) // 2]:
        rises = sorted((rise_of(one.tops), rise_of(one.ends)), key=abs)
        slopes.append(rises[0] / (one.right - one.left) if rises[0] * rises[1] > 0 else 0.0)
    return float(np.median(slopes))


def box_of(one: Stretch, slope: float) -> list[tuple[float, float]]:
    """Return the detector's box: (4, 2) pixels, clockwise from the upper left, leaning as the page's lines do."""
    reach = REACH * one.height
    left, right, half = one.left - reach, one.right + reach, one.height / 2 + reach
    rise = slope * (one.right - one.left)
    middle = sum(one.middles) / len(one.tops)
    before, after = middle - rise / 2, middle + rise / 2
    return [(left, before - half), (right, after - half), (right, after + half), (left, before + half)]


def rise_of(edges: Sequence[float]) -> float:
    """Return how much lower the last quarter of the edges lies than the first."""
    few = max(1, len(edges) // 4)
    return sum(edges[-few:]) / few - sum(edges[:few]) / few if len(edges) > 3 else 0.0


def misread(row: str, rng: np.random.Generator) -> str:
    """Take single characters for others or leave them out, about as often as the transcriber does."""
    made = []
    for character, chance in zip(row, rng.random(len(row)), strict=True):
        lost = LOST_BOXES.get(character, LOST_CHARACTER)
        if character in "\t\n" or chance >= lost + WRONG:
            made.append(character)
        elif chance >= lost:
            made.append(ALIKE.get(character, character))
    return "".join(made)
