"""Rows of cells → a page: the one way in which documents, tables and screens are set.

In: `Row`s whose cells stand at shares of the width, and a family of type. Out: marks on a `Page`. `fit` says how large
the type may be so that nothing touches; all lengths inside a row are in ems, so one number scales a whole document.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pictures.base import Split
from pictures.fonts import bold_of, pick_file
from pictures.page import Box, Colour, Mark, Page
from pictures.palette import Palette
from pictures.typeset import Font, font

MEASURED = 100
APART_EM = 0.7
LEADING = 1.32
BOXES = {"open": "□", "ticked": "☑"}
"""What check boxes are as characters, and switches that are off and on, as the transcriber writes them."""
AFTER = {"l": 1.0, "m": 0.5, "r": 0.0}


@dataclass(frozen=True, slots=True)
class Type:
    """The faces of one document."""

    plain: Path
    bold: Path

    def at(self, size: float, *, bold: bool = False) -> Font:
        return font(self.bold if bold else self.plain, size)


@dataclass(slots=True)
class Cell:
    """A text at a share `x` of the row's width; `tone`: ink, muted, accent or on_accent.

    `mark` draws a box after it: "open", "ticked", or "frame" for one around the text.
    """

    text: str
    x: float = 0.0
    anchor: str = "l"
    bold: bool = False
    scale: float = 1.0
    tone: str = "ink"
    mark: str = ""
    box: Box | None = None


@dataclass(slots=True)
class Row:
    """Cells on one baseline. `fill` shades the row; `rule` is drawn below it: solid, dashed or double."""

    cells: list[Cell] = field(default_factory=list)
    space: float = 0.0
    pad: float = 0.0
    fill: str = ""
    rule: str = ""
    leader: bool = False

    @property
    def scale(self) -> float:
        return max((cell.scale for cell in self.cells), default=0.0)

    @property
    def height(self) -> float:
        """Return its height in ems."""
        return self.scale * LEADING + self.space + 2 * self.pad + (0.4 if self.rule else 0.0)


def pick_type(rng: np.random.Generator, split: Split, *styles: str) -> Type:
    plain = pick_file(rng, split, *styles)
    return Type(plain, bold_of(plain))


def width_em(cell: Cell, type_: Type) -> float:
    wide = type_.at(MEASURED, bold=cell.bold).width(cell.text) / MEASURED * cell.scale
    return wide + (1.4 if cell.mark else 0.0)


def fit(rows: list[Row], type_: Type, width: float, height: float) -> float:
    """Return the largest em in pixels at which the rows are not too high and no two texts touch."""
    most = height / max(0.1, sum(row.height for row in rows))
    for row in rows:
        cells = sorted(row.cells, key=lambda cell: cell.x)
        wide = [width_em(cell, type_) for cell in cells]
        for i, cell in enumerate(cells):
            right = AFTER[cell.anchor] * wide[i]
            left = wide[i] - right
            if i == 0 and left:
                most = min(most, cell.x * width / left)
            following = cells[i + 1] if i + 1 < len(cells) else None
            if following is None:
                most = min(most, (1 - cell.x) * width / right) if right else most
            else:
                after = (1 - AFTER[following.anchor]) * wide[i + 1]
                most = min(most, (following.x - cell.x) * width / (right + after + APART_EM))
    return most


def set_rows(page: Page, rows: list[Row], type_: Type, em: float, palette: Palette, at: Box) -> float:
    """Write the rows into a box from its top; each cell's box is left in `cell.box`. Returns where they end."""
    left, y, right, _ = at
    width = right - left
    for row in rows:
        y += row.space * em
        high = (row.scale * LEADING + 2 * row.pad) * em
        if row.fill and row.cells:
            page.fill((left - 0.4 * em, y, right + 0.4 * em, y + high), tone_of(palette, row.fill))
        baseline = y + row.pad * em + row.scale * em * 1.02
        for cell in row.cells:
            face = type_.at(em * cell.scale, bold=cell.bold)
            ink = tone_of(palette, "on_accent" if row.fill == "accent" else cell.tone)
            cell.box = page.write(cell.text, (left + cell.x * width, baseline), face, ink, anchor=cell.anchor)
            if cell.mark:
                draw_mark(page, cell.mark, cell.box, (baseline, em), palette)
        if row.leader and len(row.cells) > 1:
            lead(page, row, baseline, em, palette)
        y += high
        if row.rule:
            draw_rule(page, row.rule, (left, right), y + 0.15 * em, em, palette)
            y += 0.4 * em
    return y


def draw_mark(page: Page, mark: str, box: Box, at: tuple[float, float], palette: Palette) -> None:
    """Draw the box of a choice after its text, or a frame around a text."""
    baseline, em = at
    line = max(1, round(em / 14))
    if mark == "frame":
        edges = (box[0] - 0.4 * em, baseline - 1.05 * em, box[2] + 0.4 * em, baseline + 0.35 * em)
        page.frame(edges, palette.muted, line=line, radius=0.2 * em)
        return
    left, top, side = box[2] + 0.5 * em, baseline - 0.72 * em, 0.75 * em
    page.frame((left, top, left + side, top + side), palette.ink, line=line)
    page.marks.append(Mark(BOXES[mark], left, top, left + side, top + side, blank=True))
    if mark == "ticked":
        points = [(left + 0.15 * side, top + 0.5 * side), (left + 0.42 * side, top + 0.8 * side)]
        points.append((left + 0.95 * side, top - 0.05 * side))
        page.pen.line(points, fill=palette.accent, width=max(2, round(em / 7)), joint="curve")


def lead(page: Page, row: Row, baseline: float, em: float, palette: Palette) -> None:
    """Draw the dots that lead from a label to what stands at the right."""
    first, last = row.cells[0].box, row.cells[-1].box
    if first is None or last is None:
        return
    x = first[2] + 0.4 * em
    while x < last[0] - 0.5 * em:
        page.fill((x, baseline - 0.08 * em, x + 0.06 * em, baseline - 0.02 * em), palette.muted)
        x += 0.38 * em


def draw_rule(page: Page, style: str, ends: tuple[float, float], y: float, em: float, palette: Palette) -> None:
    line = max(1, round(em / 16))
    ink = palette.muted if style != "faint" else palette.faint
    if style == "dashed":
        page.dashes((ends[0], y), (ends[1], y), ink, line=line)
        return
    page.rule((ends[0], y), (ends[1], y), ink, line=line)
    if style == "double":
        page.rule((ends[0], y + 2 * line + 1), (ends[1], y + 2 * line + 1), ink, line=line)


def tone_of(palette: Palette, tone: str) -> Colour:
    found: Colour = getattr(palette, tone)
    return found


def text_row(text: str, align: str = "l", **looks: object) -> Row:
    """Return a row of one text, at the left, in the middle or at the right."""
    return Row([Cell(text, {"l": 0.0, "m": 0.5, "r": 1.0}[align], align, **looks)])  # type: ignore[arg-type]
