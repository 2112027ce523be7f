"""Twenty pages of mixed layout, and their text as a person would read them: columns one after another, tables row by
row with a tab between cells. Turned, tilted, small, light on dark, worn. The same seed gives the same pixels.

Used by the tests (character error rate) and by `bench.transcriber`. `bench.pages` has the faces, words and wear.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw

from bench.pages import FACES, WORDS, Page, Style, load_font, wear, wrap

INK_ON_DARK = {"ink": (226, 230, 236), "paper": (24, 28, 38)}
_FIRST = ("Anna", "Bruno", "Clara", "David", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kira", "Liam")
_LAST = ("Okafor", "Lindqvist", "Moreau", "Tanaka", "Novak", "Ferreira", "Schmidt", "Rossi", "Haddad", "Walsh")
_PLACES = ("Lisbon", "Oslo", "Kyoto", "Tunis", "Quito", "Ghent", "Perth", "Turin", "Basel", "Izmir", "Lagos", "Austin")


class Sheet:
    """A page as it is set from top to bottom; what is placed is noted as its true text in the same order."""

    def __init__(self, rng: random.Random, style: Style, height_px: int) -> None:
        self.rng = rng
        self.style = style
        self.font = load_font(style.face, style.size_px)
        self.step_px = round(style.size_px * style.leading)
        self.image = Image.new("RGB", (style.width_px, height_px), style.paper)
        self.draw = ImageDraw.Draw(self.image)
        self.left_px = style.margin_px
        self.width_px = style.width_px - 2 * style.margin_px
        self.y_px = float(style.margin_px)
        self.lines: list[str] = []

    def put(self, x_px: float, text: str, *, bold: bool = False) -> None:
        """Draw at the current line, without noting it."""
        self.draw.text((x_px, self.y_px), text, self.style.ink, self.font, stroke_width=0.5 if bold else 0)

    def heading(self, scale: float = 1.6) -> None:
        font = load_font(self.style.face, round(self.style.size_px * scale))
        text = self.words(3).title()
        while font.getlength(text) > self.width_px:
            text = text.rsplit(" ", 1)[0]
        self.draw.text((self.left_px, self.y_px), text, self.style.ink, font, stroke_width=0.4)
        self.lines.append(text)
        self.y_px += 1.5 * scale * self.style.size_px

    def prose(self, rows: int) -> None:
        """Set one paragraph, its last line short."""
        lines = wrap(self.rng, self.font, self.width_px, rows)
        lines[-1] = " ".join(lines[-1].split()[: self.rng.randint(2, 4)]).rstrip(",.?!") + "."
        for line in lines:
            self.put(self.left_px, line)
            self.y_px += self.step_px
        self.lines += lines
        self.y_px += 0.5 * self.step_px

    def columns(self, count: int, fill: Callable[[Sheet], None], gutter: float = 2.0) -> None:
        """Fill columns from left to right, each by itself, all beginning here; go on below the longest."""
        top_px, left_px, width_px, end_px = self.y_px, self.left_px, self.width_px, self.y_px
        gutter_px = gutter * self.style.size_px
        self.width_px = int((width_px - (count - 1) * gutter_px) / count)
        for number in range(count):
            self.y_px, self.left_px = top_px, int(left_px + number * (self.width_px + gutter_px))
            fill(self)
            end_px = max(end_px, self.y_px)
        self.left_px, self.width_px, self.y_px = left_px, width_px, end_px

    def table(self, rows: Sequence[Sequence[str]], *, ruled: bool = False, shares: Sequence[float] = ()) -> None:
        """Set rows of cells: the first row bold, figures to the right, an empty string an empty cell."""
        shares = shares or [1.0] * len(rows[0])
        edges = self.left_px + self.width_px * np.cumsum([0.0, *shares]) / sum(shares)
        pad_px, row_px = 0.5 * self.style.size_px, self.step_px * (1.35 if ruled else 1.1)
        top_px = self.y_px
        for number, cells in enumerate(rows):
            for cell, left_px, right_px in zip(cells, edges[:-1], edges[1:], strict=True):
                to_right = cell[-1:].isdigit() or cell.endswith("%")
                x_px = right_px - pad_px - self.font.getlength(cell) if to_right else left_px + pad_px
                self.put(x_px, cell, bold=number == 0)
            self.lines.append("\t".join(cells).rstrip("\t"))
            self.y_px += row_px
        if ruled:
            rise_px = 0.15 * self.style.size_px
            for number in range(len(rows) + 1):
                y_px = top_px + number * row_px - rise_px
                self.draw.line([(edges[0], y_px), (edges[-1], y_px)], self.style.ink, 1)
            for x_px in edges:
                self.draw.line([(x_px, top_px - rise_px), (x_px, self.y_px - rise_px)], self.style.ink, 1)
        self.y_px += 0.6 * self.step_px

    def words(self, count: int) -> str:
        return " ".join(self.rng.choices(WORDS, k=count)).capitalize()

    def page(self, name: str, seed: int) -> Page:
        end_px = min(self.image.height, round(self.y_px + self.style.margin_px))
        pixels = np.asarray(self.image.crop((0, 0, self.image.width, end_px)))
        return Page(name, wear(pixels, self.style, seed), tuple(self.lines))


def _article(sheet: Sheet) -> None:
    sheet.heading(1.8)
    for rows in (6, 5):
        sheet.prose(rows)
    for rows in (7, 6):
        sheet.heading(1.25)
        sheet.prose(rows)


def _small(sheet: Sheet) -> None:
    sheet.heading(1.4)
    for rows in (8, 7, 9, 6, 8):
        sheet.prose(rows)


def _two_columns(sheet: Sheet) -> None:
    sheet.heading(1.8)
    sheet.columns(2, lambda part: [part.prose(rows) for rows in (7, 5, 6)] and None)


def _three_columns(sheet: Sheet) -> None:
    sheet.heading(2.0)
    sheet.prose(2)
    sheet.columns(3, _section)
    sheet.prose(3)


def _section(sheet: Sheet) -> None:
    sheet.prose(sheet.rng.randint(4, 6))
    sheet.heading(1.2)
    sheet.prose(sheet.rng.randint(5, 8))


def _ruled_table(sheet: Sheet) -> None:
    sheet.heading(1.5)
    sheet.prose(4)
    sheet.table(_staff(sheet.rng, 8), ruled=True, shares=(1.6, 1.2, 0.8, 0.8))
    sheet.prose(4)


def _open_table(sheet: Sheet) -> None:
    sheet.heading(1.4)
    sheet.table(_figures(sheet.rng, 11), shares=(1.5, 1, 1, 1, 1))
    sheet.prose(3)


def _table_in_column(sheet: Sheet) -> None:
    sheet.heading(1.6)
    rows = iter(([_figures(sheet.rng, 5, 3)], []))

    def fill(part: Sheet) -> None:
        part.prose(6)
        for table in next(rows):
            part.table(table, shares=(1.4, 1, 1))
        part.prose(5)
        part.prose(4)

    sheet.columns(2, fill, gutter=2.5)


def _report(sheet: Sheet) -> None:
    """Columns, then a table over the whole width, then columns again."""
    sheet.heading(1.7)
    sheet.columns(2, lambda part: part.prose(6))
    sheet.table(_figures(sheet.rng, 5), ruled=True, shares=(1.5, 1, 1, 1, 1))
    sheet.heading(1.3)
    sheet.columns(2, lambda part: part.prose(7))


def _form(sheet: Sheet) -> None:
    rng = sheet.rng
    sheet.heading(1.5)
    name = f"{rng.choice(_FIRST)} {rng.choice(_LAST)}"
    entries = {
        "Applicant": name,
        "Date of birth": f"{rng.randint(1950, 2005)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d} (stated)",
        "Town": rng.choice(_PLACES),
        "E-mail": f"{name.split()[0].lower()}@example.org",
        "Occupation": sheet.words(2),
        "Remarks": sheet.words(4),
    }
    sheet.table(list(entries.items()), shares=(1, 2))
    sheet.prose(3)
    sheet.table(_staff(rng, 4), shares=(1.6, 1.2, 0.8, 0.8))


def _listing(sheet: Sheet) -> None:
    """Lines of a program, indented; the indentation is not part of the true text."""
    rng = sheet.rng
    for depth in (0, 1, 1, 2, 1, 2, 0, 0, 1, 2, 2, 1, 0, 1, 1, 2):
        name, other, verb = (rng.choice([word for word in WORDS if len(word) > 3]) for _ in range(3))
        text = rng.choice(
            (
                f"def {verb}_{name}({other}, count=5):",
                f"if {name}.{verb}() > {rng.randint(2, 99)}:",
                f'print("{name} {other}:", {verb})',
                f"{name} = [{other} for {other} in {verb}]",
                f"return {name}({other}) + {verb}[{rng.randint(0, 9)}]",
            )
        )
        sheet.put(sheet.left_px + depth * 4 * sheet.font.getlength(" "), text)
        sheet.lines.append(text)
        sheet.y_px += sheet.step_px


def _receipt(sheet: Sheet) -> None:
    rng = sheet.rng
    for text in (sheet.words(2).upper(), f"Till {rng.randint(1, 9)}, {rng.choice(_FIRST)}"):
        sheet.put(sheet.left_px, text)
        sheet.lines.append(text)
        sheet.y_px += sheet.step_px
    goods = [(sheet.words(rng.randint(1, 2)), f"{rng.randint(50, 4999) / 100:.2f}") for _ in range(9)]
    total = f"{sum(float(price) for _, price in goods):.2f}"
    sheet.table([*goods, ("TOTAL", total)], shares=(2, 1))
    sheet.put(sheet.left_px, "Thank you!")
    sheet.lines.append("Thank you!")
    sheet.y_px += sheet.step_px


def _staff(rng: random.Random, count: int) -> list[tuple[str, ...]]:
    rows = [("Name", "Town", "Room", "Phone")]
    for _ in range(count):
        room = f"{rng.choice('ABC')}-{rng.randint(10, 49)}" if rng.random() < 0.85 else ""
        rows.append(
            (f"{rng.choice(_FIRST)} {rng.choice(_LAST)}", rng.choice(_PLACES), room, f"{rng.randint(200, 899)}")
        )
    return rows


def _figures(rng: random.Random, count: int, columns: int = 5) -> list[tuple[str, ...]]:
    rows = [("Place", "2023", "2024", "2025", "Share")[:columns]]
    for place in rng.sample(_PLACES, count):
        figures = [f"{rng.randint(120, 98_999):,}" for _ in range(min(3, columns - 1))]
        rows.append((place, *figures, f"{rng.randint(10, 999) / 10:.1f}%")[:columns])
    return rows


_ROOMY = Style(size_px=24, width_px=1000, margin_px=60)
_PRINT = Style(size_px=20, width_px=1100, margin_px=70, leading=1.35)
_FINE = Style(size_px=17, width_px=1240, margin_px=90, leading=1.3)
_SCAN = {"paper": (244, 240, 230), "noise": 7.0, "blur_px": 0.5, "jpeg_quality": 55}

RECIPES: tuple[tuple[str, Callable[[Sheet], None], Style], ...] = (
    ("article", _article, _ROOMY),
    ("two columns", _two_columns, _PRINT),
    ("three columns", _three_columns, replace(_FINE, size_px=18)),
    ("small", _small, _FINE),
    ("ruled table", _ruled_table, _ROOMY),
    ("open table", _open_table, replace(_PRINT, width_px=900)),
    ("table in a column", _table_in_column, _PRINT),
    ("report", _report, replace(_PRINT, size_px=21)),
    ("form", _form, replace(_ROOMY, size_px=26)),
    ("listing", _listing, replace(_ROOMY, size_px=22, width_px=900, **INK_ON_DARK)),
    ("receipt", _receipt, replace(_ROOMY, size_px=26, width_px=560, **_SCAN)),
    ("article turned", _article, replace(_PRINT, quarters=1)),
    ("two columns turned", _two_columns, replace(_PRINT, quarters=2)),
    ("ruled table turned", _ruled_table, replace(_PRINT, quarters=3)),
    ("article tilted", _article, replace(_PRINT, tilt_deg=4.0)),
    ("two columns tilted", _two_columns, replace(_PRINT, tilt_deg=-2.5)),
    ("open table tilted", _open_table, replace(_PRINT, tilt_deg=3.0, noise=5.0)),
    ("dark columns", _two_columns, replace(_FINE, width_px=1000, **INK_ON_DARK)),
    ("dark table", _ruled_table, replace(_PRINT, **INK_ON_DARK, jpeg_quality=70)),
    ("scanned columns", _three_columns, replace(_PRINT, width_px=1280, tilt_deg=1.2, **_SCAN)),
)


def make_mixed(seed: int, faces: Sequence[str] = FACES) -> list[Page]:
    """Draw the twenty pages, the faces in turn."""
    rng = random.Random(seed)
    pages = []
    for index, (name, fill, style) in enumerate(RECIPES):
        face = faces[(index + seed) % len(faces)]
        sheet = Sheet(rng, replace(style, face=face), height_px=2600)
        fill(sheet)
        pages.append(sheet.page(name, seed + index))
    return pages
