"""Tables: names down the side, headings along the top, and what stands where they meet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pictures import lexicon, words
from pictures.asking import Fact, Json
from pictures.base import Picture, Split, pick, split_of
from pictures.layout import Cell, Row, Type, pick_type, text_row, width_em
from pictures.page import Box, Page
from pictures.palette import Palette
from pictures.sheets import Shape, Sheet, lay
from pictures.table_talk import (
    ALL_AS_JSON,
    CELL,
    COLUMNS,
    FIRSTS,
    HEADS,
    IS_ROW,
    MOST,
    QUARTERS,
    ROW_AS_JSON,
    ROWS,
    SORTS,
    TITLES,
    WHOSE,
)


@dataclass(frozen=True, slots=True)
class Look:
    head: str
    lines: str
    zebra: bool
    align: str
    title: str

    @property
    def name(self) -> str:
        return f"table-{self.head}-{self.lines}-{self.zebra}-{self.align}-{self.title}"


@dataclass(frozen=True, slots=True)
class Column:
    """A heading, what sort of values it has, the texts below it and, for figures, what they amount to."""

    head: str
    sort: str
    texts: tuple[str, ...]
    values: tuple[float, ...] = ()


def pick_look(rng: np.random.Generator, split: Split) -> Look:
    while True:
        look = Look(
            pick(rng, ("accent", "soft", "bold", "plain")),
            pick(rng, ("grid", "rows", "head", "none", "outer")),
            bool(rng.random() < 0.3),
            pick(rng, ("left", "right", "middle", "mixed")),
            pick(rng, ("none", "left", "centre")),
        )
        if split_of(look.name) == split:
            return look


def draw_table(rng: np.random.Generator, split: Split, *, large: bool = False) -> Picture:
    look = pick_look(rng, split)
    rows, columns = int(rng.integers(2, 8)), int(rng.integers(1, 5))
    if large:
        rows, columns = int(rng.integers(8, 19)), int(rng.integers(3, 7))
    grid: list[tuple[list[Row], list[float]]] = []

    def build(attempt: int) -> Sheet:
        sheet = Sheet(what="a table")
        if look.title != "none":
            title = words.phrase(rng, split, int(rng.integers(1, 4))).capitalize()
            sheet.rows.append(text_row(title, "m" if look.title == "centre" else "l", bold=True, scale=1.3))
            sheet.rows[-1].pad = 0.2
            sheet.say("event", title)
            sheet.facts[-1] = Fact("field", TITLES, title, f"The title is {title}.", ("title",), weight=0.7)
        down = first_column(rng, split, max(2, rows - attempt))
        across = other_columns(rng, split, max(1, columns - attempt // 2), len(down.texts), down.head)
        grid.clear()
        grid.append(set_table(look, [down, *across], rng, split))
        sheet.rows += grid[0][0]
        sheet.facts += metadata_of(down, across, rng, split)
        sheet.lack("phone", "email", "invoice", "birth")
        return sheet

    def lines(page: Page, type_: Type, em: float, palette: Palette, box: Box) -> None:
        del type_
        draw_lines(page, look, grid[0], em, palette, box)

    shape = Shape(0.8, 1.7, ("sans", "sans", "serif", "mono"), dark=0.2, desk=0.15, large=large)
    return lay(build, "table", rng, split, shape, decorate=lines)


def first_column(rng: np.random.Generator, split: Split, number: int) -> Column:
    sort = pick(rng, ("name", "product", "town", "month", "day") if number <= 7 else ("name", "product", "town"))
    texts: list[str] = []
    if sort == "month":
        start = int(rng.integers(0, 12 - number + 1))
        texts = [name[:3] if start % 2 else name for name in words.MONTHS[start : start + number]]
    elif sort == "day":
        texts = list(words.DAYS[:number])
    first_only = rng.random() < 0.5
    while len(texts) < number:
        made = {
            "name": lambda: words.choose(rng, split, lexicon.FIRST) if first_only else words.name(rng, split),
            "product": lambda: words.product(rng, split),
            "town": lambda: words.town(rng, split),
        }[sort]()
        if not any(made.lower() in other.lower() or other.lower() in made.lower() for other in texts):
            texts.append(made)
        elif sort == "town" or first_only:
            number = max(2, number - 1)
    return Column(pick(rng, FIRSTS[sort]), sort, tuple(texts))


def other_columns(rng: np.random.Generator, split: Split, number: int, rows: int, taken: str) -> list[Column]:
    if number >= 2 and rng.random() < 0.15:
        sort = pick(rng, ("count", "amount", "percent"))
        money = words.money(rng)
        return [column(rng, split, sort, head, rows, money=money) for head in QUARTERS[:number]]
    found: list[Column] = []
    heads = {taken}
    while len(found) < number:
        sort = pick(rng, ("count", "count", "amount", "amount", *SORTS))
        head = pick(rng, SORTS[sort])
        if head not in heads:
            heads.add(head)
            found.append(column(rng, split, sort, head, rows))
    return found


def column(
    rng: np.random.Generator, split: Split, sort: str, head: str, rows: int, *, money: words.Money | None = None
) -> Column:
    """Fill a column; figures differ from one another."""
    if sort in ("count", "amount", "percent", "year"):
        low, high = {
            "count": (1, 10 ** int(rng.integers(2, 5))),
            "amount": (100, 10 ** int(rng.integers(4, 7))),
            "percent": (0, 101),
            "year": (1890, 2031),
        }[sort]
        values = [int(v) for v in rng.choice(np.arange(low, high), rows, replace=False)]
        money = money or words.money(rng)
        shows: dict[str, Callable[[int], str]] = {"amount": money.show, "percent": lambda v: f"{v}%"}
        show = shows.get(sort, str)
        return Column(head, sort, tuple(show(v) for v in values), tuple(values))
    style = words.DATE_STYLES[int(rng.integers(len(words.DATE_STYLES) - 1))]
    makes: dict[str, Callable[[], str]] = {
        "date": lambda: words.date(rng, style),
        "clock": lambda: f"{rng.integers(0, 24):02d}:{rng.integers(0, 60):02d}",
        "town": lambda: words.town(rng, split),
        "word": lambda: words.word(rng, split),
        "name": lambda: words.name(rng, split),
        "choice": lambda: pick(rng, ("yes", "no")),
    }
    return Column(head, sort, tuple(makes[sort]() for _ in range(rows)))


def set_table(
    look: Look, columns: list[Column], rng: np.random.Generator, split: Split
) -> tuple[list[Row], list[float]]:
    """Give each column its share of the width and its side; return the rows and where columns meet."""
    measured = pick_type(rng, split)
    wide = [max(width_em(Cell(text), measured) for text in (c.head, *c.texts)) * 1.1 + 1.4 for c in columns]
    ends = np.cumsum(wide) / sum(wide)
    starts = np.concatenate([[0.0], ends[:-1]])
    inset = 0.5 / sum(wide)
    sides = []
    for i, each in enumerate(columns):
        figures = bool(each.values)
        side = {"left": "l", "right": "r", "middle": "m", "mixed": "r" if figures else "l"}[look.align]
        sides.append("l" if i == 0 else side)
    places = [
        {"l": start + inset, "m": (start + end) / 2, "r": end - inset}[side]
        for start, end, side in zip(starts, ends, sides, strict=True)
    ]
    top = Row([Cell(c.head, x, s, bold=look.head != "plain") for c, x, s in zip(columns, places, sides, strict=True)])
    top.pad = 0.15
    top.fill = look.head if look.head in ("accent", "soft") else ""
    top.rule = "solid" if look.lines == "head" else ""
    rows = [top]
    for i in range(len(columns[0].texts)):
        row = Row([Cell(c.texts[i], x, s) for c, x, s in zip(columns, places, sides, strict=True)], pad=0.15)
        row.fill = "soft" if look.zebra and i % 2 else ""
        row.rule = "faint" if look.lines == "rows" else ""
        rows.append(row)
    return rows, [float(end) for end in ends[:-1]]


def draw_lines(
    page: Page, look: Look, grid: tuple[list[Row], list[float]], em: float, palette: Palette, box: Box
) -> None:
    """Draw the frame and the lines between the cells, where the look has them."""
    if look.lines not in ("grid", "outer"):
        return
    rows, edges = grid
    left, bottom, right = box[0] - 0.4 * em, box[3], box[2] + 0.4 * em
    top = bottom - sum(row.height for row in rows) * em
    line = max(1, round(em / 18))
    page.frame((left, top, right, bottom), palette.muted, line=line)
    if look.lines == "grid":
        y = top
        for row in rows[:-1]:
            y += row.height * em
            page.rule((left, y), (right, y), palette.faint, line=line)
        for share in edges:
            x = box[0] + share * (box[2] - box[0])
            page.rule((x, top), (x, bottom), palette.faint, line=line)


def metadata_of(down: Column, across: list[Column], rng: np.random.Generator, split: Split) -> list[Fact]:
    number = len(down.texts)
    what = down.head.lower()
    facts = [
        Fact(
            "count", [w.format(f=what) for w in ROWS], str(number), f"There are {number} rows.", ("rows",), number, 0.5
        ),
        Fact("count", COLUMNS, str(len(across) + 1), "", ("columns",), len(across) + 1, 0.5),
        Fact("table", HEADS, ", ".join([down.head, *(c.head for c in across)]), weight=0.5),
        is_row(down, rng, split),
    ]
    for _ in range(5):
        facts.append(cell(down, pick(rng, across), int(rng.integers(number))))
    for each in across:
        facts += whose(down, each, rng)
    i = int(rng.integers(number))
    values = {down.head.lower(): down.texts[i]} | {c.head.lower().replace(" ", "_"): json_of(c, i, rng) for c in across}
    facts.append(Fact("json", [w.format(down.texts[i]) for w in ROW_AS_JSON], "", value=values, weight=0.8))
    if number * len(across) <= 10:
        rows = [{c.head.lower().replace(" ", "_"): c.texts[i] for c in (down, *across)} for i in range(number)]
        facts.append(Fact("json", ALL_AS_JSON, "", value={"rows": rows}, weight=0.7))
    unique = {(fact.wordings[0], fact.answer): fact for fact in facts}
    return list(unique.values())


def json_of(column: Column, i: int, rng: np.random.Generator) -> Json:
    if column.sort in ("count", "year"):
        return int(column.values[i])
    return column.texts[i]


def cell(down: Column, across: Column, i: int) -> Fact:
    head = across.head.lower() if across.head not in QUARTERS else across.head
    wordings = [w.format(c=head, r=down.texts[i]) for w in CELL]
    told = f"The {head} of {down.texts[i]} is {across.texts[i]}."
    return Fact("table", wordings, across.texts[i], told, (head.replace(" ", "_"),), weight=1.5, alone=True)


def whose(down: Column, across: Column, rng: np.random.Generator) -> list[Fact]:
    """Ask backwards, from a value that stands in one row only, and for the largest and the smallest."""
    head, facts = across.head.lower() if across.head not in QUARTERS else across.head, []
    i = int(rng.integers(len(down.texts)))
    f = down.head.lower()
    if across.texts.count(across.texts[i]) == 1:
        wordings = [w.format(c=head, v=across.texts[i], f=f) for w in WHOSE]
        facts.append(Fact("table", wordings, down.texts[i], f"It is {down.texts[i]}.", weight=0.6))
    if across.values and across.sort != "year":
        most = bool(rng.random() < 0.6)
        i = int(np.argmax(across.values) if most else np.argmin(across.values))
        wordings = [w.format(c=head, f=f, w="highest" if most else "lowest") for w in MOST]
        facts.append(Fact("table", wordings, down.texts[i], f"It is {down.texts[i]}.", weight=0.6))
    return facts


def is_row(down: Column, rng: np.random.Generator, split: Split) -> Fact:
    yes = bool(rng.random() < 0.5)
    name = pick(rng, down.texts)
    if not yes and down.sort in ("month", "day"):
        every = words.MONTHS if down.sort == "month" else words.DAYS
        name = pick(rng, [each for each in every if not any(each[:3] == text[:3] for text in down.texts)] or every)
        yes = any(name[:3] == text[:3] for text in down.texts)
    while not yes and any(name.lower() in text.lower() or text.lower() in name.lower() for text in down.texts):
        name = first_column(rng, split, 2).texts[0]
    return Fact("yes/no", [w.format(name) for w in IS_ROW], "yes" if yes else "no", weight=0.8)
