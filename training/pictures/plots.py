"""The drawing of charts: bars, a line with its points, a pie with its legend; smooth edges, labels apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from pictures.page import Box, Colour, Page
from pictures.palette import Palette, lightness
from pictures.typeset import Font

SMOOTH = 3
Look = tuple[Font, Palette]


@dataclass(frozen=True, slots=True)
class Plot:
    """What a chart shows; `step` is the distance of its gridlines, 0 for a pie."""

    labels: list[str]
    values: list[int]
    unit: str
    step: int
    grid: str
    frame: str
    printed: bool

    def text(self, i: int) -> str:
        return f"{self.values[i]}{self.unit}"

    @property
    def top(self) -> int:
        return -(-max(self.values) // self.step) * self.step


def smooth(page: Page, box: Box, colour: Colour, draw: Callable[[ImageDraw.ImageDraw, float], None]) -> None:
    """Paint with soft edges: `draw` gets a pen on a mask SMOOTH times larger than the box."""
    left, top = int(box[0]), int(box[1])
    wide, high = int(box[2]) - left + 1, int(box[3]) - top + 1
    mask = Image.new("L", (wide * SMOOTH, high * SMOOTH))
    draw(ImageDraw.Draw(mask), SMOOTH)
    page.image.paste(colour, (left, top), mask.reduce(SMOOTH))


def grid_texts(plot: Plot) -> list[tuple[int, str]]:
    return [(value, f"{value}{plot.unit}") for value in range(0, plot.top + 1, plot.step)]


def draw_bars(page: Page, plot: Plot, look: Look, room: Box, colours: list[Colour], *, sideways: bool) -> None:
    if sideways:
        draw_sideways(page, plot, look, room, colours)
        return
    box = upright(page, plot, look, room)
    left, top, right, bottom = box
    font, palette = look
    slot = (right - left) / len(plot.labels)
    for i, (label, value) in enumerate(zip(plot.labels, plot.values, strict=True)):
        middle = left + (i + 0.5) * slot
        y = bottom - (bottom - top) * value / plot.top
        page.fill((middle - 0.34 * slot, y, middle + 0.34 * slot, bottom), colours[i])
        page.write(label, (middle, bottom + font.ascent * 1.15), font, palette.ink, anchor="m")
        if plot.printed:
            page.write(plot.text(i), (middle, y - 0.3 * font.size), font, palette.ink, anchor="m")
    page.rule((left, bottom), (right, bottom), palette.muted, line=max(1, font.size // 12))


def upright(page: Page, plot: Plot, look: Look, room: Box) -> Box:
    """Draw axes and gridlines; return the box in which 0 is the bottom and the last gridline the top."""
    font, palette = look
    em, scale = font.size, not plot.printed or plot.grid == "ticks"
    wide = max(font.width(text) for _, text in grid_texts(plot)) if scale else 0.0
    left, right = room[0] + wide + em * 0.8, room[2] - em * 0.5
    top, bottom = room[1] + em * (1.6 if plot.printed else 0.8), room[3] - em * 1.7
    line = max(1, em // 16)
    for value, text in grid_texts(plot):
        y = bottom - (bottom - top) * value / plot.top
        if scale:
            page.write(text, (left - 0.45 * em, y + 0.36 * em), font, palette.muted, anchor="r")
        if not plot.printed or plot.grid != "ticks":
            draw = page.dashes if plot.grid == "dashed" else page.rule
            draw((left, y), (right, y), palette.faint, line=line)
        elif scale:
            page.rule((left - 0.25 * em, y), (left, y), palette.muted, line=line)
    if plot.frame != "none":
        page.rule((left, top), (left, bottom), palette.muted, line=line)
        page.rule((left, bottom), (right, bottom), palette.muted, line=line)
    if plot.frame == "box":
        page.frame((left, top, right, bottom), palette.muted, line=line)
    return left, top, right, bottom


def draw_sideways(page: Page, plot: Plot, look: Look, room: Box, colours: list[Colour]) -> None:
    font, palette = look
    em = font.size
    left = room[0] + max(font.width(label) for label in plot.labels) + 0.9 * em
    right = room[2] - (max(font.width(plot.text(i)) for i in range(len(plot.values))) + 0.8 * em)
    top, bottom = room[1] + 0.2 * em, room[3] - (0.3 if plot.printed else 1.6) * em
    line = max(1, em // 16)
    if not plot.printed:
        shown = grid_texts(plot)
        wide = max(font.width(text) for _, text in shown) + 0.6 * em
        every = 1 if wide * len(shown) < right - left + wide else 2
        for i, (value, text) in enumerate(shown):
            x = left + (right - left) * value / plot.top
            draw = page.dashes if plot.grid == "dashed" else page.rule
            draw((x, top), (x, bottom), palette.faint, line=line)
            if i % every == 0:
                page.write(text, (x, bottom + font.ascent * 1.15), font, palette.muted, anchor="m")
    slot = (bottom - top) / len(plot.labels)
    for i, (label, value) in enumerate(zip(plot.labels, plot.values, strict=True)):
        y, x = top + (i + 0.5) * slot, left + (right - left) * value / plot.top
        thick = min(0.36 * slot, 1.6 * em)
        page.fill((left, y - thick, x, y + thick), colours[i])
        page.write(label, (left - 0.5 * em, y + 0.36 * em), font, palette.ink, anchor="r")
        if plot.printed:
            page.write(plot.text(i), (x + 0.4 * em, y + 0.36 * em), font, palette.ink)
    if plot.frame != "none":
        page.rule((left, top), (left, bottom), palette.muted, line=line)


def draw_curve(page: Page, plot: Plot, look: Look, room: Box, colour: Colour) -> None:
    font, palette = look
    left, top, right, bottom = upright(page, plot, look, room)
    slot = (right - left) / len(plot.labels)
    points = [
        (left + (i + 0.5) * slot, bottom - (bottom - top) * value / plot.top) for i, value in enumerate(plot.values)
    ]
    reach = max(3.0, font.size / 4)
    box = (left - reach, top - reach, right + reach, bottom + reach)

    def draw(pen: ImageDraw.ImageDraw, scale: float) -> None:
        moved = [((x - int(box[0])) * scale, (y - int(box[1])) * scale) for x, y in points]
        pen.line(moved, fill=255, width=round(max(2, font.size / 7) * scale), joint="curve")
        for x, y in moved:
            pen.ellipse((x - reach * scale, y - reach * scale, x + reach * scale, y + reach * scale), fill=255)

    smooth(page, box, colour, draw)
    for i, (x, y) in enumerate(points):
        page.write(plot.labels[i], (x, bottom + font.ascent * 1.15), font, palette.ink, anchor="m")
        if plot.printed:
            before, after = plot.values[max(0, i - 1)], plot.values[min(len(points) - 1, i + 1)]
            below = plot.values[i] < min(before, after) or (plot.values[i] == min(before, after) and before != after)
            fits = y + reach + font.size * 1.1 < bottom
            baseline = y + reach + font.size if below and fits else y - reach - 0.25 * font.size
            page.write(plot.text(i), (x, baseline), font, palette.ink, anchor="m")


def draw_pie(page: Page, plot: Plot, look: Look, room: Box, colours: list[Colour], *, ring: bool) -> None:
    """Draw slices with a legend beside or below them; the shares stand on the slices or in the legend."""
    font, palette = look
    em, number = font.size, len(plot.labels)
    wide, high = room[2] - room[0], room[3] - room[1]
    beside = wide > high * 1.1
    inside = not ring and plot.printed
    texts = [label if inside else f"{label} {plot.text(i)}" for i, label in enumerate(plot.labels)]
    legend = max(font.width(text) for text in texts) + 2.2 * em
    rows = number if beside else -(-number // max(1, int(wide // (legend + em))))
    across = 1 if beside else -(-number // rows)
    side = min(wide - legend - em, high) if beside else min(wide, high - rows * 1.5 * em - em)
    left = room[0] + 0.5 * em if beside else (room[0] + room[2] - side) / 2
    top = room[1] + (high - side) / 2 if beside else room[1]
    box = (left, top, left + side, top + side)
    turn = float((plot.values[0] * 7) % 360)
    for i, value in enumerate(plot.values):
        end = turn + value * 3.6
        slice_of(page, box, colours[i], (turn, end), hole=0.55 if ring else 0.0)
        if inside:
            angle = np.radians((turn + end) / 2)
            x, y = left + side / 2 * (1 + 0.66 * np.cos(angle)), top + side / 2 * (1 + 0.66 * np.sin(angle))
            ink = (255, 255, 255) if lightness(colours[i]) < 140 else (10, 10, 15)
            page.write(plot.text(i), (x, y + 0.36 * em), font, ink, anchor="m")
        turn = end
    x0 = room[2] - legend if beside else room[0] + (wide - across * (legend + em)) / 2 + 0.5 * em
    y0 = room[1] + (high - rows * 1.5 * em) / 2 if beside else top + side + 0.8 * em
    for i, text in enumerate(texts):
        x, y = x0 + (i % across) * (legend + em), y0 + (i // across) * 1.5 * em
        page.fill((x, y + 0.1 * em, x + 0.9 * em, y + em), colours[i])
        page.write(text, (x + 1.4 * em, y + 0.92 * em), font, palette.ink)


def slice_of(page: Page, box: Box, colour: Colour, ends: tuple[float, float], *, hole: float) -> None:
    def draw(pen: ImageDraw.ImageDraw, scale: float) -> None:
        wide, high = (box[2] - box[0]) * scale, (box[3] - box[1]) * scale
        pen.pieslice((0, 0, wide, high), *ends, fill=255)
        if hole:
            edge = (1 - hole) / 2
            pen.ellipse((wide * edge, high * edge, wide * (1 - edge), high * (1 - edge)), fill=0)

    smooth(page, box, colour, draw)
